package kmtest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Request is one that the apiserver was asked, as its audit log has it.
type Request struct {
	// ID is the audit ID, which the answer has in its header Audit-ID.
	ID string
	// User is who asked, who may have impersonated somebody, and UserAgent with which program (rest.Config.UserAgent).
	User, UserAgent string
	// Verb is get, list, watch, create, update, patch, delete or deletecollection; where no resource is asked for, the
	// method in lower case.
	Verb string
	// URI is the path and the query.
	URI string
	// What is asked for. They are empty where it is no resource; Name also where the server chose it.
	APIGroup, APIVersion, Resource, Subresource, Namespace, Name string
	// Code is the HTTP status of the answer.
	Code int
	// Began is when the request came, and Took how long it was until it had been answered; 0 for a watch that goes on,
	// and where it is not known.
	Began time.Time
	Took  time.Duration
}

// Writes reports whether the request was to change something.
func (r Request) Writes() bool {
	return slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection", "post", "put"}, r.Verb)
}

// Requests returns the requests that the apiserver has answered and that are wanted, in the order in which they came;
// wanted may be nil for all, which has those of km's own servers among them. A client that has its answer finds its
// request here, unless the answer is that the server has run out of time, or is ending. The cluster needs
// Config.RecordRequests.
//
//	writes, err := cluster.Requests(func(r kmtest.Request) bool { return r.UserAgent == "greeter" && r.Writes() })
func (c *Cluster) Requests(wanted func(Request) bool) ([]Request, error) {
	if c.record == nil {
		return nil, errors.New("the requests of this cluster are not recorded: set kmtest.Config.RecordRequests")
	}
	all, err := c.record.read()
	if err != nil {
		return nil, fmt.Errorf("the requests: %w", err)
	}
	return slices.DeleteFunc(all, func(r Request) bool { return wanted != nil && !wanted(r) }), nil
}

// record is the apiserver's audit log.
type record struct{ policy, log string }

// auditPolicy has a line for each answer, and for each watch that has begun.
const auditPolicy = `{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]}`

func newRecord(dir string) (*record, error) {
	r := &record{policy: filepath.Join(dir, "requests-policy.yaml"), log: filepath.Join(dir, "requests.json")}
	return r, os.WriteFile(r.policy, []byte(auditPolicy), 0o600)
}

// flags are the apiserver's. It writes a line before the request's client has the whole answer (audit-log-mode), into
// one file, whatever its size.
func (r *record) flags() []string {
	return []string{"--apiserver.audit-policy-file=" + r.policy, "--apiserver.audit-log-path=" + r.log, "--apiserver.audit-log-format=json",
		"--apiserver.audit-log-mode=blocking", "--apiserver.audit-log-maxsize=1000000"}
}

// auditEvent is what is read of a line (audit.k8s.io/v1, Event).
type auditEvent struct {
	AuditID, Stage, RequestURI, Verb, UserAgent string
	User                                        struct{ Username string }
	ObjectRef                                   struct{ Resource, Namespace, Name, APIGroup, APIVersion, Subresource string }
	ResponseStatus                              struct{ Code int }
	RequestReceivedTimestamp, StageTimestamp    time.Time
}

// read returns what has been written, one for each request: its last line counts.
func (r *record) read() (all []Request, err error) {
	file, err := os.Open(r.log)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("there are none: the cluster has been stopped, or Config.Flags have others for the audit log")
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	at := map[string]int{}
	for lines := bufio.NewReader(file); ; {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF { // the rest of a line may come
			slices.SortStableFunc(all, func(a, b Request) int { return a.Began.Compare(b.Began) })
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		var e auditEvent
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("%s: %w", r.log, err)
		}
		i, known := at[e.AuditID]
		if !known {
			i, all = len(all), append(all, Request{})
			at[e.AuditID] = i
		}
		all[i] = e.request()
	}
}

func (e *auditEvent) request() Request {
	r := Request{
		ID: e.AuditID, User: e.User.Username, UserAgent: e.UserAgent, Verb: e.Verb, URI: e.RequestURI,
		APIGroup: e.ObjectRef.APIGroup, APIVersion: e.ObjectRef.APIVersion, Resource: e.ObjectRef.Resource, Subresource: e.ObjectRef.Subresource,
		Namespace: e.ObjectRef.Namespace, Name: e.ObjectRef.Name,
		Code: e.ResponseStatus.Code, Began: e.RequestReceivedTimestamp,
	}
	if e.Stage != "ResponseStarted" {
		r.Took = e.StageTimestamp.Sub(e.RequestReceivedTimestamp)
	}
	return r
}
