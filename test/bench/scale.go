//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// How a cluster grows is seen at three sizes each: what takes a curve takes more for each one at the larger sizes.
var (
	nodeSizes = []int{250, 1000, 5000}
	podSizes  = []int{2500, 5000, 10000} // on podNodes, one after the other in the same cluster
)

const (
	podNodes   = 1000
	calm       = 20 * time.Second // until what belongs to the growth is over
	scaleLimit = 30 * time.Minute

	manyWatches  = 500
	watchedMaps  = 200
	watchPause   = 30 * time.Millisecond
	manyKinds    = 200
	kindObjects  = 5
	manyObjects  = 50_000
	objectBytes  = 1000
	kindMemories = "crds-200-memory"
)

// sized are the rows of one size.
func sized(what string, size int) []string {
	name := fmt.Sprintf("%s-%d", what, size)
	return []string{name, name + "-cpu", name + "-memory"}
}

func nodesWhat(n int) string { return fmt.Sprintf("exec → %d simulated nodes Ready", n) }

// scaleRows are the rows of all sizes.
func scaleRows() (all []row) {
	targets := map[string]string{"nodes-1000": "≤ 8 s", "nodes-5000": "≤ 40 s", "nodes-5000-memory": "≤ 100 kB",
		"pods-10000": "≥ 200 pods/s, ≥ 1.3 × apart", "pods-10000-memory": "≤ 40 kB"}
	add := func(name, what, unit string, more bool) {
		all = append(all, row{name, what, unit, targets[name], more, withApart})
	}
	for _, n := range nodeSizes {
		names := sized("nodes", n)
		add(names[0], nodesWhat(n), "s", false)
		add(names[1], "CPU for it and the rest of it, a node", "ms", false)
		add(names[2], "memory of it at rest, a node", "kB", false)
	}
	for i, n := range podSizes {
		names, from := sized("pods", n), 0
		if i > 0 {
			from = podSizes[i-1]
		}
		add(names[0], fmt.Sprintf("pods %d to %d on %d nodes, create → all Running", from+1, n, podNodes), "pods/s", true)
		add(names[1], "CPU for all so far, a pod", "ms", false)
		add(names[2], "memory of all so far at rest, a pod", "kB", false)
	}
	return append(all,
		row{"watch-events", fmt.Sprintf("%d watches get %d new ConfigMaps, CPU for one that one gets", manyWatches, watchedMaps), "µs", "", false, withApart},
		row{"crds-200", fmt.Sprintf("%d CustomResourceDefinitions, create → each has %d objects", manyKinds, kindObjects), "s", "", false, withApart},
		row{kindMemories, "memory of it at rest, a definition", "kB", "", false, withApart},
		row{"objects-50000", fmt.Sprintf("exec → all servers ready, on %d objects", manyObjects), "s", "≤ 0.4 × apart", false, withApart},
	)
}

// growth are the stages of scaleRows.
func (b *bench) growth() (all []stage) {
	for _, n := range nodeSizes {
		all = append(all, stage{fmt.Sprint(n, " nodes"), sized("nodes", n), func(ctx context.Context, s side, dir string) error {
			return b.growNodes(ctx, s, dir, n)
		}})
	}
	var names []string
	for _, n := range podSizes {
		names = append(names, sized("pods", n)...)
	}
	return append(all,
		stage{"pods on many nodes", names, b.growPods},
		stage{"many watches", []string{"watch-events"}, b.growWatches},
		stage{"many definitions", []string{"crds-200", kindMemories}, b.growKinds},
		stage{"many objects", []string{"objects-50000"}, b.growObjects},
	)
}

// use is what a cluster has used and takes: CPU time in seconds, and memory in megabytes, without pages of files.
type use struct{ cpu, memory float64 }

func (u use) less(other use) use { return use{u.cpu - other.cpu, u.memory - other.memory} }

// used is that of a cluster that has rested.
func (c *cluster) used(ctx context.Context) (u use, err error) {
	if err = c.pause(ctx, calm); err != nil {
		return u, err
	}
	if u.cpu, err = c.sum((*proc).cpu); err != nil {
		return u, err
	}
	u.memory, err = c.sum((*proc).anonymous)
	return u, err
}

