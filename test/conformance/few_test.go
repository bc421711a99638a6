package conformance

// few are the specs of a short run, by the kind of nodes: patterns of those that run, and of those that do not.
var few = map[string]struct{ focus, skip []string }{
	// All that pass, but those that wait for long.
	simulatedNodes: {
		focus: []string{conformance},
		skip: []string{
			`\[Slow\]`,
			`CustomResourceDefinition Watch`,
			`Garbage collector should orphan pods created by rc`,
			`Kubectl expose should create services for rc`,
			`NoExecuteTaintManager`,
			`OIDC discovery`,
			`OrderedNamespaceDeletion`,
			`Pod Generation issue 500 podspec updates`,
			`Probing container should \*not\* be restarted`,
			`ResourceQuota should`,
			`SchedulerPredicates validates that there exists conflict`,
			`SchedulerPreemption`,
			`StatefulSet`,
			`Watchers should`,
			`support for API chunking`,
			`support rollover`,
		},
	},
	// Those that prove most: what containers do, that the servers reach them and they each other, from both machines.
	realNodes: {
		focus: []string{
			`AdmissionWebhook .* should mutate configmap`,
			`Aggregator Should be able to support the 1.17 Sample API Server`,
			`DNS should provide DNS for services`,
			`HostPort validates that there is no conflict`,
			`ImageVolume should succeed with pod and pull policy of Always`,
			`Networking Granular Checks: Pods should function for intra-pod communication: http`,
			`Pods should support remote command execution over websockets`,
			`Probing container should be restarted with a /healthz http liveness probe`,
			`Secrets should be consumable from pods in volume \[Conformance\]`,
			`Services should serve a basic endpoint from pods`,
		},
	},
}
