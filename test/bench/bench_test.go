//go:build unix

package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestSelectRows(t *testing.T) {
	for _, test := range []struct {
		flag string
		want []string
	}{
		{"start", []string{"start-cold", "start-warm"}},
		{"stop, rss", []string{"stop", "stop-watches", "rss"}},
		{"kills-failed", []string{"kills-failed"}},
	} {
		got, err := selectRows(test.flag)
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%q: error %v, rows (-want +got):\n%s", test.flag, err, diff)
		}
	}
	if all, err := selectRows(""); err != nil || len(all) != len(rows) {
		t.Errorf("without a name: %d rows, error %v, want %d", len(all), err, len(rows))
	}
	if _, err := selectRows("begin"); err == nil {
		t.Error("no error for a row that there is not")
	}
}

// Each row has to be measured by somebody.
func TestEachRowHasAPart(t *testing.T) {
	b := &bench{}
	measured := map[string]bool{}
	for _, part := range b.parts() {
		for _, row := range part.rows {
			measured[row] = true
		}
	}
	for _, stage := range b.stages() {
		for _, row := range stage.rows {
			measured[row] = true
		}
	}
	for _, row := range rows {
		if !measured[row.name] {
			t.Errorf("nothing measures %s", row.name)
		}
		delete(measured, row.name)
	}
	for name := range measured {
		t.Errorf("%s is measured, but is no row", name)
	}
}

func TestFigures(t *testing.T) {
	r := newResults([]string{"start-cold", "rate"}, "/tmp/work")
	for _, seconds := range []float64{3, 1, 2, 4} {
		r.add("start-cold", "km", seconds)
		r.add("start-cold", "apart", 2*seconds)
		r.add("stop", "km", seconds) // is not selected
	}
	r.finish(4)
	km, apart := r.figures("start-cold", "km"), r.figures("start-cold", "apart")
	if km.Median != 2.5 || km.Min != 1 || km.Max != 4 {
		t.Errorf("median %v, least %v, most %v; want 2.5, 1, 4", km.Median, km.Min, km.Max)
	}
	if km.KMBy != 0 || apart.KMBy != 0.5 {
		t.Errorf("ratios %v and %v, want none and 0.5", km.KMBy, apart.KMBy)
	}
	if got := r.Rows[0].Better + ", " + r.Rows[1].Better; got != "less, more" {
		t.Errorf("better is %s", got)
	}
	if got := r.figures("rate", "km").text("pods/s"); got != "–" {
		t.Errorf("without samples: %s", got)
	}
}

func TestNumber(t *testing.T) {
	for n, want := range map[float64]string{0: "0", -2: "-2", 0.1234: "0.123", 1.234: "1.23", -12.34: "-12.3", 1234.5: "1234"} {
		if got := number(n); got != want {
			t.Errorf("number(%v) = %s, want %s", n, got, want)
		}
	}
}

func TestParseBenchmarks(t *testing.T) {
	const text = `goos: linux
BenchmarkLine/zap_by_itself-2         	  931041	      1257 ns/op	     392 B/op	       3 allocs/op
BenchmarkLine/zap_by_itself-2         	  931041	      1157 ns/op	     392 B/op	       3 allocs/op
BenchmarkLine/klog_by_itself,_structured-2         	  704187	      1744.5 ns/op
PASS
`
	want := map[string]map[string]float64{
		"zap_by_itself":              {"ns/op": 1157, "B/op": 392, "allocs/op": 3},
		"klog_by_itself,_structured": {"ns/op": 1744.5},
	}
	if diff := cmp.Diff(want, parseBenchmarks(text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEndOfLongestPause(t *testing.T) {
	begin := time.Now()
	var times []time.Time
	// the longest of all ends before the restart was asked for
	for _, ms := range []int{-900, -30, -10, 15, 40, 390, 415} {
		times = append(times, begin.Add(time.Duration(ms)*time.Millisecond))
	}
	if got := endOfLongestPause(times, begin).Sub(begin); got != 390*time.Millisecond {
		t.Errorf("it ends after %v, want 390ms", got)
	}
}

// A write that was acknowledged and is not there, or is another one, is lost; it is counted once.
func TestJournal(t *testing.T) {
	configMap := func(name, value string) *corev1.ConfigMap {
		meta := metav1.ObjectMeta{Namespace: corev1.NamespaceDefault, Name: name}
		return &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"name": value}}
	}
	there := fake.NewClientset(configMap("kept", "kept"), configMap("damaged", "other"), configMap("unknown", "unknown"))
	c := &cluster{client: &client{api: there}}
	j := &journal{acknowledged: map[string]bool{"kept": true, "damaged": true, "gone": true}}
	for _, want := range []int{2, 0} {
		if got, err := j.check(t.Context(), c); err != nil || got != want {
			t.Errorf("%d missing, error %v; want %d", got, err, want)
		}
	}
}
