package admin

import "testing"

// The name of a binary may have what the name of a metric may not.
func TestNamesOfMetrics(t *testing.T) {
	for name, want := range map[string]string{"hk": "hk", "my-hk.v1": "my_hk_v1", "3s": "_s", "Größe9": "Gr__e9"} {
		if got := metricPrefix(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
