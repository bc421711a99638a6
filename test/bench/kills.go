//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// longestLife is how long after it is ready km is killed at the latest.
const longestLife = 2 * time.Second

// killing kills km again and again while ConfigMaps are made, and looks whether all whose creation was acknowledged are
// there after the next start on the same state.
func (b *bench) killing(ctx context.Context, s side, dir string) error {
	random := rand.New(rand.NewPCG(b.seed, uint64(b.run)))
	j := &journal{acknowledged: map[string]bool{}}
	lost, failed := 0, 0
	for i := range b.kills + 1 {
		c, err := s.launch(ctx, dir, 1)
		switch {
		case ctx.Err() != nil || err != nil && i == 0:
			return err
		case err != nil:
			say("  start after kill %d failed: %v", i, err)
			b.results.note("kills: a start failed: %v", err)
			failed++
			continue
		}
		missing, err := j.check(ctx, c)
		if err == nil && i < b.kills {
			life := time.Duration(random.Int64N(int64(longestLife)))
			err = j.write(ctx, c, fmt.Sprintf("life-%d", i), life)
		}
		c.end()
		if err != nil {
			return err
		}
		lost += missing
	}
	writes := len(j.acknowledged) + lost
	say("  kills %d, acknowledged writes %d, lost %d, failed restarts %d", b.kills, writes, lost, failed)
	b.results.note("kills: seed %d: run %d: %d kills, %d acknowledged writes", b.seed, b.run+1, b.kills, writes)
	b.results.add("kills", s.name(), float64(lost))
	b.results.add("kills-failed", s.name(), float64(failed))
	return nil
}

// journal are the names of the ConfigMaps that must be there.
type journal struct {
	mu           sync.Mutex
	acknowledged map[string]bool
}

// check returns how many are not there, and forgets them.
func (j *journal) check(ctx context.Context, c *cluster) (missing int, err error) {
	list, err := c.client.api.CoreV1().ConfigMaps(corev1.NamespaceDefault).List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	there := map[string]bool{}
	for _, m := range list.Items {
		there[m.Name] = m.Data["name"] == m.Name
	}
	for name := range j.acknowledged {
		if !there[name] {
			missing++
			delete(j.acknowledged, name)
		}
	}
	return missing, nil
}

// write makes ConfigMaps over a few connections for a while, and then kills the cluster.
func (j *journal) write(ctx context.Context, c *cluster, prefix string, life time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var writers sync.WaitGroup
	defer writers.Wait()
	for w := range connections {
		connection, err := c.connect()
		if err != nil {
			return err
		}
		writers.Go(func() {
			defer connection.close()
			maps := connection.api.CoreV1().ConfigMaps(corev1.NamespaceDefault)
			for n := 0; ctx.Err() == nil; n++ {
				name := fmt.Sprintf("%s-%d-%d", prefix, w, n)
				_, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"name": name}},
					metav1.CreateOptions{})
				if err == nil {
					j.mu.Lock()
					j.acknowledged[name] = true
					j.mu.Unlock()
				}
			}
		})
	}
	if err := c.pause(ctx, life); err != nil {
		return err
	}
	p := c.processes()[0]
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	cancel()
	return nil
}
