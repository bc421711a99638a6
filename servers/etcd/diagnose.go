package etcd

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/supervisor"
)

// diagnose looks for the space on the disk that a start waits for.
func diagnose(_ context.Context, _ *supervisor.Plan, s *supervisor.Server) []supervisor.Finding {
	c, err := load(s)
	if err != nil {
		return nil // Check tells
	}
	at, err := placeOf(c)
	if err != nil {
		return nil // a start tells
	}
	return []supervisor.Finding{{Name: "disk", Text: at.room(), Err: at.short(), Needed: true}}
}

// room is how much is free, for people.
func (at place) room() string {
	var all []string
	for _, dir := range at.folders() {
		if free, ok := freeIn(existing(dir)); ok {
			all = append(all, fmt.Sprintf("%s are free for %s", component.Size(free), dir))
		}
	}
	if len(all) == 0 {
		return "how much is free is not known"
	}
	return strings.Join(all, ", ")
}
