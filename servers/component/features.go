package component

import (
	"errors"
	"fmt"

	"k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
)

// SameFeatures returns an error if feature gates, which the server's file says (--NAME.config), differ from those that
// the process has: others are running already when the server would set them.
func SameFeatures(server string, gates map[string]bool) error {
	known := feature.DefaultMutableFeatureGate.GetAll()
	var wrong []error
	for name, want := range gates {
		gate := featuregate.Feature(name)
		if _, ok := known[gate]; !ok {
			wrong = append(wrong, fmt.Errorf("%[1]s: --%[1]s.config: unknown feature gate %[2]s", server, name))
		} else if feature.DefaultFeatureGate.Enabled(gate) != want {
			wrong = append(wrong, fmt.Errorf("%[1]s: --%[1]s.config: feature gates are those of the whole process: use --feature-gates=%[2]s=%[3]v",
				server, name, want))
		}
	}
	return errors.Join(wrong...)
}