// each notes what each of n has taken.
func (b *bench) each(names []string, s side, u use, n int) {
	say("  %s: %.1f ms, %.0f kB each", names[0], 1e3*u.cpu/float64(n), 1e3*u.memory/float64(n))
	b.results.add(names[1], s.name(), 1e3*u.cpu/float64(n))
	b.results.add(names[2], s.name(), 1e3*u.memory/float64(n))
}

// alone is what a cluster with one node takes, measured once in a run.
func (b *bench) alone(ctx context.Context, s side, dir string) (use, error) {
	key := fmt.Sprint(s.name(), b.run)
	if u, ok := b.ones[key]; ok {
		return u, nil
	}
	defer os.RemoveAll(dir)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return use{}, err
	}
	c, err := s.launch(ctx, dir, 1)
	if err != nil {
		return use{}, err
	}
	defer c.end()
	u, err := c.used(ctx)
	if err == nil {
		b.ones[key] = u
	}
	return u, err
}

func (b *bench) growNodes(ctx context.Context, s side, dir string, n int) error {
	ctx, cancel := context.WithTimeout(ctx, scaleLimit)
	defer cancel()
	one, err := b.alone(ctx, s, dir+"-one")
	if err != nil {
		return err
	}
	c, err := s.launch(ctx, dir, n)
	if err != nil {
		return err
	}
	defer c.end()
	names := sized("nodes", n)
	b.started(names[0], s, c)
	u, err := c.used(ctx)
	if err != nil {
		return err
	}
	b.each(names, s, u.less(one), n-1)
	return nil
}

func (b *bench) growPods(ctx context.Context, s side, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, scaleLimit)
	defer cancel()
	c, err := s.launch(ctx, dir, podNodes)
	if err != nil {
		return err
	}
	defer c.end()
	if err := c.client.nodes(ctx, podNodes, true); err != nil {
		return fmt.Errorf("nodes: %w", err)
	}
	before, err := c.used(ctx)
	if err != nil {
		return err
	}
	from := 0
	for _, n := range podSizes {
		rate, err := c.podRate(ctx, from, n)
		if err != nil {
			return err
		}
		names := sized("pods", n)
		say("  %s %.0f pods/s", names[0], rate)
		b.results.add(names[0], s.name(), rate)
		u, err := c.used(ctx)
		if err != nil {
			return err
		}
		b.each(names, s, u.less(before), n)
		from = n
	}
	return nil
}

// makeMaps makes ConfigMaps of some size, many at a time.
func (c *cluster) makeMaps(ctx context.Context, n, size int) error {
	text := strings.Repeat("x", size)
	return c.makeMany(ctx, n, func(ctx context.Context, connection *client, i int) error {
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("map-%d", i)}, Data: map[string]string{"text": text}}
		_, err := connection.api.CoreV1().ConfigMaps(corev1.NamespaceDefault).Create(ctx, object, metav1.CreateOptions{})
		return err
	})
}

// growWatches measures what it takes that many watches get the same objects.
func (b *bench) growWatches(ctx context.Context, s side, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, podLimit)
	defer cancel()
	c, err := s.launch(ctx, dir, 1)
	if err != nil {
		return err
	}
	defer c.end()
	if err := c.pause(ctx, settle); err != nil {
		return err
	}
	var lines lineCounter
	ended, err := c.watch(ctx, manyWatches, &lines, func(api rest.Interface, _ int) *rest.Request {
		return api.Get().Namespace(corev1.NamespaceDefault).Resource("configmaps").SetHeader("Accept", "application/json")
	})
	if err != nil {
		return err
	}
	if err := c.pause(ctx, time.Second); err != nil { // what is there already
		return err
	}
	before, err := c.sum((*proc).cpu)
	if err != nil {
		return err
	}
	there := lines.Load()
	for i := range watchedMaps {
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("watched-%d", i)}}
		if _, err := c.client.api.CoreV1().ConfigMaps(corev1.NamespaceDefault).Create(ctx, object, metav1.CreateOptions{}); err != nil {
			return err
		}
		// Whoever does not keep up loses its watch.
		if err := c.pause(ctx, watchPause); err != nil {
			return err
		}
	}
	err = c.poll(ctx, "events", func() error {
		if got := lines.Load() - there; got < manyWatches*watchedMaps {
			return fmt.Errorf("%d of %d events, and %d watches have ended", got, manyWatches*watchedMaps, ended.Load())
		}
		return nil
	})
	if err != nil {
		return err
	}
	after, err := c.sum((*proc).cpu)
	if err != nil {
		return err
	}
	each := 1e6 * (after - before) / (manyWatches * watchedMaps)
	say("  watch-events %.1f µs", each)
	b.results.add("watch-events", s.name(), each)
	return nil
}

