package controllermanager

import (
	"context"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/supervisor"
)

// accountWorkers is how many make service accounts at a time.
const accountWorkers = 8

// prepareAccounts makes the service accounts of the controllers, and waits until they can get tokens, if users have put
// something in the way of that: upstream gives up after some seconds, and then ends the process.
func (m *controllerManager) prepareAccounts(ctx context.Context, s *supervisor.Server, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	return m.cluster.Insist(ctx, s, func(ctx context.Context) error {
		err := makeAccounts(ctx, client)
		if err == nil {
			_, err = client.CoreV1().ServiceAccounts(metav1.NamespaceSystem).CreateToken(ctx, anyController,
				&authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		}
		switch {
		case cluster.Refused(err):
			return err
		case err != nil && ctx.Err() == nil:
			s.Logger().Warn("the service accounts of the controllers are made one by one", zap.Error(err))
		}
		return ctx.Err()
	})
}

// anyController is the service account of a controller that is on in any case.
const anyController = "namespace-controller"

// makeAccounts makes those service accounts of the controllers that are missing. Upstream makes them one after another
// while it makes the controllers (k8s.io/controller-manager/pkg/clientbuilder), and each of them waits for the disk.
func makeAccounts(ctx context.Context, client kubernetes.Interface) error {
	there, err := client.CoreV1().ServiceAccounts(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	have := map[string]bool{}
	for _, account := range there.Items {
		have[account.Name] = true
	}
	var g errgroup.Group
	g.SetLimit(accountWorkers)
	for _, binding := range bootstrappolicy.ControllerRoleBindings() {
		for _, subject := range binding.Subjects {
			if subject.Kind != rbacv1.ServiceAccountKind || subject.Namespace != metav1.NamespaceSystem || have[subject.Name] {
				continue
			}
			account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: subject.Name, Namespace: subject.Namespace}}
			g.Go(func() error {
				_, err := client.CoreV1().ServiceAccounts(account.Namespace).Create(ctx, account, metav1.CreateOptions{})
				if apierrors.IsAlreadyExists(err) {
					return nil
				}
				return err
			})
		}
	}
	return g.Wait()
}
