package robustness

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// deployment has so many pods that do nothing.
func deployment(name string, replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To(replicas),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
			},
			// How long it takes is not asked for.
			ProgressDeadlineSeconds: ptr.To(int32(24 * 60 * 60)),
		},
	}
}

// rollOut has as many pods come or go, which takes the controllers, the scheduler and the executor.
func (r *run) rollOut(ctx context.Context, replicas int32) error {
	if !r.pods {
		return nil
	}
	_, config := r.current()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	want := deployment("pods", replicas)
	return poll(ctx, fmt.Sprintf("%d pods", replicas), func(ctx context.Context) (bool, error) {
		_, err := client.AppsV1().Deployments(namespace).Update(ctx, want, metav1.UpdateOptions{})
		if apierrors.IsNotFound(err) {
			_, err = client.AppsV1().Deployments(namespace).Create(ctx, want, metav1.CreateOptions{})
		}
		if err != nil {
			return false, err
		}
		pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=pods"})
		if err != nil || len(pods.Items) != int(replicas) {
			return false, err
		}
		for _, pod := range pods.Items {
			if !slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
			}) {
				return false, nil
			}
		}
		return true, nil
	})
}
