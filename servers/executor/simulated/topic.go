package simulated

import (
	_ "embed"

	"github.com/seed-200a7251/km/supervisor"
)

//go:embed nodes.md
var topicText string

// Topic is what `help nodes` prints.
func Topic() *supervisor.Topic {
	return &supervisor.Topic{Name: "nodes", Short: "simulated nodes, and what their pods do", Text: topicText}
}
