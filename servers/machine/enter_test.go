package machine

import (
	"os"
	"strings"
	"testing"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
)

// A machine joins with a folder that is empty, or of a machine that has joined that cluster as the same; with no other.
func TestLook(t *testing.T) {
	ca, foreign := newAuthority(t), newAuthority(t)
	member := func(role string, ca *authority) *cluster.Membership {
		return &cluster.Membership{Role: role, CAHash: hashOf(ca.cert), APIServers: []string{"192.168.1.1:6443"}}
	}
	for _, test := range []struct {
		name  string
		role  string
		was   *cluster.Membership
		ca    []byte
		token *authority // of which the token is
		want  string
	}{
		{"empty", cluster.RoleNode, nil, nil, ca, ""},
		{"empty, without a token", cluster.RoleNode, nil, nil, nil, ""},
		{"has joined", cluster.RoleNode, member(cluster.RoleNode, ca), ca.pem(), nil, ""},
		{"has joined, with its token", cluster.ControlPlane, member(cluster.ControlPlane, ca), ca.pem(), ca, ""},
		{"was stopped before it had the authority", cluster.RoleNode, member(cluster.RoleNode, ca), nil, ca, ""},
		{"a cluster of its own", cluster.RoleNode, nil, ca.pem(), ca, "has a cluster of its own"},
		{"was a node", cluster.ControlPlane, member(cluster.RoleNode, ca), ca.pem(), ca, "is that of a node, and not of a control-plane"},
		{"was a control plane", cluster.RoleNode, member(cluster.ControlPlane, ca), ca.pem(), nil, "is that of a control-plane, and not of a node"},
		{"the authority was replaced", cluster.RoleNode, member(cluster.RoleNode, ca), foreign.pem(), nil, "is a part of another cluster, that at 192.168.1.1:6443"},
		{"another cluster's token", cluster.RoleNode, member(cluster.RoleNode, ca), ca.pem(), foreign, "is a part of another cluster"},
		{"damaged authority", cluster.RoleNode, member(cluster.RoleNode, ca), []byte("nonsense"), nil, "ca.crt"},
	} {
		p := planOf(t, nil)
		if test.was != nil {
			if err := test.was.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		if test.ca != nil {
			put(t, p, "ca.crt", test.ca)
		}
		e := &entry{plan: p, role: test.role}
		if test.token != nil {
			e.token = &invitation{caHash: hashOf(test.token.cert)}
		}
		err := e.look()
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want == "" && (e.ca != nil) != (test.ca != nil), test.want == "" && (e.was != nil) != (test.was != nil):
			t.Errorf("%s: it has not seen what is there: %v, %v", test.name, e.ca, e.was)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	for _, text := range []string{"", "{", "[]", `{"role":"node"}`, `{"apiservers":[]}`} {
		p := planOf(t, nil)
		if err := os.WriteFile(p.Path("joined.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := (&entry{plan: p, role: cluster.RoleNode}).look(); err == nil || !strings.Contains(err.Error(), "joined.json is damaged") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Without --join nothing is asked for; with a token that is none, nobody is asked.
func TestEnterAsksNobody(t *testing.T) {
	for _, test := range []struct{ join, token, want string }{
		{"", "", ""},
		{"", "nonsense", ""},
		{"one two", "", "write HOST:PORT"},
		{"127.0.0.1:1", "secret", "--token: it is not a token"},
		{"127.0.0.1:1", "", "add --token, with what `km token create --role=control-plane` prints there"},
	} {
		p := planOf(t, map[string]map[string]string{names.Machine: {
			component.JoinFlag: test.join, cluster.TokenFlag: test.token, cluster.RoleFlag: cluster.ControlPlane,
		}})
		err := (&machine{cluster: cluster.New()}).enter(t.Context(), p)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%+v: %v", test, err)
		}
		if files, err := os.ReadDir(p.DataDir); err != nil || len(files) > 0 {
			t.Errorf("%+v: there is %v, %v", test, files, err)
		}
	}
}
