package supervisor

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Lines fit into the terminal, but commands, which are copied, are not broken.
func TestFindingsAsText(t *testing.T) {
	d := &diagnosis{run: "hk run", findings: []Finding{
		{Name: "servers", Text: "db, api", Needed: true},
		{Name: "ports", Err: errors.Join(errors.New("db: port 1 is taken; choose another"), errors.New("api: port 2 is taken")), Needed: true,
			Commands: []string{"hk run --free-ports --data-dir=/a/long/path/to/it"}},
		{Name: "containers", Err: errors.New("this machine is not ready:\n  - only root can, and\x1b this is not\n      use sudo")},
		{Name: "completion", Unknown: true, Text: "bash does not tell"},
	}}
	var out bytes.Buffer
	if err := d.writeText(&out, 40); err != nil {
		t.Fatal(err)
	}
	want := `servers     ok  db, api
ports       no  db: port 1 is taken;
                choose another
                api: port 2 is taken
                  hk run --free-ports --data-dir=/a/long/path/to/it
containers  no  this machine is not
                ready:
                  - only root can,
                  and\x1b this is not
                      use sudo
completion  ?   bash does not tell

` + "`hk run` would not start here: see ports.\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	d.findings = append(d.findings[:1], d.findings[2:]...)
	out.Reset()
	if err := d.writeText(&out, 80); err != nil || !bytes.HasSuffix(out.Bytes(), []byte("\n`hk run` would start here.\n")) {
		t.Errorf("what `run` does not need counts: %v\n%s", err, &out)
	}
}

func TestFindingsAsJSON(t *testing.T) {
	d := &diagnosis{findings: []Finding{
		{Name: "disk", Text: "free", Needed: true},
		{Name: "ports", Err: errors.Join(errors.New("one"), errors.New("two")), Needed: true, Commands: []string{"source <(hk x)"}},
		{Name: "PATH", Err: errors.New("three")},
		{Name: "completion", Unknown: true, Text: "four"},
	}}
	var out bytes.Buffer
	if err := d.writeJSON(&out); err != nil {
		t.Fatal(err)
	}
	want := `{
  "run": false,
  "findings": [
    {
      "name": "disk",
      "state": "ok",
      "texts": [
        "free"
      ]
    },
    {
      "name": "ports",
      "state": "no",
      "needed": true,
      "texts": [
        "one",
        "two"
      ],
      "commands": [
        "source <(hk x)"
      ]
    },
    {
      "name": "PATH",
      "state": "no",
      "texts": [
        "three"
      ]
    },
    {
      "name": "completion",
      "state": "unknown",
      "texts": [
        "four"
      ]
    }
  ]
}
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
