package component

import (
	"fmt"
	"strings"
)

// Size is a number of bytes, for people: 5 MB.
func Size(n int64) string {
	units := []string{"B", "kB", "MB", "GB"}
	value := float64(n)
	for len(units) > 1 && value >= 1000 {
		value, units = value/1000, units[1:]
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + " " + units[0]
}
