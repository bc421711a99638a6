package robustness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

const (
	namespace = "default"
	prefix    = "k-" // of all objects of the run: controllers make others
	resource  = "configmaps"
	sideLabel = "side"
	// keys is how many objects there are. Few of them have clients meet.
	keys = 4
	// opLimit is after what time a client does not wait for its answer any more: it is open then.
	opLimit = 5 * time.Second
)

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}

// client does one operation after the other. None is tried again by client-go: that would be two operations.
type client struct {
	run    *run
	id     int
	random *rand.Rand
	life   int // of km, for which rest is
	rest   rest.Interface
	count  int // of values
	known  map[string]object
	newest int64 // of all resourceVersions that it has seen
}

func newClient(r *run, id int) *client {
	return &client{run: r, id: id, random: rand.New(rand.NewPCG(r.seed, uint64(id)+100)), known: map[string]object{}}
}

// connect has it talk to the km that runs now, which may have another port than the one before.
func (c *client) connect() error {
	life, config := c.run.current()
	if config == nil {
		return errors.New("km has not been started")
	}
	if c.rest != nil && life == c.life {
		return nil
	}
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	c.life, c.rest = life, set.CoreV1().RESTClient()
	return nil
}

// loop goes on until ctx ends.
func (c *client) loop(ctx context.Context) {
	for ctx.Err() == nil {
		if o := c.do(ctx, c.choose()); o.Answer == open {
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

func (c *client) value() string {
	c.count++
	return fmt.Sprintf("%d.%d%c", c.id, c.count, 'a'+rune(c.random.IntN(2)))
}

// choose is what it does next.
func (c *client) choose() operation {
	key := prefix + strconv.Itoa(c.random.IntN(keys))
	o := operation{Client: c.id, Key: key, NotOlder: now}
	known, there := c.known[key]
	switch n := c.random.IntN(100); {
	case n < 30 && there: // as of what it has seen, which may be old by now
		o.Verb, o.Value, o.Expected = update, c.value(), known.RV
	case n < 45:
		o.Verb, o.Value = create, c.value()
	case n < 50 && there:
		o.Verb, o.Expected = remove, known.RV
	case n < 55:
		o.Verb = remove
	case n < 75:
		o.Verb = get
	case n < 85:
		o.Verb, o.NotOlder = get, c.any()
	case n < 93:
		o.Verb, o.Key = list, ""
	default:
		o.Verb, o.Key, o.NotOlder = list, "", c.any()
	}
	return o
}

// any is a resourceVersion for a read that may be old.
func (c *client) any() int64 {
	if c.random.IntN(3) == 0 {
		return 0
	}
	return c.newest
}

func version(o operation) string {
	if o.NotOlder == now {
		return ""
	}
	return strconv.FormatInt(o.NotOlder, 10)
}

// do asks, and records it.
func (c *client) do(ctx context.Context, o operation) operation {
	o.Call = c.run.time()
	err := c.connect()
	if err == nil {
		one, cancel := context.WithTimeout(ctx, opLimit)
		err = c.ask(one, &o)
		cancel()
	}
	o.Answer = answerOf(err, o)
	o.Return = c.run.time()
	switch o.Answer {
	case done:
		switch o.Verb {
		case create, update:
			c.known[o.Key] = object{o.RV, o.Value}
		case get:
			c.known[o.Key] = object{o.RV, o.Read}
		case remove:
			delete(c.known, o.Key)
		case list:
			c.known = maps.Clone(o.Items)
		}
		c.newest = max(c.newest, o.RV)
	case absent, conflict:
		delete(c.known, o.Key)
	}
	if apierrors.IsForbidden(err) {
		c.run.broken(fmt.Errorf("who may do all is told that he may not, which clients take as final: %v: %w", o, err))
	}
	c.run.record(o, err)
	return o
}

// answerOf is how it ended. What is not plainly an answer about the object leaves open what has happened.
func answerOf(err error, o operation) answer {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return done
	case !errors.As(err, &status):
		return open
	case apierrors.IsAlreadyExists(err) && o.Verb == create:
		return exists
	case apierrors.IsConflict(err) && o.Expected != 0:
		return conflict
	case apierrors.IsNotFound(err) && status.Status().Details != nil && status.Status().Details.Name == o.Key && o.Verb != list:
		return absent
	case apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
		return expired
	}
	return open
}

// ask fills in what is answered.
func (c *client) ask(ctx context.Context, o *operation) error {
	written := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: o.Key, Labels: map[string]string{sideLabel: side(o.Value)}},
		Data:       map[string]string{"value": o.Value},
	}
	on := func(r *rest.Request) *rest.Request { return r.Namespace(namespace).Resource(resource).MaxRetries(0) }
	var got corev1.ConfigMap
	var err error
	switch o.Verb {
	case create:
		err = on(c.rest.Post()).Body(written).Do(ctx).Into(&got)
	case update:
		written.ResourceVersion = strconv.FormatInt(o.Expected, 10)
		err = on(c.rest.Put()).Name(o.Key).Body(written).Do(ctx).Into(&got)
	case remove:
		var options metav1.DeleteOptions
		if o.Expected != 0 {
			expected := strconv.FormatInt(o.Expected, 10)
			options.Preconditions = &metav1.Preconditions{ResourceVersion: &expected}
		}
		return on(c.rest.Delete()).Name(o.Key).Body(&options).Do(ctx).Error()
	case get:
		options := metav1.GetOptions{ResourceVersion: version(*o)}
		err = on(c.rest.Get()).Name(o.Key).VersionedParams(&options, scheme.ParameterCodec).Do(ctx).Into(&got)
	case list:
		return c.askList(ctx, o, on)
	}
	if err != nil {
		return err
	}
	if o.Verb == get {
		o.Read = got.Data["value"]
	} else if got.Data["value"] != o.Value {
		return fmt.Errorf("the answer has %q", got.Data["value"])
	}
	o.RV, err = strconv.ParseInt(got.ResourceVersion, 10, 64)
	return err
}

