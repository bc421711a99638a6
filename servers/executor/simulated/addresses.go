package simulated

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"
	"sigs.k8s.io/kwok/pkg/utils/gotpl"
)

// addresses gives each pod its address, in place of kwok's own pool. That one does not know the pods of an earlier life
// which it has nothing to do for, goes on into the next node's range when one is full, keeps what a finished pod had,
// and gives a pod another address each time it is asked, so that a Stage that is played twice makes it have two
// (pkg/kwok/controllers/utils.go, ipPool).
//
// Who has which address is read from the pods: before the first one is given, and again when a range seems to be full.
// Nothing has to be watched for that.
type addresses struct {
	client kubernetes.Interface
	nodes  follower[*corev1.Node]
	// spare is the range for nodes that have none, and for those whose own is full: without what other nodes have of
	// it.
	spare netip.Prefix

	mu     sync.Mutex
	looked bool
	held   map[types.UID][]netip.Addr
	holder map[netip.Addr]types.UID
	last   map[netip.Prefix]netip.Addr // the last one given: an address that is free again is not soon another pod's
	given  int                         // since the pods were last looked at
}

// minGiven is how many addresses are given at least before all pods are looked at again.
const minGiven = 128

func newAddresses(client kubernetes.Interface, nodes follower[*corev1.Node], spare string) *addresses {
	return &addresses{client: client, nodes: nodes, spare: netip.MustParsePrefix(spare).Masked(), last: map[netip.Prefix]netip.Addr{}}
}

// functions are those of kwok's templates that have to do with pods' addresses.
func (a *addresses) functions(ctx context.Context) gotpl.FuncMap {
	ips := func(nodeName string, hostNetwork bool, uid, _, _ string) ([]string, error) {
		node, err := nodeNamed(ctx, a.client, a.nodes, nodeName)
		if err != nil {
			return nil, err
		}
		if hostNetwork {
			return hostAddresses(node), nil
		}
		return a.of(ctx, types.UID(uid), node)
	}
	return gotpl.FuncMap{
		"PodIPsWith": ips,
		"PodIPWith": func(nodeName string, hostNetwork bool, uid, name, namespace string) (string, error) {
			all, err := ips(nodeName, hostNetwork, uid, name, namespace)
			if err != nil {
				return "", err
			}
			return all[0], nil
		},
		// It does not say for whom.
		"PodIP": func() (string, error) {
			all, err := a.of(ctx, "", &corev1.Node{})
			if err != nil {
				return "", err
			}
			return all[0], nil
		},
	}
}

// hostAddresses are those of a node's host: one of each family.
func hostAddresses(node *corev1.Node) []string {
	var found []netip.Addr
	for _, kind := range []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP} {
		for _, address := range node.Status.Addresses {
			ip, err := netip.ParseAddr(address.Address)
			if address.Type == kind && err == nil && !slices.ContainsFunc(found, func(f netip.Addr) bool { return f.Is4() == ip.Is4() }) {
				found = append(found, ip)
			}
		}
	}
	if len(found) == 0 {
		return []string{nodeIP}
	}
	return texts(found)
}

func texts(addresses []netip.Addr) []string {
	found := make([]string, len(addresses))
	for i, address := range addresses {
		found[i] = address.String()
	}
	return found
}

// ranges are a node's for its pods: one of each family, or none.
func ranges(node *corev1.Node) []netip.Prefix {
	cidrs := node.Spec.PodCIDRs
	if len(cidrs) == 0 && node.Spec.PodCIDR != "" {
		cidrs = []string{node.Spec.PodCIDR}
	}
	var found []netip.Prefix
	for _, cidr := range cidrs {
		if prefix, err := netip.ParsePrefix(cidr); err == nil {
			found = append(found, prefix.Masked())
		}
	}
	return found
}

// of are the addresses of a pod: those that it has, or free ones.
func (a *addresses) of(ctx context.Context, uid types.UID, node *corev1.Node) ([]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.looked {
		if err := a.look(ctx); err != nil {
			return nil, err
		}
	}
	if has := a.held[uid]; len(has) > 0 && uid != "" {
		return texts(has), nil
	}
	own := ranges(node)
	if len(own) == 0 {
		own = []netip.Prefix{{}}
	}
	var found []netip.Addr
	for _, r := range own {
		address, err := a.free(ctx, r)
		if err != nil {
			return nil, err
		}
		found = append(found, address)
	}
	for _, address := range found {
		a.holder[address] = uid
	}
	a.held[uid] = found
	a.given++
	return texts(found), nil
}

