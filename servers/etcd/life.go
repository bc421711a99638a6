package etcd

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/supervisor"
)

// life is one of the embedded etcd: it waits for space, is started, watched and closed.
type life struct {
	*etcd
	server         *supervisor.Server
	config         *embed.Config
	at             place
	fatal          fatalHook
	segmentMissing spaceHook
	removed        removedHook
	streams        streams
}

func (e *etcd) newLife(s *supervisor.Server) (*life, error) {
	c, err := load(s)
	if err == nil {
		err = checkSockets(c)
	}
	if err != nil {
		return nil, err
	}
	at, err := placeOf(c)
	if err != nil {
		return nil, err
	}
	l := &life{etcd: e, server: s, config: c, at: at, fatal: make(fatalHook, 1), segmentMissing: make(spaceHook, 1), removed: make(removedHook, 1)}
	// Upstream ends the process with a fatal line, or a panic in one of its goroutines, where its data cannot be read.
	lg := withRightLines(s.Logger()).WithOptions(
		zap.WithFatalHook(l.fatal), zap.WithPanicHook(l.fatal), l.segmentMissing.option(), l.removed.option())
	if !peered(s) && at.membership().count <= 1 {
		lg = lg.WithOptions(zap.WithPanicHook(loneHook{l.fatal}))
	}
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(lg)
	c.GRPCAdditionalServerOptions = append(c.GRPCAdditionalServerOptions, l.streams.option(), e.full.option(), onlyKept(s))
	return l, nil
}

// withRightLines leaves out of etcd's lines what does not belong in a log, and has levels fit. What is around another
// core asks that one; redact does not.
func withRightLines(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(redact), zap.WrapCore(forgive))
}

func (e *etcd) run(ctx context.Context, s *supervisor.Server, _ []string) error {
	l, err := e.newLife(s)
	if err != nil {
		return err
	}
	waitForSpace(ctx, s, l.at)
	embedded, err := l.start(ctx)
	if err != nil || embedded == nil { // ctx has ended
		return l.at.explain(e.plan, err, true)
	}
	e.full.of(embedded)
	defer e.full.of(nil)
	defer e.started.Put(embedded)()
	short, err := l.watch(ctx, embedded)
	if err = l.close(embedded, err); err == nil {
		return short
	}
	return l.at.explain(e.plan, err, false)
}

// start starts etcd, unless ctx ends before. It is not stopped before it has started: a start waits for nobody but the
// end of a restore.
func (l *life) start(ctx context.Context) (embedded *embed.Etcd, err error) {
	l.broken.Store(nil)
	err = whileNotReplaced(ctx, l.starting, func() error {
		if err := l.at.sound(); err != nil {
			return err
		}
		if err := l.at.refuseRemoved(); err != nil {
			return err
		}
		defragAtStart(l.config, l.server)
		embedded, err = l.open(ctx)
		if err != nil {
			l.mayHold()
		}
		return err
	})
	if err != nil || embedded == nil {
		return nil, err
	}
	// where users have it elsewhere, the mode is theirs
	if !l.server.Given("config-file") && !l.server.Given("listen-client-urls") {
		if err := keepPrivate(l.config.ListenClientUrls); err != nil {
			return nil, errors.Join(err, l.close(embedded, nil))
		}
	}
	return embedded, nil
}

// watch waits until etcd is to be closed: as ctx ends, as space gets short, or as it has failed.
func (l *life) watch(ctx context.Context, embedded *embed.Etcd) (short, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	low := make(chan error, 1)
	go watchSpace(ctx, l.at, l.segmentMissing, low)
	if peered(l.server) {
		go watchLost(ctx, l.server, embedded)
	}
	select {
	case <-ctx.Done():
	case short = <-low:
	case err = <-embedded.Err():
		if l.isRemoved(embedded) { // one that was not ready yet says so of its clients first
			err = errRemoved
		}
	case err = <-l.fatal:
	case <-embedded.Server.StopNotify():
		err = l.ended(embedded)
	}
	return short, err
}

// close closes etcd, which has failed with err, if that is not nil. It returns that, or with what it fails now.
func (l *life) close(embedded *embed.Etcd, err error) error {
	closed := make(chan struct{})
	l.streams.end()
	go func() { defer close(closed); closeEtcd(embedded) }()
	if err == nil {
		select {
		case <-closed:
			return nil
		case err = <-l.fatal:
		}
	}
	// The goroutine that a fatal line ended may hold locks that Close waits for.
	select {
	case <-closed:
	case <-time.After(closeTime):
		l.mayHold()
	}
	return err
}

// mayHold notes that what was broken off may hold the database.
func (l *life) mayHold() {
	database := DatabaseIn(l.config.Dir)
	l.broken.Store(&database)
}

// stuck reports whether a start that was broken off, by a fatal line or a panic, still holds the database: another one
// would wait for its lock for ever.
func (e *etcd) stuck() bool {
	path := e.broken.Load()
	if path == nil {
		return false
	}
	return locked(*path)
}

// InUse reports whether an etcd, or something else, has the data in a folder open.
func InUse(dir string) bool { return locked(DatabaseIn(dir)) }

// closeTime is how long a failed etcd may take to close before it is left as it is.
const closeTime = 2 * time.Second

func (e *etcd) ready(ctx context.Context, s *supervisor.Server) error {
	server, err := e.started.Get(ctx)
	if err != nil {
		return err
	}
	if err := e.takePart(ctx, s, server); err != nil {
		return err
	}
	endAlarm(ctx, server, s.Logger())
	e.full.look()
	return ctx.Err()
}
