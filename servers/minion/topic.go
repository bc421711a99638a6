package minion

import (
	_ "embed"

	"github.com/seed-200a7251/km/supervisor"
)

//go:embed machines.md
var topicText string

// Topic is what `help machines` prints.
func Topic() *supervisor.Topic {
	return &supervisor.Topic{Name: "machines", Short: "a cluster of several machines, and nodes of one elsewhere", Text: topicText}
}
