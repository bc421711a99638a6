package simulated

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/kwok/kustomize/crd"
	"sigs.k8s.io/kwok/kustomize/stage/node/fast"
	heartbeat "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	"sigs.k8s.io/kwok/pkg/apis/v1alpha1"
	"sigs.k8s.io/kwok/pkg/client/clientset/versioned"
	typed "sigs.k8s.io/kwok/pkg/client/clientset/versioned/typed/apis/v1alpha1"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	kwokclient "sigs.k8s.io/kwok/pkg/utils/client"
	"sigs.k8s.io/kwok/pkg/utils/gotpl"
	"sigs.k8s.io/yaml"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/executor/simulated/pod"
	"github.com/seed-200a7251/km/supervisor"
)

// stages are how nodes and pods behave, as long as nobody changes it.
var stages = append([]string{fast.DefaultNodeInit, heartbeat.DefaultNodeHeartbeatWithLease}, strings.Split(pod.Stages, "\n---\n")...)

// stageAnnotation is on the Stages that km has made: the hash of what it wrote.
const stageAnnotation = "km.simulated-stage"

// ensureStages makes the resource Stage, and those Stages that are missing, or that another km made and nobody has
// changed since.
func ensureStages(ctx context.Context, config *rest.Config) error {
	client, err := apiextensions.NewForConfig(config)
	if err != nil {
		return err
	}
	definition := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.Unmarshal(crd.Stage, definition); err != nil {
		return err
	}
	crds := client.ApiextensionsV1().CustomResourceDefinitions()
	there, err := crds.Get(ctx, definition.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		there, err = crds.Create(ctx, definition, metav1.CreateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	if err != nil || !isEstablished(there) {
		err := waitFor(ctx, func(ctx context.Context) (bool, error) {
			d, err := crds.Get(ctx, definition.Name, metav1.GetOptions{})
			return err == nil && isEstablished(d), err
		})
		if err != nil {
			return err
		}
	}
	kwok, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	var g sync.WaitGroup
	wrong := make([]error, len(stages))
	for i, text := range stages {
		stage := &v1alpha1.Stage{}
		if err := yaml.Unmarshal([]byte(text), stage); err != nil {
			return err
		}
		stage.Annotations = map[string]string{stageAnnotation: fmt.Sprintf("%x", sha256.Sum256([]byte(text)))[:16]}
		g.Go(func() {
			// Established says that it will be served; it takes a moment.
			err := waitFor(ctx, func(ctx context.Context) (bool, error) {
				err := ensureStage(ctx, kwok.KwokV1alpha1().Stages(), stage)
				if apierrors.IsNotFound(err) {
					return false, nil
				}
				return err == nil, err
			})
			if err != nil {
				wrong[i] = fmt.Errorf("%s: %w", stage.Name, err)
			}
		})
	}
	g.Wait()
	return cmp.Or(wrong...) // the first in order: one reason is told once, however often it is tried
}

func isEstablished(d *apiextensionsv1.CustomResourceDefinition) bool {
	return slices.ContainsFunc(d.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
	})
}

// ensureStage makes a Stage that is missing, or replaces what another km wrote. It applies it: upstream has whoever
// creates an object of a definition that is younger than two seconds wait for two seconds
// (k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go), for the sake of other API servers, of which
// there are none.
func ensureStage(ctx context.Context, stages typed.StageInterface, stage *v1alpha1.Stage) error {
	there, err := stages.Get(ctx, stage.Name, metav1.GetOptions{})
	if err == nil && (there.Annotations[stageAnnotation] == stage.Annotations[stageAnnotation] || isChanged(there)) {
		return nil
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	isThere := err == nil
	text, err := json.Marshal(stage)
	if err != nil {
		return err
	}
	_, err = stages.Patch(ctx, stage.Name, types.ApplyPatchType, text, metav1.PatchOptions{FieldManager: fieldManager})
	switch {
	case apierrors.IsConflict(err):
		return nil // somebody else has made or changed it meanwhile
	case isThere && cluster.Full(err):
		return nil // that of before will do
	}
	return err
}

// fieldManager is how km calls itself when it applies Stages.
const fieldManager = "km"

// isChanged reports whether somebody else has said how a Stage behaves.
func isChanged(stage *v1alpha1.Stage) bool {
	return slices.ContainsFunc(stage.ManagedFields, func(m metav1.ManagedFieldsEntry) bool {
		return m.Manager != fieldManager && m.FieldsV1 != nil && bytes.Contains(m.FieldsV1.GetRawBytes(), []byte(`"f:spec"`))
	})
}

// nodeStagesAreOurs reports whether nodes behave as km has it: users may have Stages of their own for them, or have
// changed those.
func nodeStagesAreOurs(ctx context.Context, config *rest.Config) (bool, error) {
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return false, err
	}
	there, err := client.KwokV1alpha1().Stages().List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(there.Items, func(stage v1alpha1.Stage) bool {
		return stage.Spec.ResourceRef.Kind == "Node" && (stage.Annotations[stageAnnotation] == "" || isChanged(&stage))
	}), nil
}

// workers is how many changes of each kind are under way at a time. With kwok's own default of 4, where the API server
// takes half a second for a change, on a busy machine, the leases of no more than 80 nodes are renewed before the
// controller-manager counts them as lost, and then their pods are not Ready any more.
func (ns *Nodes) workers() uint { return uint(min(64, max(4, ns.Count/2))) }

// play starts kwok's controllers. They end with ctx.
func (ns *Nodes) play(ctx context.Context, s *supervisor.Server, functions gotpl.FuncMap, port int) error {
	kubeconfig := s.Value("kubeconfig")
	clients, err := kwokclient.NewClientset("", kubeconfig)
	if err != nil {
		return err
	}
	config, err := clients.ToRESTConfig()
	if err != nil {
		return err
	}
	dynamic, err := clients.ToDynamicClient()
	if err != nil {
		return err
	}
	mapper, err := clients.ToRESTMapper()
	if err != nil {
		return err
	}
	restClient, err := rest.RESTClientFor(config)
	if err != nil {
		return err
	}
	typed := rest.CopyConfig(config)
	typed.UserAgent = userAgent()
	core, err := kubernetes.NewForConfig(typed)
	if err != nil {
		return err
	}
	kwok, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	maps.Copy(functions, pod.Templates)
	c, err := controllers.NewController(controllers.Config{
		Clock:                             clock.RealClock{},
		DynamicClient:                     dynamic,
		RESTClient:                        restClient,
		RESTMapper:                        mapper,
		ImpersonatingDynamicClient:        clients.ToImpersonatingDynamicClient(),
		ImpersonatingTypedClient:          clients.ToImpersonatingTypedClient(),
		TypedClient:                       kwokClient{core, s.Slog()},
		TypedKwokClient:                   kwokStages{kwok},
		ManageNodesWithAnnotationSelector: fakeAnnotation + "=" + fakeValue,
		ManageNodesWithLabelSelector:      ns.selector(),
		CIDR:                              ns.PodCIDR,
		NodeIP:                            nodeIP,
		NodeName:                          "localhost",
		NodePort:                          port,
		FuncMap:                           functions,
		PodPlayStageParallelism:           ns.workers(),
		NodePlayStageParallelism:          ns.workers(),
		NodeLeaseDurationSeconds:          0, // it plays whatever it sees; leases says why
		PodsOnNodeSyncParallelism:         4, // as kwok's own default: each lists all pods of a node, once
	})
	if err != nil {
		return err
	}
	return c.Start(ctx)
}
