// Package storage makes the volumes that pods on this machine claim: folders in the data folder.
package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	nodeutil "k8s.io/component-helpers/node/util"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
	"github.com/seed-200a7251/km/supervisor/mounts"
)

// identity may do what Kubernetes' own role for provisioners allows, and make a StorageClass.
var identity = cluster.Identity{
	OnNodes: true,
	Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"storage.k8s.io"}, Resources: []string{"storageclasses"}, Verbs: []string{"create"}},
	},
	Bindings: []cluster.Binding{{Name: "km:storage-provisioner", ClusterRole: "system:persistent-volume-provisioner"}},
}

// New returns the server.
func New(c *cluster.Cluster) *supervisor.Server {
	v := &volumes{cluster: c, started: supervisor.NewHandoff[struct{}]()}
	return &supervisor.Server{
		SimpleUsage: names.Storage,
		Long: "Volumes for PersistentVolumeClaims: a folder of this machine for each, made when its pod is scheduled here, and removed " +
			"with it. It joins where the executor runs real containers, and makes the StorageClass " + Class + " the default one.",
		AddFlags:     addFlags,
		State:        append([]string{"volumes/pvc-*"}, c.Identify(names.Storage, identity)...),
		Packages:     []string{"sigs.k8s.io/sig-storage-lib-external-provisioner"},
		ProcessFlags: []string{component.JoinFlag},
		Needs: []supervisor.Need{
			{Server: names.APIServer, Unless: []string{"kubeconfig", component.JoinFlag}},
			cluster.AfterMachine,
		},
		Defaults: defaults,
		Check:    v.check,
		Prepare:  v.prepare,
		Run:      v.run,
		Ready:    v.ready,
		// A controller runs once, and making one adds types to client-go's Scheme, which the other servers read all the
		// time.
		StartsOnce: func(*supervisor.Server) bool { return true },
		Address:    func(s *supervisor.Server) string { return s.Value("dir") },
	}
}

// volumes makes them.
type volumes struct {
	cluster *cluster.Cluster
	started supervisor.Handoff[struct{}]

	dir        string
	unanswered *unanswered // nil where the apiserver is elsewhere: the storage beside it tells of all claims
	node       string
	client     kubernetes.Interface
	controller *controller.ProvisionController
}

func addFlags(s *supervisor.Server) {
	fs := pflag.NewFlagSet(names.Storage, pflag.ContinueOnError)
	fs.String("dir", "volumes", "folder for the volumes; beside others, the default is in the data folder")
	fs.String("kubeconfig", "", "kubeconfig of a cluster elsewhere")
	s.AddFlagGroup(names.Storage, fs)
	component.AddJoin(s)
}

func defaults(p *supervisor.Plan, s *supervisor.Server) error {
	pairs := []string{"dir", p.Path("volumes")}
	if cluster.HasKubeconfigs(p) {
		pairs = append(pairs, "kubeconfig", cluster.KubeconfigPath(p, names.Storage))
	}
	return s.Default(pairs...)
}

func (v *volumes) check(_ context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	if err := cluster.CheckJoin(p, s); err != nil {
		return err
	}
	if s.Value("kubeconfig") == "" {
		return errors.New("storage: there is no apiserver in the list: name the cluster with --storage.kubeconfig")
	}
	if _, err := cluster.NodeName(p); err != nil {
		return err
	}
	return cluster.CheckKubeconfig(s)
}

func (v *volumes) prepare(ctx context.Context, p *supervisor.Plan, s *supervisor.Server) (err error) {
	if v.node, err = cluster.NodeName(p); err != nil {
		return err
	}
	if err := v.cluster.PrepareClient(ctx, p, s); err != nil {
		return err
	}
	// Not in run: see StartsOnce.
	if err := v.make(ctx, s); err != nil {
		return err
	}
	if p.Selected(names.APIServer) {
		v.unanswered = newUnanswered(v.client, v.node, s.Command("run", names.Minion+","+names.Storage))
	}
	return nil
}

// make makes the controller.
func (v *volumes) make(ctx context.Context, s *supervisor.Server) (err error) {
	if v.dir, err = filepath.Abs(s.Value("dir")); err != nil {
		return err
	}
	if v.client, err = cluster.Client(s.Value("kubeconfig")); err != nil {
		return err
	}
	v.controller = controller.NewProvisionController(ctx, v.client, Provisioner, v, controller.LeaderElection(false))
	return nil
}

