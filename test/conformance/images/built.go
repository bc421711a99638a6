//go:build built

// The programs that are built for images, so that go.mod has their versions.
package images

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/test/conformance/image/go-runner"
	_ "k8s.io/kubernetes/test/images/agnhost"
	_ "k8s.io/kubernetes/test/images/nonewprivs"
	_ "k8s.io/kubernetes/test/images/regression-issue-74839"
	_ "k8s.io/kubernetes/test/images/resource-consumer"
	_ "k8s.io/kubernetes/test/images/resource-consumer/consume-cpu"
	_ "k8s.io/sample-apiserver"
)
