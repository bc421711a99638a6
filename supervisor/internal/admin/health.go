package admin

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// getHealth answers as long as the supervisor can: a server that has failed, or a stop of all, does not concern its
// health.
func (a *API) getHealth(w http.ResponseWriter, r *http.Request) {
	_ = a.run.Group.Closing() // the group's lock is not stuck
	checks(w, r, "healthz", []check{{"supervisor", true, ""}})
}

func (a *API) getReady(w http.ResponseWriter, r *http.Request) {
	s := a.status()
	all := []check{{"shutdown", true, ""}}
	if s.Stopping {
		all[0] = check{"shutdown", false, life.ErrClosing.Error()}
	}
	for _, server := range s.Servers {
		all = append(all, readyCheck(server))
	}
	checks(w, r, "readyz", all)
}

func (a *API) getReadyOne(w http.ResponseWriter, r *http.Request) {
	actor, err := a.find(r.PathValue("name"))
	if err != nil {
		refuse(w, http.StatusNotFound, err)
		return
	}
	checks(w, r, "readyz", []check{readyCheck(a.serverStatus(actor))})
}

// check is one line of a health endpoint.
type check struct {
	name string
	ok   bool
	why  string // why it is not ok, or what an ok one lacks
}

func readyCheck(s ServerStatus) check {
	if s.State == life.Ready {
		return check{s.Name, true, s.Error}
	}
	why := "it is " + s.State.String()
	if s.Error != "" {
		why += ": " + s.Error
	}
	return check{s.Name, false, why}
}

// checks answers as the health endpoints of Kubernetes do (k8s.io/apiserver/pkg/server/healthz): "ok" alone, or a line
// for each check: with ?verbose, if one of them fails, or if one that does not has something to tell. ?exclude=NAME
// leaves a check out.
func checks(w http.ResponseWriter, r *http.Request, endpoint string, all []check) {
	var text strings.Builder
	ok, told := true, false
	_, verbose := r.URL.Query()["verbose"]
	unknown := map[string]bool{}
	for _, name := range r.URL.Query()["exclude"] {
		unknown[strconv.Quote(name)] = true
	}
	for _, c := range all {
		switch quoted := strconv.Quote(c.name); {
		case unknown[quoted]:
			delete(unknown, quoted)
			fmt.Fprintf(&text, "[+]%s excluded: ok\n", c.name)
		case c.ok && c.why != "":
			told = true
			fmt.Fprintf(&text, "[+]%s ok, but: %s\n", c.name, strings.ReplaceAll(c.why, "\n", " "))
		case c.ok:
			fmt.Fprintf(&text, "[+]%s ok\n", c.name)
		default:
			ok = false
			fmt.Fprintf(&text, "[-]%s failed: %s\n", c.name, strings.ReplaceAll(c.why, "\n", " "))
		}
	}
	if len(unknown) > 0 {
		fmt.Fprintf(&text, "warn: some health checks cannot be excluded: no matches for %s\n", strings.Join(slices.Sorted(maps.Keys(unknown)), ","))
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case !ok:
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "%s%s check failed\n", text.String(), endpoint)
	case verbose || told:
		fmt.Fprintf(w, "%s%s check passed\n", text.String(), endpoint)
	default:
		fmt.Fprint(w, "ok")
	}
}