func (v *volumes) run(ctx context.Context, s *supervisor.Server, _ []string) (err error) {
	if v.client == nil { // it is alone in the process
		if v.node, err = nodeutil.GetHostname(""); err != nil {
			return err
		}
		if err := v.make(ctx, s); err != nil {
			return err
		}
	}
	if err := v.cluster.Insist(ctx, s, func(ctx context.Context) error { return EnsureClass(ctx, v.client) }); err != nil {
		return err
	}
	go func() {
		err := wait.PollUntilContextCancel(ctx, 10*time.Millisecond, true, func(context.Context) (bool, error) { return v.controller.HasRun(), nil })
		if err == nil {
			v.started <- struct{}{}
		}
	}()
	if v.unanswered != nil {
		go v.unanswered.run(ctx)
	}
	v.controller.Run(ctx)
	return nil
}

func (v *volumes) ready(ctx context.Context, _ *supervisor.Server) error {
	_, err := v.started.Get(ctx)
	return err
}

// ShouldProvision reports whether a claim is for this machine. It is that of a controller.Qualifier, which is asked
// about claims of other classes, too.
func (v *volumes) ShouldProvision(ctx context.Context, claim *corev1.PersistentVolumeClaim) bool {
	node, waits := claim.Annotations[SelectedNode]
	if !waits || node == v.node {
		return true // a class of the user's may have volumes made at once
	}
	if v.unanswered != nil && claim.Annotations[AskedProvisioner] == Provisioner && claim.Spec.VolumeName == "" {
		v.unanswered.add(ctx, claim)
	}
	return false
}

// ShouldDelete reports whether a volume is of this machine. It is that of a controller.DeletionGuard. The folder tells,
// as machines have theirs at the same path, and get other names.
func (v *volumes) ShouldDelete(_ context.Context, pv *corev1.PersistentVolume) bool {
	if IsSimulated(pv) || pv.Spec.NodeAffinity == nil || pv.Spec.NodeAffinity.Required == nil {
		return true
	}
	_, err := os.Lstat(filepath.Join(v.dir, pv.Name))
	return err == nil || slices.Contains(nodesOf(pv), v.node)
}

// onNodes is the affinity of a volume that the nodes of these names can have.
func onNodes(names ...string) *corev1.VolumeNodeAffinity {
	return &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: names}},
	}}}}
}

// nodesOf are the names of the nodes that can have a volume.
func nodesOf(pv *corev1.PersistentVolume) (names []string) {
	for _, term := range pv.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			if e.Key == corev1.LabelHostname && e.Operator == corev1.NodeSelectorOpIn {
				names = append(names, e.Values...)
			}
		}
	}
	return names
}

// Provision makes the folder of a claim. It is that of a controller.Provisioner.
func (v *volumes) Provision(_ context.Context, o controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	if o.PVC.Spec.Selector != nil {
		return nil, controller.ProvisioningFinished, errors.New("a folder has no properties that the claim's selector could choose by")
	}
	if !isFolderName(o.PVName) {
		return nil, controller.ProvisioningFinished, fmt.Errorf("%q is no name for a folder", o.PVName)
	}
	path := filepath.Join(v.dir, o.PVName)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, controller.ProvisioningNoChange, err
	}
	// Containers run as whoever they like; the folder above is not for everybody.
	if err := os.Chmod(path, 0o777); err != nil {
		return nil, controller.ProvisioningNoChange, err
	}
	pv := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: ptr.Deref(o.StorageClass.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete),
			AccessModes:                   o.PVC.Spec.AccessModes,
			MountOptions:                  o.StorageClass.MountOptions,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: o.PVC.Spec.Resources.Requests[corev1.ResourceStorage]},
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
			NodeAffinity:                  onNodes(v.node),
		},
	}
	return pv, controller.ProvisioningFinished, nil
}

// Delete removes the folder of a volume. It is that of a controller.Provisioner.
func (v *volumes) Delete(_ context.Context, pv *corev1.PersistentVolume) error {
	if IsSimulated(pv) {
		return nil // from when the nodes were
	}
	name := ""
	if pv.Spec.Local != nil {
		name, _ = strings.CutPrefix(pv.Spec.Local.Path, v.dir+string(filepath.Separator))
	}
	// Who may make a PersistentVolume may name any path in it, such as one with "..", and need not be root on this
	// machine.
	if name != pv.Name || !isFolderName(name) {
		return &controller.IgnoredError{Reason: fmt.Sprintf("the volume %s is not the folder of its name in %s", pv.Name, v.dir)}
	}
	folder, err := os.OpenRoot(v.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := mounts.Check(pv.Spec.Local.Path); err != nil {
		return err
	}
	return folder.RemoveAll(name) // links in it, which containers may make, are not followed
}

// isFolderName reports whether a name is that of something in a folder.
func isFolderName(name string) bool {
	return filepath.IsLocal(name) && filepath.Base(name) == name && name != "."
}
