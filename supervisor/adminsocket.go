package supervisor

import (
	"errors"
	"net/http"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

// socketLook is how often it is looked whether the socket of the admin API is still there.
const socketLook = time.Second

// keepSocket opens the socket anew where somebody has removed it, such as one who tidies up temporary files, until stop is called. What
// is in a data folder that is not this run's any more is left alone.
func (a *admin) keepSocket() (stop func()) {
	own := a.own
	logger := a.plan.logs.Program().Zap().WithOptions(zap.WithCaller(false))
	lost := sync.OnceFunc(func() {
		logger.Warn("the data folder was removed, or another one has taken its place: commands do not find this run any more",
			zap.String("folder", a.plan.DataDir), zap.Int("pid", os.Getpid()))
	})
	var blocked sync.Once // since the socket was last there
	look := func() {
		if there, err := os.Stat(a.path); err == nil && isSame(there, own) {
			return
		}
		if !a.inOwnFolder() {
			lost()
			return
		}
		l, err := listenUnix(a.path)
		if err != nil { // it may be possible the next time
			blocked.Do(func() {
				logger.Warn("the socket of the admin API is gone, and cannot be opened anew: commands do not find this run; remove what is in its place",
					zap.String("file", a.path), zap.Error(err))
			})
			return
		}
		blocked = sync.Once{}
		own, _ = os.Stat(a.path)
		logger.Warn("the socket of the admin API was removed, and is opened anew", zap.String("file", a.path))
		go func() {
			if err := a.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				logger.Error("the admin API has failed", zap.Error(err))
			}
		}()
	}
	ended := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		ticker := time.NewTicker(socketLook)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				look()
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

// inOwnFolder reports whether the data folder is the one that this run holds, and no other one in its place.
func (a *admin) inOwnFolder() bool {
	there, err := os.Stat(a.plan.Path(a.hk.Name + ".lock"))
	return err == nil && os.SameFile(there, a.lock)
}

// isSame reports whether a file is one that was there before. What takes the place of a file may get its number, too.
func isSame(there, before os.FileInfo) bool {
	return before != nil && os.SameFile(there, before) && there.Mode() == before.Mode() && there.ModTime().Equal(before.ModTime())
}
