package robustness

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
)

func (r *run) etcd() (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(r.home.dataDir(), "etcd.sock")}, DialTimeout: patience})
}

// readHistory reads from etcd what has changed since it was read last, up to the revision at least.
func (r *run) readHistory(ctx context.Context, upTo int64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := r.etcd()
	if err != nil {
		return err
	}
	defer client.Close()
	const root = "/registry/" + resource + "/" + namespace + "/"
	watch := client.Watch(clientv3.WithRequireLeader(ctx), root+prefix, clientv3.WithPrefix(), clientv3.WithRev(r.read+1))
	for r.read < upTo {
		response, ok := <-watch
		if !ok {
			err := ctx.Err()
			if errors.Is(err, context.DeadlineExceeded) {
				err = errHang
			}
			return fmt.Errorf("etcd's history ends at %d, and not at %d: %w", r.read, upTo, err)
		}
		if err := response.Err(); err != nil {
			return fmt.Errorf("etcd's history after %d: %w", r.read, err)
		}
		for _, e := range response.Events {
			c := change{RV: e.Kv.ModRevision, Key: strings.TrimPrefix(string(e.Kv.Key), root), Deleted: e.Type == clientv3.EventTypeDelete}
			if !c.Deleted {
				o, _, err := scheme.Codecs.UniversalDeserializer().Decode(e.Kv.Value, nil, nil)
				if err != nil {
					return fmt.Errorf("%s at %d: %w", c.Key, c.RV, err)
				}
				c.Value = o.(*corev1.ConfigMap).Data["value"]
			}
			r.history, r.read = append(r.history, c), c.RV
		}
	}
	return nil
}

// mark writes an object on one side, and returns its revision.
func (r *run) mark(ctx context.Context, c *client, side rune) (int64, error) {
	var rv int64
	n := 0
	err := poll(ctx, "a write", func(ctx context.Context) (bool, error) {
		n++
		o := c.do(ctx, operation{
			Client: c.id, Verb: create, NotOlder: now,
			Key:   fmt.Sprintf("%smark-%d-%d%c", prefix, len(r.history), n, side),
			Value: fmt.Sprintf("%d.mark%d.%d%c", c.id, len(r.history), n, side),
		})
		rv = o.RV
		return o.Answer == done, nil
	})
	return rv, err
}
