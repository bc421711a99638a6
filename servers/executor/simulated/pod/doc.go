// Package pod says what a pod on a simulated node does next: its phase, conditions and container states go through the
// life that the kubelet gives them. The Stages (stages.yaml) say when a step is due, and the function PodStatus what it
// makes of the status.
//
// What the containers do is said by annotations of the pod:
//
//	km.simulated-pod: exits 1 after 10s      # each container but init containers, sidecars, and those
//	                                         # that have their own
//	km.simulated-pod/migrate: completes      # the container migrate, of whatever kind
//	km.simulated-logs: |                     # what kubectl logs shows; there is km.simulated-logs/NAME, too
//	  listening on :8080
//
// A container
//
//	runs                     until the pod is deleted; a sidecar until the others have ended
//	runs, ready after D      and becomes ready only D after it started
//	runs, never ready
//	completes                ends with exit code 0; also: completes after D
//	exits N                  ends with exit code N, 0 to 255; also: exits N after D
//	restarts                 ends with exit code 1, once, and then does what it would without the annotation;
//	                         also: restarts N times, after D
//	cannot pull its image    ErrImagePull, and ImagePullBackOff from then on
//
// where D is a duration such as 90s or 5m, of which only seconds count. Whether a container that has ended starts
// again, its restartPolicy, or the pod's, decides; before the second such start it waits 10 s, then 20 s, up to 5
// minutes, as with the kubelet. Those that restart N times do not wait.
//
// Without annotation, init containers complete at once, and sidecars and ephemeral containers run. Others run, too, if
// they are started again whatever happens (restartPolicy Always). If not, the pod is there to get something done: it
// completes, at once if it is a Job's, and after a second if not, so that somebody who waits until it is Ready sees it.
//
// An image cannot be pulled either whose tag says that there is none: 404, does-not-exist, invalid, nonexistent or
// non-existent. An annotation that has the container do something else counts for more.
//
// The annotations may be changed at any time: a container that runs ends, and one that could not pull its image starts.
// With a value that is none of these a pod does not start: its containers wait, for the reason
// CreateContainerConfigError, and an Event tells why.
//
// What is different from the kubelet:
//   - Probes and hooks are not run: a container that runs is started and, without annotation, ready at once.
//   - Volumes, Secrets, ConfigMaps and images are not looked for: an image is there unless its tag says otherwise.
//   - A deleted pod's containers end within a second, or within the grace period if that is shorter: with exit code 0
//     if they are there to run on, else with 143, as what SIGTERM ends.
//   - Containers leave no image ID. In-place resizes are done at once. The restart rule RestartAllContainers restarts
//     the container alone.
//   - No Events are made but those of what goes wrong.
//
// A condition that is not true for a reason that the kubelet does not know is left alone: a Stage of somebody's may
// play a failure.
package pod
