package storage

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/seed-200a7251/km/servers/names"
)

// answerTime is how long a claim waits at least for the storage of its node before its user is told, and told again.
const answerTime = 15 * time.Second

// unanswered tells of claims whose pods are scheduled on other nodes, and get no volume there. The scheduler takes each
// node for one that has storage, and nothing else says why a pod waits on one that has none.
type unanswered struct {
	client  kubernetes.Interface
	node    string // the one that is served here
	command string // runs storage on another machine
	claims  chan types.NamespacedName
}

// newUnanswered returns one for what ShouldProvision sends.
func newUnanswered(client kubernetes.Interface, node, command string) *unanswered {
	return &unanswered{client: client, node: node, command: command, claims: make(chan types.NamespacedName)}
}

// add has a claim told of, if it is not answered in time. It returns when that is noted, or ctx ends.
func (u *unanswered) add(ctx context.Context, claim *corev1.PersistentVolumeClaim) {
	select {
	case u.claims <- types.NamespacedName{Namespace: claim.Namespace, Name: claim.Name}:
	case <-ctx.Done():
	}
}

// run tells of them until ctx ends.
func (u *unanswered) run(ctx context.Context) {
	events := record.NewBroadcaster(record.WithContext(ctx))
	defer events.Shutdown()
	events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: u.client.CoreV1().Events("")})
	recorder := events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: Provisioner})
	ticker := time.NewTicker(answerTime)
	defer ticker.Stop()
	waited := map[types.NamespacedName]bool{} // a whole answerTime
	for {
		select {
		case name := <-u.claims:
			if _, known := waited[name]; !known {
				waited[name] = false
			}
		case <-ticker.C:
			for name, long := range waited {
				claim, waits := u.waits(ctx, name)
				switch {
				case !waits:
					delete(waited, name)
				case claim != nil && long:
					recorder.Event(claim, corev1.EventTypeWarning, "NoStorage", fmt.Sprintf(
						"no %s runs on the node %s, which the scheduler has chosen: run it there (`%s`), or choose another node for the pod",
						names.Storage, claim.Annotations[SelectedNode], u.command))
				default:
					waited[name] = true
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

// waits returns a claim that waits for another node, and whether it may still do so: there is no answer about it.
func (u *unanswered) waits(ctx context.Context, name types.NamespacedName) (*corev1.PersistentVolumeClaim, bool) {
	claim, err := u.client.CoreV1().PersistentVolumeClaims(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	if err != nil {
		return nil, !apierrors.IsNotFound(err)
	}
	node := claim.Annotations[SelectedNode]
	return claim, claim.Spec.VolumeName == "" && node != "" && node != u.node
}
