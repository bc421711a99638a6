package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// joinedFile says which cluster a machine has joined.
const joinedFile = "joined.json"

// Membership is of what cluster a machine that has joined is a part. It is kept in the data folder.
type Membership struct {
	// Role is RoleNode or ControlPlane.
	Role string `json:"role"`
	// CAHash is the hash of the authority's public key, as in a token.
	CAHash string `json:"caHash"`
	// APIServers are those that have been seen last, as HOST:PORT. That of --join is among them.
	APIServers []string `json:"apiservers"`
	// Left says that the machine has left the cluster: what is in the folder is of no use any more.
	Left bool `json:"left,omitempty"`
}

// ReadMembership returns what the data folder says. It is nil for a machine that has not joined.
func ReadMembership(p *supervisor.Plan) (*Membership, error) {
	file := p.Path(joinedFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m := &Membership{}
	err = json.Unmarshal(text, m)
	if err == nil && len(m.APIServers) == 0 {
		err = errors.New("it names no apiserver")
	}
	if err != nil {
		return nil, damaged(file, err, "remove it, and join again with a new token")
	}
	return m, nil
}

// OnNode is why there is no kubeconfig for people on a machine that has joined a cluster as a node; nil on another one.
func OnNode(p *supervisor.Plan) error {
	m, err := ReadMembership(p)
	if err != nil || m == nil || m.Role != RoleNode {
		return err
	}
	return fmt.Errorf("this machine is a node of the cluster at %s, and may not do what its admin may: do it on a machine with a control plane, or with its kubeconfig",
		m.APIServers[0])
}

// Write keeps it.
func (m *Membership) Write(p *supervisor.Plan) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return Write(p.Path(joinedFile), append(text, '\n'))
}

// checkJoined refuses a run that would make another cluster of a folder that is a part of one.
func checkJoined(p *supervisor.Plan) error {
	if len(p.Servers) == 0 { // a command
		return nil
	}
	m, err := ReadMembership(p)
	if err != nil || m == nil {
		return err
	}
	if m.Left {
		return fmt.Errorf("this machine has left the cluster of the data folder %s: delete that with `%s`, and join again with a new token", p.DataDir, p.Command("reset"))
	}
	if s := p.Server(names.Machine); s != nil && s.Value(component.JoinFlag) != "" {
		return nil
	}
	return fmt.Errorf("the data folder %s is a part of the cluster at %s: go on there with `%s` and the other flags that it had, take another folder with --name or --data-dir, or delete this one with `%s`",
		p.DataDir, m.APIServers[0], p.Command(JoinWords(m.Role, m.APIServers[0], "")...), p.Command("reset"))
}
