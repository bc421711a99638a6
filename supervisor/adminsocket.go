package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-200a7251/km/supervisor/internal/admin"
	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// adminSocket is the unix socket in the data folder on which the admin API answers.
type adminSocket struct {
	path     string
	listener net.Listener
	own      os.FileInfo // its file
	isGone   func() bool // the data folder is gone, or another run's
	server   *http.Server
	logger   *zap.Logger
	public   *http.Server // what answers at --admin-listen
}

// socketFile is the path of the socket in the data folder.
func (p *Plan) socketFile(program string) string { return p.Path(program + ".sock") }

// openSocket opens the socket. The data folder must be held: a socket that is already there was left by a killed
// process.
func openSocket(p *Plan) (*adminSocket, error) {
	path := p.socketFile(p.hk.Name)
	l, err := system.ListenUnix(path)
	if err != nil {
		return nil, fmt.Errorf("the socket of the admin API cannot be opened: %w; name another folder with --data-dir", err)
	}
	s := &adminSocket{path: path, listener: l, isGone: func() bool { return p.run.folder.Lost() != nil || p.run.lost.Load() }}
	s.own, _ = os.Stat(path) // if it has gone already, no later file is the same
	return s, nil
}

// checkAdminListen looks for what is wrong with --admin-listen.
func (set *settings) checkAdminListen() error {
	if _, _, err := net.SplitHostPort(set.adminListen); set.adminListen != "" && err != nil {
		return fmt.Errorf("--admin-listen=%s: write HOST:PORT, such as 127.0.0.1:9000", set.adminListen)
	}
	return nil
}

// listenPublicly opens the port of --admin-listen, if that is given.
func (r *run) listenPublicly() (err error) {
	address := r.hk.settings.adminListen
	if address == "" {
		return nil
	}
	if r.public, err = net.Listen("tcp", address); err != nil {
		return fmt.Errorf("%s: %w", r.hk.Name, explainListen(parseHostPort(address), err, "--admin-listen", "--admin-listen", ""))
	}
	return nil
}

// api is what the run shows of itself.
func (r *run) api() *admin.API {
	shown := admin.Run{Program: r.hk.Name, Version: r.hk.versionLine, Name: r.plan.Name, DataDir: r.plan.DataDir, Began: r.begin,
		Crash: r.crash, Group: r.group, Logs: r.logs, Processes: map[string]admin.Process{}, Check: r.checkAgain}
	for _, s := range r.plan.Servers {
		if c := s.at().child; c != nil {
			shown.Processes[s.Name()] = c
		}
	}
	shown.Warning = func(server string, level zapcore.Level) string { return r.plan.Server(server).warning(level) }
	return admin.New(shown)
}

// serve returns an actor that answers until all servers of the run have ended. It ends last: whoever asked for a stop
// is to be told how it went.
func (sock *adminSocket) serve(r *run) (execute func() error) {
	api := r.api()
	// Anybody may connect there.
	sock.public = &http.Server{
		Handler:           api.HealthHandler(),
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          zap.NewStdLog(r.logs.Program().Zap()),
	}
	sock.logger = r.logs.Program().Zap().WithOptions(zap.WithCaller(false))
	sock.server = &http.Server{
		Handler: api.Handler(),
		// A client that connects and says nothing is not kept for ever.
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          zap.NewStdLog(r.logs.Program().Zap()),
	}
	return func() error {
		served := make(chan struct{})
		go func() { defer close(served); sock.answer(sock.server, sock.listener) }()
		if r.public != nil {
			go sock.answer(sock.public, r.public)
		}
		stopKeeping := sock.keep(r.look)
		r.group.AwaitEnd()
		stopKeeping()
		// Nothing changes any more: whoever reads events, or takes a profile, gets the rest of it now.
		r.group.EndEvents()
		api.Close()
		ctx, cancel := context.WithTimeout(context.Background(), lastAnswers)
		defer cancel()
		for _, server := range []*http.Server{sock.server, sock.public} {
			if err := server.Shutdown(ctx); err != nil {
				_ = server.Close() // what is left are clients that do not read
			}
		}
		<-served
		return nil
	}
}

// lastAnswers is how long the end waits for clients to read their answers.
const lastAnswers = time.Second

// answer answers on a listener, until the server is shut down.
func (sock *adminSocket) answer(server *http.Server, l net.Listener) {
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		sock.logger.Error("the admin API has failed", zap.Error(err))
	}
}

// close removes the socket, unless what is there is another run's.
func (sock *adminSocket) close() {
	if sock == nil {
		return
	}
	_ = sock.listener.Close() // it is closed already, if anything was served
	if !sock.isGone() {
		system.RemoveUnix(sock.path)
	}
}

// lookEvery is how often the run checks that the socket of the admin API, and what it needs to go on, are still there.
const lookEvery = time.Second / 2

// keep calls look twice a second, until look reports that the run is to end, or stop is called. A socket that somebody
// has removed, such as who tidies up temporary files, is opened anew; not at once, as the whole folder may be about to
// be deleted.
func (sock *adminSocket) keep(look func() (gone bool)) (stop func()) {
	k := socketKeeper{adminSocket: sock, there: sock.own}
	ended := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if look() {
					return
				}
				k.look()
			case <-ended:
				return
			}
		}
	})
	return func() {
		close(ended)
		looking.Wait()
	}
}

// socketKeeper sees to it that the socket is there.
type socketKeeper struct {
	*adminSocket
	there   os.FileInfo // the file of the last socket
	missed  bool        // it was not there the last time
	blocked bool        // people know that it cannot be opened anew; until it is there again
}

func (k *socketKeeper) look() {
	there, err := os.Stat(k.path)
	before := k.missed
	if k.missed = err != nil || !isSame(there, k.there); !k.missed || !before {
		return
	}
	l, err := system.ListenUnix(k.path)
	if err != nil { // it may be possible the next time
		if !k.blocked {
			k.blocked = true
			k.logger.Warn("the socket of the admin API is gone, and cannot be opened anew: commands do not find this run; remove what is in its place",
				zap.String("file", k.path), zap.Error(err))
		}
		return
	}
	k.blocked = false
	k.there, _ = os.Stat(k.path)
	k.logger.Warn("the socket of the admin API was removed, and is opened anew", zap.String("file", k.path))
	go k.answer(k.server, l)
}

// isSame reports whether a file is one that was there before. What takes the place of a file may get its number, too.
func isSame(there, before os.FileInfo) bool {
	return before != nil && os.SameFile(there, before) && there.Mode() == before.Mode() && there.ModTime().Equal(before.ModTime())
}
