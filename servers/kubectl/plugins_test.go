package kubectl

import (
	"slices"
	"testing"

	"k8s.io/kubectl/pkg/cmd"
)

// called notes with which environment a plugin is called.
type called struct {
	cmd.PluginHandler
	environment []string
}

func (c *called) Execute(_ string, _, environment []string) error {
	c.environment = environment
	return nil
}

func TestPluginsKnowTheLink(t *testing.T) {
	upstream := []string{"HOME=/home/you", "KUBECTL_PATH=/usr/bin/km"}
	for self, want := range map[string][]string{
		"/usr/bin/kubectl": {"HOME=/home/you", "KUBECTL_PATH=/usr/bin/kubectl"},
		"":                 {"HOME=/home/you"},
	} {
		c := &called{}
		if err := (plugins{c, self}).Execute("/usr/bin/kubectl-x", nil, upstream); err != nil || !slices.Equal(c.environment, want) {
			t.Errorf("called through %q, it gets %v (%v)", self, c.environment, err)
		}
	}
}
