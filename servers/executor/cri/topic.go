package cri

import (
	_ "embed"

	"github.com/seed-200a7251/km/supervisor"
)

//go:embed real-containers.md
var topicText string

// Topic is what `help real-containers` prints.
func Topic() *supervisor.Topic {
	return &supervisor.Topic{Name: "real-containers", Short: "this machine as a node whose pods run containers", Text: topicText}
}
