package meter

import (
	"bytes"
	"fmt"
	"runtime/pprof"

	"github.com/google/pprof/profile"
)

// Goroutines returns how many goroutines each server has now. The entry "" has those that are no server's. A server
// without goroutines has no entry. It costs some microseconds of CPU time for each goroutine, and holds the others up
// for a moment only. An error says that the runtime's profile could not be read.
func Goroutines() (map[string]int, error) {
	var data bytes.Buffer
	// With debug=0 labels are told apart for sure; the text of debug=1 is for people.
	err := pprof.Lookup("goroutine").WriteTo(&data, 0)
	var p *profile.Profile
	if err == nil {
		p, err = profile.ParseData(data.Bytes())
	}
	if err != nil {
		return nil, fmt.Errorf("the goroutine profile that the Go runtime has made cannot be read: %w; ask again", err)
	}
	byServer := map[string]int{}
	for _, s := range p.Sample {
		byServer[serverOf(s)] += int(s.Value[0])
	}
	return byServer, nil
}
