package simulated

import (
	"context"
	"errors"
	"fmt"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/kwok/pkg/apis/v1alpha1"
	"sigs.k8s.io/kwok/pkg/client/clientset/versioned"

	"github.com/seed-200a7251/km/servers/cluster"
)

// definitionName is that of the resource Stage.
const definitionName = "stages.kwok.x-k8s.io"

const (
	// quiet is for how long nothing more is deleted before Stages are made anew: what deletes them has not deleted all
	// at once.
	quiet = time.Second
	// makingLimit is how long it may take to make them, and attemptLimit how long one attempt at it, during which they
	// may be deleted again.
	makingLimit, attemptLimit = time.Minute, 10 * time.Second
	// knownLimit is how long it may take to see which there are.
	knownLimit = 15 * time.Second
)

// errLost tells that there are no Stages any more for nodes, or none for pods.
var errLost = errors.New("the Stages of kwok have been deleted")

// whileStages ends with errLost when there are no Stages any more for nodes, or none for pods. kwok ends what it does
// for a kind of which there are none, and when there are some again it does not know the nodes which it has been told
// of before (pkg/kwok/controllers/stages_manager.go): whoever plays has to begin anew then.
func whileStages(ctx context.Context, config *rest.Config) error {
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var stages follower[*v1alpha1.Stage]
	made := make(chan struct{})
	check := func(*v1alpha1.Stage) {
		<-made
		there := map[string]bool{}
		for _, stage := range stages.all() {
			there[stage.Spec.ResourceRef.Kind] = true
		}
		if !there["Node"] || !there["Pod"] {
			cancel(errLost)
		}
	}
	stages = follow(ctx, client.KwokV1alpha1().Stages(), nil, check)
	close(made)
	limit, stop := context.WithTimeout(ctx, knownLimit)
	defer stop()
	if cache.WaitForCacheSync(limit.Done(), stages.controller.HasSynced) {
		check(nil)
	} else {
		cancel(errLost)
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// makeStages makes the resource and the Stages that are missing. While they are being deleted, nothing can be made:
// that is waited for.
func makeStages(ctx context.Context, config *rest.Config) error {
	client, err := apiextensions.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, makingLimit)
	defer cancel()
	for {
		attempt, end := context.WithTimeout(ctx, attemptLimit)
		err := ensureStages(attempt, config)
		late := attempt.Err() != nil
		end()
		if err == nil || ctx.Err() != nil || cluster.Refused(err) || apierrors.IsForbidden(err) {
			return err // what is refused is not what somebody is deleting
		}
		definition, lookErr := client.ApiextensionsV1().CustomResourceDefinitions().Get(ctx, definitionName, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(lookErr), lookErr == nil && late:
		case lookErr == nil && definition.DeletionTimestamp != nil:
			err := waitFor(ctx, func(ctx context.Context) (bool, error) {
				_, err := client.ApiextensionsV1().CustomResourceDefinitions().Get(ctx, definitionName, metav1.GetOptions{})
				return apierrors.IsNotFound(err), nil
			})
			if err != nil {
				return fmt.Errorf("%s is being deleted, and has not gone within %v: look for a Stage with finalizers", definitionName, makingLimit)
			}
		default:
			return err
		}
	}
}
