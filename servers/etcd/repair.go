package etcd

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// RepairCommand is `km repair`. It is not `km etcd repair`, as what follows on `km etcd` is upstream's own command
// line.
func RepairCommand() *supervisor.Command {
	return &supervisor.Command{
		Name:  "repair",
		Short: "make room in the store of the cluster when it is full",
		Long: "Make room in the cluster's etcd, whether it runs or not: compact its database up to now, so that nothing is in it any more that was " +
			"written over or deleted, defragment it, and end the alarm that it has reached its quota, if it is below that then.\n\n" +
			"In a full store objects can be deleted, such as ConfigMaps, Secrets, Events and those of your own kinds, but not what the API server " +
			"marks first, which would write: pods, namespaces, and what has finalizers. etcd answers nobody while it is defragmented, which takes " +
			"some seconds for each gigabyte. Where several machines have a control plane, each has a database of its own: only that of this machine is " +
			"defragmented.",
		Complete: func(*supervisor.HyperKube, []string) []string { return []string{} },
		Run: func(ctx context.Context, hk *supervisor.HyperKube, p *supervisor.Plan, args []string) error {
			if len(args) > 0 {
				err := fmt.Errorf("repair takes no arguments, but there is %q; see `%s`", args[0], p.Command("repair", "--help"))
				return &supervisor.ExitError{Code: 2, Err: err}
			}
			return NewAccess(hk, p).repair(ctx)
		},
	}
}

// repair is `repair`.
func (a *Access) repair(ctx context.Context) error {
	const instead = "etcdctl compaction`, `etcdctl defrag` and `etcdctl alarm disarm"
	return a.Ask(ctx, "repair", instead, func(endpoint string, running bool) error {
		at, err := lastPlace(a.plan)
		if err != nil {
			return err
		}
		return a.repairAt(ctx, endpoint, at.Data, running)
	})
}

// repairAt makes room in the etcd that can be asked there, and whose data is in the folder.
func (a *Access) repairAt(ctx context.Context, endpoint, dir string, running bool) error {
	store, err := storeAt(endpoint, DatabaseIn(dir))
	if err != nil {
		return err
	}
	defer store.Close()
	r, err := store.makeRoom(ctx)
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted; nothing is lost")
	case err != nil:
		return fmt.Errorf("no room can be made in %s: %w", store.database, err)
	}
	unless := ""
	if !running {
		unless = " unless --etcd.quota-backend-bytes says otherwise"
	}
	fmt.Fprintf(a.hk.Out(), "%s: %s%s\n", store.database, r, unless)
	switch {
	case r.full():
		return fmt.Errorf("it is still full, and all of it is in use: %s", a.WhatHelps())
	case r.elsewhere > 0:
		return fmt.Errorf("%d other members of etcd have reached their quota, and nothing can be written as long as that is so: call `%s` on their "+
			"machines, too", r.elsewhere, a.plan.Command("repair"))
	case r.wasFull:
		fmt.Fprintln(a.hk.Out(), "it can be written to again")
	}
	if running && r.nearlyFull() {
		fmt.Fprintf(a.hk.Out(), "it will soon be full again: %s\n", a.WhatHelps())
	}
	return nil
}

// WhatHelps is what to do where there is not enough that is not needed.
func (a *Access) WhatHelps() string {
	return fmt.Sprintf("delete objects with `%s`, but not pods and namespaces, which would take a write, and call `%s` again; or stop %s, and start it "+
		"with a larger --etcd.quota-backend-bytes, such as %d",
		a.plan.Command(names.Kubectl, "delete", "KIND", "NAME"), a.plan.Command("repair"), a.hk.Name, largeQuota)
}

// largeQuota is the largest one that etcd recommends.
const largeQuota = 8 << 30
