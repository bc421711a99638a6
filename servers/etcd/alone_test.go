package etcd

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A new member that is alone elects itself soon; what the user says of members and times is left alone, and so is data
// that is there.
func TestHurried(t *testing.T) {
	old := t.TempDir()
	if err := os.Mkdir(filepath.Join(old, "member"), 0o700); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "new")
	for name, test := range map[string]struct {
		args []string
		env  map[string]string
		want bool
	}{
		"envtest's":            {args: []string{"--listen-peer-urls=http://localhost:0", "--data-dir=" + fresh, "--unsafe-no-fsync=true"}, want: true},
		"in two arguments":     {args: []string{"--data-dir", fresh}, want: true},
		"one dash":             {args: []string{"-data-dir", fresh}, want: true},
		"by a variable":        {env: map[string]string{"ETCD_DATA_DIR": fresh}, want: true},
		"no folder":            {args: []string{"--name=a"}},
		"old data":             {args: []string{"--data-dir=" + old}},
		"old data, variable":   {env: map[string]string{"ETCD_DATA_DIR": old}},
		"members":              {args: []string{"--data-dir=" + fresh, "--initial-cluster=a=http://1,b=http://2"}},
		"members by variable":  {args: []string{"--data-dir=" + fresh}, env: map[string]string{"ETCD_INITIAL_CLUSTER": "a=http://1,b=http://2"}},
		"joins":                {args: []string{"--data-dir=" + fresh, "--initial-cluster-state", "existing"}},
		"discovery":            {args: []string{"--data-dir=" + fresh, "--discovery-srv=example.com"}},
		"its own times":        {args: []string{"--heartbeat-interval=200", "--data-dir=" + fresh}},
		"its own election":     {args: []string{"--data-dir=" + fresh, "--election-timeout", "5000"}},
		"a file":               {args: []string{"--config-file=etcd.yaml"}},
		"a file by a variable": {args: []string{"--data-dir=" + fresh}, env: map[string]string{"ETCD_CONFIG_FILE": "etcd.yaml"}},
		"a command":            {args: []string{"grpc-proxy", "start", "--data-dir=" + fresh}},
		"help":                 {args: []string{"--help"}},
		"nothing":              {},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range test.env {
				t.Setenv(key, value)
			}
			got := hurried(test.args)
			if !slices.Equal(got[max(0, len(got)-len(test.args)):], test.args) {
				t.Errorf("%q has become %q", test.args, got)
			}
			if added := len(got) > len(test.args); added != test.want {
				t.Errorf("%q has become %q", test.args, got)
			}
		})
	}
}
