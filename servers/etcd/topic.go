package etcd

import (
	_ "embed"

	"github.com/seed-200a7251/km/supervisor"
)

//go:embed full-store.md
var topicText string

// Topic is what `help full-store` prints.
func Topic() *supervisor.Topic {
	return &supervisor.Topic{Name: "full-store", Short: "a full store, a full disk, damaged data", Text: topicText}
}