// free is an address of the range that nobody has, or, where that is full, of the spare one. A range that is none
// stands for that.
func (a *addresses) free(ctx context.Context, r netip.Prefix) (netip.Addr, error) {
	if address, ok := a.next(r); ok {
		return address, nil
	}
	// Pods have gone since, as a rule. Where they have not, all are not looked at for each that comes.
	if a.given >= max(minGiven, len(a.held)/8) {
		if err := a.look(ctx); err != nil {
			return netip.Addr{}, err
		}
		if address, ok := a.next(r); ok {
			return address, nil
		}
	}
	if r.IsValid() && r.Addr().Is4() {
		if address, ok := a.nextSpare(); ok {
			return address, nil
		}
	}
	if err := a.look(ctx); err != nil {
		return netip.Addr{}, err
	}
	if address, ok := a.next(r); ok {
		return address, nil
	}
	own := ""
	if r.IsValid() {
		own = fmt.Sprintf("the node's range %v has no free address, and ", r)
	}
	return netip.Addr{}, later(fmt.Errorf("%s%v has none beside the ranges of nodes: delete pods, or use a larger --executor.pod-cidr", own, a.spare))
}

// later makes of an error one that kwok tries again after.
func later(err error) error { return apierrors.NewTooManyRequests(err.Error(), 1) }

// next is the next address of a node's range that nobody has, after the last one that was given.
func (a *addresses) next(r netip.Prefix) (netip.Addr, bool) {
	if !r.IsValid() {
		return a.nextSpare()
	}
	address, ok := a.last[r]
	if !ok {
		address = r.Addr()
	}
	// Of so many one is free, unless the range is smaller.
	for range min(len(a.holder)+3, size(r)) {
		if address = address.Next(); !r.Contains(address) {
			address = r.Addr()
		}
		if a.isFree(r, address) {
			a.last[r] = address
			return address, true
		}
	}
	return netip.Addr{}, false
}

// nextSpare is the next address of the spare range that nobody has and that is in no node's range. Nodes have theirs
// from its beginning: it is looked through from its end.
func (a *addresses) nextSpare() (netip.Addr, bool) {
	taken, lengths := map[netip.Prefix]bool{}, map[int]bool{}
	for _, node := range a.nodes.all() {
		for _, r := range ranges(node) {
			taken[r], lengths[r.Bits()] = true, true
		}
	}
	base, all := binary.BigEndian.Uint32(a.spare.Addr().AsSlice()), size(a.spare)
	at := func(n int) netip.Addr {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, base+uint32(n))))
	}
	n := 0
	if last, ok := a.last[a.spare]; ok {
		n = int(binary.BigEndian.Uint32(last.AsSlice()) - base)
	}
	for left := all; left > 0; left-- {
		n = (n + all - 1) % all
		address, free := at(n), true
		for bits := range lengths {
			if r, _ := address.Prefix(bits); taken[r] {
				// The rest of it is left out at a stroke.
				first := 0
				if a.spare.Contains(r.Addr()) {
					first = int(binary.BigEndian.Uint32(r.Addr().AsSlice()) - base)
				}
				left, n, free = left-(n-first), first, false
				break
			}
		}
		if free && a.isFree(a.spare, address) {
			a.last[a.spare] = address
			return address, true
		}
	}
	return netip.Addr{}, false
}

// size is how many addresses the range has, or as many as matter.
func size(r netip.Prefix) int { return 1 << min(30, r.Addr().BitLen()-r.Bits()) }

// isFree reports whether an address of a range can be a pod's: nobody has it, and it is neither the network's nor the
// one for all.
func (a *addresses) isFree(r netip.Prefix, address netip.Addr) bool {
	if _, taken := a.holder[address]; taken {
		return false
	}
	return size(r) <= 2 || address != r.Addr() && (address.Is6() || r.Contains(address.Next()))
}

// look reads from the pods who has which address. One that has ended has none any more, as with the kubelet; one that
// has been given its own, and does not show it yet, keeps it.
func (a *addresses) look(ctx context.Context) error {
	held, holder := map[types.UID][]netip.Addr{}, map[netip.Addr]types.UID{}
	pages := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return a.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, o)
	})
	err := pages.EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		pod := o.(*corev1.Pod)
		if pod.Spec.HostNetwork || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			return nil
		}
		var has []netip.Addr
		for _, ip := range append(pod.Status.PodIPs, corev1.PodIP{IP: pod.Status.PodIP}) {
			if address, err := netip.ParseAddr(ip.IP); err == nil && !slices.Contains(has, address) {
				has = append(has, address)
			}
		}
		if len(has) == 0 {
			has = a.held[pod.UID]
		}
		if len(has) > 0 {
			held[pod.UID] = has
		}
		for _, address := range has {
			holder[address] = pod.UID
		}
		return nil
	})
	if err != nil {
		return later(fmt.Errorf("the addresses of the pods cannot be read: %w", err))
	}
	a.held, a.holder, a.given, a.looked = held, holder, 0, true
	return nil
}
