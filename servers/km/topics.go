package km

import (
	_ "embed"
	"slices"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/etcd"
	"github.com/seed-200a7251/km/servers/etcd/snapshot"
	"github.com/seed-200a7251/km/servers/executor/cri"
	"github.com/seed-200a7251/km/servers/executor/simulated"
	tests "github.com/seed-200a7251/km/servers/kmtest/topics"
	"github.com/seed-200a7251/km/servers/manifests"
	"github.com/seed-200a7251/km/servers/minion"
	"github.com/seed-200a7251/km/supervisor"
)

//go:embed ci.md
var ciText string

//go:embed how-to.md
var howToText string

//go:embed install.md
var installText string

//go:embed limits.md
var limitsText string

//go:embed own-server.md
var ownServerText string

// topics are what there is to read about, each from the room whose subject it is. The framework has some, too.
func topics() []*supervisor.Topic {
	own := []*supervisor.Topic{
		{Name: "ci", Short: "recipes for CI, and for a Makefile of kubebuilder's", Text: ciText},
		{Name: "how-to", Short: "what you want, and what you type", Text: howToText},
		{Name: "install", Short: "how km gets onto a machine", Text: installText},
		{Name: "limits", Short: "what km cannot do, or does otherwise", Text: limitsText},
		{Name: "own-server", Short: "a server of yours in km", Text: ownServerText},
	}
	rooms := []*supervisor.Topic{
		etcd.Topic(),
		snapshot.Topic(),
		simulated.Topic(),
		cri.Topic(),
		minion.Topic(),
		manifests.Topic(),
	}
	return slices.Concat(own, cluster.Topics(), rooms, tests.Topics())
}
