package manifests

import (
	_ "embed"

	"github.com/seed-200a7251/km/supervisor"
)

//go:embed apply.md
var topicText string

// Topic is what `help apply` prints.
func Topic() *supervisor.Topic {
	return &supervisor.Topic{Name: "apply", Short: "manifests in a cluster from the beginning", Text: topicText}
}
