package kubectl

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/kubectl/pkg/cmd"
)

// pathVariable tells a plugin where the kubectl is that has called it. Upstream sets it to the binary's path, as the
// system tells it (pkg/cmd, pluginEnvironment): that is km, which is kubectl by another name, or with another word.
const pathVariable = "KUBECTL_PATH="

// plugins calls plugins of kubectl's.
type plugins struct {
	cmd.PluginHandler
	self string // path by which the binary is kubectl, and nothing else; empty if it has none
}

// Execute calls a plugin. Without a path for the variable the plugin does not get it, and looks for kubectl by itself.
func (p plugins) Execute(path string, args, environment []string) error {
	environment = slices.DeleteFunc(slices.Clone(environment), func(set string) bool { return strings.HasPrefix(set, pathVariable) })
	if p.self != "" {
		environment = append(environment, pathVariable+p.self)
	}
	return p.PluginHandler.Execute(path, args, environment)
}

// link is the path of the symlink through which this process was called, or empty if that is not known.
func link() string {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return ""
	}
	return path
}