// askList lists, now and then page by page.
func (c *client) askList(ctx context.Context, o *operation, on func(*rest.Request) *rest.Request) error {
	options := metav1.ListOptions{ResourceVersion: version(*o)}
	if o.NotOlder == now && c.random.IntN(3) == 0 {
		options.Limit = 2
	}
	o.Items = map[string]object{}
	for {
		var page corev1.ConfigMapList
		if err := on(c.rest.Get()).VersionedParams(&options, scheme.ParameterCodec).Do(ctx).Into(&page); err != nil {
			return err
		}
		rv, err := strconv.ParseInt(page.ResourceVersion, 10, 64)
		if err != nil {
			return err
		}
		if o.RV != 0 && rv != o.RV {
			c.run.broken(fmt.Errorf("a page of a list is of %d, and the one before of %d", rv, o.RV))
		}
		o.RV = rv
		for _, item := range page.Items {
			if !strings.HasPrefix(item.Name, prefix) {
				continue
			}
			rv, err := strconv.ParseInt(item.ResourceVersion, 10, 64)
			if err != nil {
				return err
			}
			if _, twice := o.Items[item.Name]; twice {
				c.run.broken(fmt.Errorf("a list has %s twice", item.Name))
			}
			o.Items[item.Name] = object{rv, item.Data["value"]}
		}
		if page.Continue == "" {
			return nil
		}
		options.Continue = page.Continue
		options.ResourceVersion = ""
	}
}

// watcher watches, and goes on where it was when a watch has ended. Only when it is told that this is too old, it
// lists again.
type watcher struct {
	client
	name string
	side string
	// rests is after how many events it ends a watch, and lets as many operations pass before the next one; 0: it does
	// not.
	rests int
	// last is up to where it has seen all.
	last int64
}

func newWatcher(r *run, id int, name, side string, rests int) *watcher {
	return &watcher{client: *newClient(r, id), name: name, side: side, rests: rests}
}

func (w *watcher) loop(ctx context.Context) {
	for ctx.Err() == nil {
		if w.last == 0 {
			if o := w.do(ctx, operation{Client: w.id, Verb: list, NotOlder: now}); o.Answer == done {
				w.see(o.RV)
			} else {
				w.pause(ctx)
				continue
			}
		}
		s := watched{Watcher: w.name, Side: w.side, From: w.last}
		err := w.watch(ctx, &s)
		w.run.recordWatch(s)
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			w.last = 0
			w.run.relisted()
		}
		if w.rests > 0 && err == nil {
			if w.run.after(ctx, w.rests) == nil {
				continue
			}
		}
		w.pause(ctx)
	}
}

func (w *watcher) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(50 * time.Millisecond):
	}
}

func (w *watcher) see(rv int64) {
	w.last = rv
	w.run.seen(w.name, rv)
}

// watch watches until the watch ends. It returns what the server says is wrong.
func (w *watcher) watch(ctx context.Context, s *watched) error {
	if err := w.connect(); err != nil {
		return err
	}
	options := metav1.ListOptions{Watch: true, AllowWatchBookmarks: true, ResourceVersion: strconv.FormatInt(w.last, 10)}
	if w.side != "" {
		options.LabelSelector = sideLabel + "=" + w.side
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.rest.Get().Namespace(namespace).Resource(resource).MaxRetries(0).
		VersionedParams(&options, scheme.ParameterCodec).Watch(ctx)
	if err != nil {
		return err
	}
	defer stream.Stop()
	for {
		select {
		case e, ok := <-stream.ResultChan():
			if !ok {
				return errors.New("the watch has ended")
			}
			if e.Type == watch.Error {
				return apierrors.FromObject(e.Object)
			}
			o, ok := e.Object.(*corev1.ConfigMap)
			if !ok {
				return fmt.Errorf("%T in a watch", e.Object)
			}
			rv, err := strconv.ParseInt(o.ResourceVersion, 10, 64)
			if err != nil {
				return err
			}
			seen := event{Type: string(e.Type), RV: rv}
			if e.Type != watch.Bookmark {
				if !strings.HasPrefix(o.Name, prefix) {
					continue
				}
				seen.Key, seen.Value = o.Name, o.Data["value"]
			}
			s.Events = append(s.Events, seen)
			w.see(rv)
			if w.rests > 0 && len(s.Events) >= w.rests {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
