package suites

// differences are why specs fail on links with controllers. They would in a real cluster, too: these suites were
// written for an API server that is alone. The last ones are about what is not there.
var differences = []difference{
	{
		suite: "controller-runtime/pkg/cache",
		why: "A pod has been scheduled when a spec deletes it: it is there until its node has ended it, which is after the " +
			"next spec wants to create it anew; pods of a spec that fails so are in the way of later ones.",
		says: []string{`pods "test-pod-`},
	},
	{
		suite: "controller-runtime/pkg/cache",
		why:   "The scheduler and the node write to a pod between the two times that the spec looks at it.",
		says:  []string{`<string>"node-1"`},
		specs: []string{
			"Informer Cache Cache test as a Reader with unstructured objects should deep copy the object unless told otherwise",
		},
		may: true,
	},
	{
		suite: "controller-runtime/pkg/cache",
		why:   "Each namespace gets a service account with the name default, and the spec counts service accounts.",
		says:  []string{"<[]v1.ServiceAccount | len:2"},
		specs: []string{
			"Cache with selectors Should list serviceaccounts and find exactly one in namespace test-namespace-1",
		},
	},
	{
		suite: "controller-runtime/pkg/client",
		why: "The deployment controller writes a revision and a status into each Deployment, between the spec's writing " +
			"and its comparing or writing again.",
		says: []string{"cannot be fulfilled on deployments.apps", "deployment.kubernetes.io/revision"},
	},
	{
		suite: "controller-runtime/pkg/client",
		why:   "The deployment controller writes a status of its own over that of the spec.",
		says:  []string{"to be equivalent to\n    <int>: "},
		specs: []string{
			"Client StatusClient with structured objects should apply status",
			"Client StatusClient with structured objects should not update spec of an existing object",
			"Client StatusClient with structured objects should update status of an existing object",
			"Client StatusClient with unstructured objects should apply status and preserve type information",
			"Client StatusClient with unstructured objects should not update spec of an existing object",
			"Client StatusClient with unstructured objects should patch status and preserve type information",
			"Client StatusClient with unstructured objects should update status of an existing object",
			"NamespacedClient SubResourceWriter should change objects via status apply",
			"NamespacedClient SubResourceWriter should change objects via status patch",
			"NamespacedClient SubResourceWriter should change objects via update status",
			"NamespacedClient SubResourceWriter should set namespace on ApplyConfiguration when applying via SubResource",
		},
		may: true,
	},
	{
		suite: "controller-runtime/pkg/client",
		why:   "The deployment controller has written: the update is refused as a conflict before it would be as invalid.",
		says:  []string{"<bool>: false\nto be true"},
		specs: []string{"DryRunClient should refuse an update request for an invalid change"},
		may:   true,
	},
	{
		suite: "controller-runtime/pkg/client",
		why:   "Each Node gets a lifetime for caches of Secrets (the TTL controller), taints and labels.",
		says:  []string{"cannot be fulfilled on nodes", "node.alpha.kubernetes.io/ttl", "<*v1.Node |", `<string>"Node"`},
	},
	{
		suite: "controller-runtime/pkg/client",
		why:   "The scheduler has bound the pod to a node before the spec does.",
		says:  []string{"is already assigned to node"},
		specs: []string{
			"Client SubResourceClient with structured objects should be able to create Pod bindings",
			"Client SubResourceClient with unstructured objects should be able to create Pod bindings",
		},
	},
	{
		suite: "controller-runtime/pkg/client",
		why:   "Each namespace gets a ConfigMap kube-root-ca.crt, and the spec counts ConfigMaps.",
		says:  []string{"list should contain exactly one ConfigMap", "list should be empty after delete"},
		specs: []string{
			"ConsistentClient typed write then read apply",
			"ConsistentClient typed write then read create",
			"ConsistentClient typed write then read delete",
			"ConsistentClient typed write then read patch",
			"ConsistentClient typed write then read update",
			"ConsistentClient unstructured write then read apply",
			"ConsistentClient unstructured write then read create",
			"ConsistentClient unstructured write then read delete",
			"ConsistentClient unstructured write then read patch",
			"ConsistentClient unstructured write then read update",
		},
	},
	{
		suite: "controller-runtime/pkg/controller",
		why:   "The deployment controller writes to the Deployment between the spec's creating and updating it.",
		says:  []string{"cannot be fulfilled on deployments.apps"},
		specs: []string{
			"controller controller should reconcile with controller warmup enabled",
			"controller controller should reconcile with controller warmup not enabled",
		},
	},
	{
		suite: "controller-runtime/pkg/controller/controllerutil",
		why:   "The deployment controller writes to the Deployment between the spec's reading and updating it.",
		says:  []string{"cannot be fulfilled on deployments.apps"},
		may:   true,
	},
	{
		suite: "controller-runtime/pkg/controller/controllerutil",
		why:   "The deployment controller writes to the Deployment between the spec's patching it and reading it again.",
		says:  []string{"to equal\n    <string>: ", "<v1.DeploymentStatus>"},
		specs: []string{
			"Controllerutil CreateOrPatch patches existing object",
			"Controllerutil CreateOrPatch patches only changed objects",
			"Controllerutil CreateOrPatch patches only changed status",
			"Controllerutil CreateOrPatch patches resource and not empty status",
			"Controllerutil CreateOrPatch patches resource and status",
		},
		may: true,
	},
	{
		suite: "controller-runtime/pkg/internal/recorder",
		why:   "The deployment controller writes to the Deployment, so the event is about a newer one than the spec knows.",
		says:  []string{"<v1.ObjectReference>"},
		specs: []string{"recorder deprecated recorder should publish events"},
	},
	{
		suite: "controller-runtime/pkg/source",
		why: "The spec takes each event about its Deployment or ReplicaSet for its own, but controllers write to these, " +
			"too; events that come after it has closed its channel hit the specs that follow, which wait for theirs.",
		says: []string{"deployment.kubernetes.io/revision", "closed channel", `"informer-rs-name" not found`, "<*workqueue."},
		specs: []string{
			"Source Kind for a Deployment resource should provide Deployment Events",
			"Source Informer for a ReplicaSet resource should provide a ReplicaSet CreateEvent",
			"Source Informer for a ReplicaSet resource should provide a ReplicaSet DeletedEvent",
			"Source Informer for a ReplicaSet resource should provide a ReplicaSet UpdateEvent",
		},
		hang: true,
	},
	{
		suite: "cluster-api/controllers/clustercache",
		why:   "The cluster has a node, that of the executor, and the test wants none.",
		says:  []string{"<[]v1.Node | len:1"},
		specs: []string{"TestConnect"},
	},
	{
		suite: "cluster-api/core/reconcilers/machine",
		why:   "The node of the executor has the name that the test's is to have.",
		says:  []string{`nodes "node-1" already exists`},
		specs: []string{"TestWatches"},
	},
	{
		suite: "cluster-api/core/reconcilers/machine",
		why: "Each Node gets a lifetime for caches of Secrets (the TTL controller), taints and labels, while the test " +
			"writes to it.",
		says: []string{"cannot be fulfilled on nodes", "node.alpha.kubernetes.io/ttl"},
	},
	{
		suite: "kubernetes/test/cmd", plain: true,
		why:   "kubectl-convert is a binary of its own, which is not among km's.",
		says:  []string{`unknown command "convert"`},
		specs: []string{"run_convert_tests"},
	},
	{
		suite: "kubernetes/test/cmd", plain: true,
		why:   "It downloads a manifest, and the network of a suite leads nowhere.",
		says:  []string{"raw.githubusercontent.com"},
		specs: []string{"run_multi_resources_tests"},
	},
}
