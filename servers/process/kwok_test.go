package process

import (
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kwok/pkg/utils/cel"
)

// Stages are compiled beside each other. Without learnTypes the runtime ends the tests, as a rule.
func TestStagesCompileBesideEachOther(t *testing.T) {
	if err := AddStageFunctions(nil); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, self := range []any{(*corev1.Pod)(nil), (*corev1.Node)(nil)} {
		for range 8 {
			all.Go(func() {
				env, err := cel.NewEnvironment(cel.EnvironmentConfig{
					Types: cel.DefaultTypes, Conversions: cel.DefaultConversions, Funcs: cel.DefaultFuncs,
					Methods: cel.FuncsToMethods(cel.DefaultFuncs), Vars: map[string]any{"self": self},
				})
				if err == nil {
					_, err = env.Compile("self.metadata.name != '' && self.status.phase == 'Running'")
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
}