// lineCounter is a writer that counts lines. Each event of a watch is one.
type lineCounter struct{ atomic.Int64 }

func (l *lineCounter) Write(text []byte) (int, error) {
	l.Add(int64(bytes.Count(text, []byte("\n"))))
	return len(text), nil
}

// growKinds makes many CustomResourceDefinitions, and objects of each.
func (b *bench) growKinds(ctx context.Context, s side, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, scaleLimit)
	defer cancel()
	c, err := s.launch(ctx, dir, 1)
	if err != nil {
		return err
	}
	defer c.end()
	before, err := c.used(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	err = c.makeMany(ctx, manyKinds, func(ctx context.Context, connection *client, i int) error {
		if err := connection.post(ctx, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition(i)); err != nil {
			return err
		}
		for j := range kindObjects {
			object := map[string]any{"apiVersion": "bench.example.com/v1", "kind": fmt.Sprint("Toy", i),
				"metadata": map[string]any{"name": fmt.Sprint("toy-", j)}, "spec": map[string]any{"text": "x"}}
			// It is served a moment after it has been defined.
			err := c.poll(ctx, "an object", func() error {
				err := connection.post(ctx, fmt.Sprintf("/apis/bench.example.com/v1/namespaces/default/toy%ds", i), object)
				return ignore(err, apierrors.IsAlreadyExists)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	took := time.Since(begin)
	say("  crds-200 %.1f s", took.Seconds())
	b.results.add("crds-200", s.name(), took.Seconds())
	u, err := c.used(ctx)
	if err != nil {
		return err
	}
	b.results.add(kindMemories, s.name(), 1e3*u.less(before).memory/manyKinds)
	return nil
}

func definition(i int) *apiextensionsv1.CustomResourceDefinition {
	name := fmt.Sprint("toy", i)
	return &apiextensionsv1.CustomResourceDefinition{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{Name: name + "s.bench.example.com"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "bench.example.com", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: name + "s", Singular: name, Kind: fmt.Sprint("Toy", i)},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"spec": {Type: "object",
						Properties: map[string]apiextensionsv1.JSONSchemaProps{"text": {Type: "string"}}}},
				}},
			}},
		},
	}
}

// post creates an object at a path.
func (c *client) post(ctx context.Context, path string, object any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return c.api.CoreV1().RESTClient().Verb(http.MethodPost).AbsPath(path).SetHeader("Content-Type", "application/json").
		SetHeader("Accept", "application/json").Body(body).Do(ctx).Error()
}

// growObjects starts a cluster on the state of one with many objects.
func (b *bench) growObjects(ctx context.Context, s side, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, scaleLimit)
	defer cancel()
	if err := b.fill(ctx, s, dir); err != nil {
		return err
	}
	c, err := s.launch(ctx, dir, 1)
	if err != nil {
		return err
	}
	defer c.end()
	b.started("objects-50000", s, c)
	return nil
}

func (b *bench) fill(ctx context.Context, s side, dir string) error {
	c, err := s.launch(ctx, dir, 1)
	if err != nil {
		return err
	}
	defer c.end()
	if err := c.makeMaps(ctx, manyObjects, objectBytes); err != nil {
		return err
	}
	_, err = c.stop(ctx)
	return err
}
