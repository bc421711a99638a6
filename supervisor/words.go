package supervisor

import (
	"fmt"
	"strings"
)

// suggest adds the nearest of the known words to an error about an unknown one.
func suggest(err error, word string, known []string) error {
	best, bestDistance := "", 3
	for _, k := range known {
		if d := distance(word, k); d < bestDistance || d == bestDistance && len(k) > len(best) && strings.HasPrefix(k, word) {
			best, bestDistance = k, d
		}
	}
	if best == "" {
		return err
	}
	return fmt.Errorf("%w (did you mean %s?)", err, best)
}

// distance is the Levenshtein distance of a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
