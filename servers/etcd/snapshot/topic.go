package snapshot

import (
	_ "embed"

	"github.com/seed-200a7251/km/supervisor"
)

//go:embed snapshots.md
var topicText string

// Topic is what `help snapshots` prints.
func Topic() *supervisor.Topic {
	return &supervisor.Topic{Name: "snapshots", Short: "save all objects, and come back to them", Text: topicText}
}
