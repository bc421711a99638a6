package text

import (
	"fmt"
	"slices"
	"strings"
)

// Suggest adds the nearest of the known words to an error about an unknown one.
func Suggest(err error, word string, known []string) error {
	if best := Nearest(word, known); best != "" {
		return fmt.Errorf("%w (did you mean %s?)", err, best)
	}
	return err
}

// Nearest returns the known word that may have been meant, or "". Of several equally near words, it prefers one that
// begins with the word. If none is near, it is the only one that begins with the word.
func Nearest(word string, known []string) string {
	best, bestDistance := "", min(3, len(word)) // with as many changed letters it could be any word
	for _, k := range known {
		if d := distance(word, k, bestDistance); d < bestDistance || d == bestDistance && len(k) > len(best) && strings.HasPrefix(k, word) {
			best, bestDistance = k, d
		}
	}
	if best == "" && len(word) > 2 {
		begin := slices.DeleteFunc(slices.Clone(known), func(k string) bool { return !strings.HasPrefix(k, word) })
		slices.Sort(begin)
		if len(slices.Compact(begin)) == 1 {
			return begin[0]
		}
	}
	return best
}

// distance is the Levenshtein distance of a and b, or any number above limit if it is above that: so it is fast.
func distance(a, b string, limit int) int {
	if n := max(len(a)-len(b), len(b)-len(a)); n > limit {
		return n
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		least := row[0]
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
			least = min(least, row[j+1])
		}
		if least > limit { // it cannot decrease any more
			return least
		}
	}
	return row[len(b)]
}
