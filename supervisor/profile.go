package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/pprof"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/spf13/pflag"
)

// addProfiles adds what net/http/pprof has, under its usual paths. (The default mux is not used: the servers' code may
// have put anything there.)
func (a *admin) addProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/profile", a.getProfile)
}

const (
	// defaultProfile is how long a CPU profile is, as in net/http/pprof.
	defaultProfile = 30 * time.Second
	// longestProfile bounds its memory.
	longestProfile = time.Hour
)

// getProfile answers with a CPU profile, of one server with ?server=NAME. It takes turns with the metering of CPU time.
func (a *admin) getProfile(w http.ResponseWriter, r *http.Request) {
	d := defaultProfile
	if text := r.URL.Query().Get("seconds"); text != "" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || !(seconds > 0 && seconds <= longestProfile.Seconds()) { // NaN is neither
			refuse(w, http.StatusBadRequest, fmt.Errorf("seconds=%s: use a number above 0, and no more than %.0f", text, longestProfile.Seconds()))
			return
		}
		d = time.Duration(seconds * float64(time.Second))
	}
	server := r.URL.Query().Get("server")
	if server != "" {
		actor, err := a.group.findActor(server)
		if err != nil {
			refuse(w, http.StatusNotFound, err)
			return
		}
		if server = actor.s.Name(); actor.s.child != nil {
			a.getChildProfile(w, r, actor.s.child, d)
			return
		}
	}
	// It is written when it has been taken, and only then it is known whether it is whole.
	var profile bytes.Buffer
	if err := a.meter.Profile(r.Context(), &profile, d, server); err != nil {
		refuse(w, http.StatusConflict, err) // somebody else takes one, or the run ends
		return
	}
	answerProfile(w, profile.Bytes())
}

func answerProfile(w http.ResponseWriter, profile []byte) {
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(profile) // the client has gone
}

// getChildProfile answers with a CPU profile of a server's own process.
func (a *admin) getChildProfile(w http.ResponseWriter, r *http.Request, c *child, d time.Duration) {
	profile, err := c.get(r.Context(), "/debug/pprof/profile?seconds="+strconv.Itoa(int(max(d, time.Second).Seconds())))
	if err != nil {
		refuse(w, http.StatusConflict, fmt.Errorf("no profile of %s: %w; if its process has ended meanwhile, take another", c.s.Name(), err))
		return
	}
	answerProfile(w, profile)
}

// profileCommand is `profile`.
func profileCommand() *Command {
	flags := pflag.NewFlagSet("profile", pflag.ContinueOnError)
	seconds := flags.Int("seconds", int(defaultProfile.Seconds()), "how long to look, in seconds")
	file := flags.StringP("output", "o", "", "file for the profile, - for standard output (default: one with the time in its name, in the current folder)")
	return &Command{
		Name:  "profile",
		Args:  "[SERVER]",
		Short: "take a CPU profile of a run, or of one of its servers",
		Long: "Take a CPU profile of a run, or of what one of its servers does in it: a file for `go tool pprof`. Other profiles (heap, " +
			"goroutine, trace …) are at /debug/pprof/ of the socket in the data folder.",
		Flags: flags,
		Complete: func(hk *HyperKube, args []string) []string {
			if len(args) > 0 {
				return nothing
			}
			return completeServers(hk, nil)
		},
		Run: func(ctx context.Context, hk *HyperKube, p *Plan, args []string) error {
			if *seconds < 1 || *seconds > int(longestProfile.Seconds()) {
				return usageError(fmt.Errorf("--seconds=%d: use a number above 0, and no more than %.0f", *seconds, longestProfile.Seconds()))
			}
			server, what := "", hk.Name
			switch names, err := hk.serversOf(args); {
			case err != nil:
				return usageError(err)
			case len(names) > 1:
				return usageError(errors.New("profile takes one server, or none for the whole process"))
			case len(names) == 1:
				server = names[0]
				what += "-" + server
			}
			if *file == "" {
				*file = fmt.Sprintf("%s-%s.pb.gz", what, now().Format("20060102-150405"))
			}
			return hk.profile(ctx, p, server, *seconds, *file)
		},
	}
}

func (hk *HyperKube) profile(ctx context.Context, p *Plan, server string, seconds int, file string) (err error) {
	c := hk.connect(p)
	if _, err := c.status(ctx); err != nil {
		return err // before there is a file
	}
	out := hk.Out()
	if file != "-" {
		// Before half a minute has gone by: the file may not be to be had.
		f, createErr := createProfile(file)
		if createErr != nil {
			return createErr
		}
		out = f
		defer func() {
			if closeErr := f.Close(); err == nil {
				err = closeErr
			}
			if err != nil {
				err = errors.Join(err, os.Remove(file)) // half of it is of no use
			}
		}()
		fmt.Fprintf(hk.errOut(), "profiling for %d seconds …\n", seconds)
	}
	query := url.Values{"seconds": {strconv.Itoa(seconds)}}
	if server != "" {
		query.Set("server", server)
	}
	answer, err := c.do(ctx, http.MethodGet, "/debug/pprof/profile?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return c.explain(err)
	}
	if _, err = out.Write(text); err != nil {
		return fmt.Errorf("the profile cannot be written: %w; name another file with --output", err)
	}
	if file != "-" {
		fmt.Fprintf(hk.Out(), "%s\n", file)
		fmt.Fprintf(hk.errOut(), "Look at it with `%s`.\n", shellWords([]string{"go", "tool", "pprof", "-http=:", file}))
	}
	return nil
}

func createProfile(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("%s is there already; remove it, or name another file with --output", file)
	case err != nil:
		return nil, fmt.Errorf("the profile cannot be written: %w; name another file with --output", err)
	}
	return f, nil
}
