package component

import (
	"bytes"
	"os"
	"strconv"
)

// OOMScoreAdj is how likely the kernel is to end this process when memory is short. Components set it for the whole
// process when they start; given this value, they change nothing.
func OOMScoreAdj() int32 {
	text, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return 0 // a system without it
	}
	score, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 32)
	if err != nil {
		return 0
	}
	return int32(score)
}
