package process

import "sigs.k8s.io/kwok/pkg/utils/cel"

// AddStageFunctions has the expressions (CEL) of kwok's Stages know functions. It belongs before the first server's
// start: kwok has them in a map without a lock (sigs.k8s.io/kwok/pkg/utils/cel.DefaultFuncs). Without it a Stage cannot
// say when a pod's next step is due.
func AddStageFunctions(functions map[string]any) {
	for name, function := range functions {
		cel.DefaultFuncs[name] = []any{function}
	}
}
