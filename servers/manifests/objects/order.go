package objects

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/kustomize/kyaml/resid"
)

// Order is the one in which objects are applied, which is kustomize's: what others refer to comes first, webhooks last.
// It knows nothing of aggregated APIs, which are kinds to others as definitions are.
func Order(a, b Object) int {
	if first := a.IsAPIService(); first != b.IsAPIService() {
		if first {
			return -1
		}
		return 1
	}
	x, y := gvk(a), gvk(b)
	switch {
	case x.IsLessThan(y):
		return -1
	case y.IsLessThan(x):
		return 1
	}
	return 0
}

func gvk(o Object) resid.Gvk {
	k := o.GroupVersionKind()
	return resid.Gvk{Group: k.Group, Version: k.Version, Kind: k.Kind}
}

// IsAPIService reports whether the object names the server of an aggregated API.
func (o Object) IsAPIService() bool {
	return o.GroupVersionKind().GroupKind() == schema.GroupKind{Group: "apiregistration.k8s.io", Kind: "APIService"}
}
