package life

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

// A server that says that another try is pointless has failed at once, whatever its restart policy, and can be asked to
// start again.
func TestPermanent(t *testing.T) {
	why := fmt.Errorf("over this data: %w", Permanent(fs.ErrInvalid))
	ways := map[string]func(p *part){
		"Run":   func(p *part) { p.end <- why },
		"Ready": func(p *part) { p.ready <- why },
		"Fail":  func(p *part) { p.Fail(why) },
	}
	for _, policy := range []RestartPolicy{RestartOnFailure, RestartAlways} {
		for name, fail := range ways {
			t.Run(string(policy)+", "+name, func(t *testing.T) {
				api := restarting(policy, "api")
				inBubble(t, func(l *lifeTest) {
					fail(api)
					err := l.end()
					if err == nil || err.Error() != "api failed: over this data: invalid argument" || !errors.Is(err, fs.ErrInvalid) {
						t.Errorf("error %v", err)
					}
					l.want("api starting", "api failed")
				}, api)
				db, ui := newPart("db"), restarting(policy, "ui", "db")
				inBubbleWith(t, func(g *Group) { g.KeepGoing = true }, func(l *lifeTest) {
					becomeReady(db)
					fail(ui)
					l.wantNew("db starting", "db ready", "ui starting", "ui failed")
					l.ask(Start, ui)
					l.wantNew("ui waiting", "ui starting")
					becomeReady(ui)
					l.wantNew("ui ready")
					l.stop()
				}, db, ui)
			})
		}
	}
	if Permanent(nil) != nil {
		t.Error("no failure has become one")
	}
}
