//go:build built

// What the tests here build, so that go.mod has its versions: Kubernetes' end-to-end tests, and what runs them in
// several processes.
package conformance

import (
	_ "github.com/onsi/ginkgo/v2/ginkgo"
	_ "k8s.io/kubernetes/test/e2e"
)
