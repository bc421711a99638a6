// Package machines makes hosts for tests, as far as there can be several in one machine. They take Linux and root.
//
// A host consists of namespaces: a network, processes, mounts and a host name of its own. It has a folder, which is
// HOME, and which it keeps when it is off. Its disk is else the real machine's. The hosts of a test are joined by a
// bridge, and there is no way out: not to the real machine, and not to another test's hosts.
//
//	hosts := machines.New(t, 2)
//	km := hosts[0].Start(binary, "run", "--apiserver.bind-address="+hosts[0].IP)
//	km.Await("km: ready after")
//	out, err := hosts[0].Command(binary, "kubectl", "get", "nodes").CombinedOutput()
//	hosts[1].Disconnect()     // nothing that it sends arrives, nor does it get anything
//	km.Signal(syscall.SIGTERM)
//	err = km.Wait()
//	hosts[0].Kill()           // as pulling the plug
//	hosts[0].Boot()
//
// Hosts of NewNodes can be nodes with real containers, each with a kubelet and a container runtime of its own.
//
// The life of a host:
//
//	New ──▶ on ──Kill──▶ off ──LoseDisk──▶ off, with an empty folder
//	        ▲             │                 │
//	        └────Boot─────┴──────Boot───────┘
//
// Nothing is named outside of the namespaces, so tests that run beside each other cannot clash. The kernel removes it
// all with the last process, which ends with the tests' own at the latest, however that ends; only the folders of tests
// that were killed are left.
package machines
