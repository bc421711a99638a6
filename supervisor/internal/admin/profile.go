package admin

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"
)

// addProfiles adds what net/http/pprof has, under its usual paths. (The default mux is not used: the servers' code may
// have put anything there.)
func (a *API) addProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET "+pprofPath, pprof.Index)
	mux.HandleFunc("GET "+pprofPath+"cmdline", pprof.Cmdline)
	mux.HandleFunc("GET "+pprofPath+"symbol", pprof.Symbol)
	mux.HandleFunc("POST "+pprofPath+"symbol", pprof.Symbol)
	mux.HandleFunc("GET "+pprofPath+"trace", pprof.Trace)
	mux.HandleFunc("GET "+profilePath, a.getProfile)
}

const (
	// DefaultProfile is how long a CPU profile is, as in net/http/pprof.
	DefaultProfile = 30 * time.Second
	// LongestProfile bounds its memory.
	LongestProfile = time.Hour
)

// getProfile answers with a CPU profile, of one server with ?server=NAME. It takes turns with the metering of CPU time.
func (a *API) getProfile(w http.ResponseWriter, r *http.Request) {
	d := DefaultProfile
	if text := r.URL.Query().Get("seconds"); text != "" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || !(seconds > 0 && seconds <= LongestProfile.Seconds()) { // NaN is neither
			refuse(w, http.StatusBadRequest, fmt.Errorf("seconds=%s: use a number above 0, and no more than %.0f", text, LongestProfile.Seconds()))
			return
		}
		d = time.Duration(seconds * float64(time.Second))
	}
	server := r.URL.Query().Get("server")
	if server != "" {
		actor, err := a.find(server)
		if err != nil {
			refuse(w, http.StatusNotFound, err)
			return
		}
		server = actor.Name()
		if process := a.run.Processes[server]; process != nil {
			profile, err := process.Profile(r.Context(), d)
			if err != nil {
				err = fmt.Errorf("no profile of %s: %w; if its process has ended meanwhile, take another", server, err)
			}
			answerProfile(w, profile, err)
			return
		}
	}
	// Only when it has been taken, it is known whether it is whole.
	var profile bytes.Buffer
	err := a.meter.Profile(r.Context(), &profile, d, server)
	answerProfile(w, profile.Bytes(), err) // an error means that somebody else takes one, or that the run ends
}

func answerProfile(w http.ResponseWriter, profile []byte, err error) {
	if err != nil {
		refuse(w, http.StatusConflict, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(profile) // the client has gone
}
