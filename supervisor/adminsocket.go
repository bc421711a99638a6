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
	lock, own := a.plan.Path(a.hk.Name+".lock"), a.own
	logger := a.plan.logs.Program().Zap().WithOptions(zap.WithCaller(false))
	lost := sync.OnceFunc(func() {
		logger.Warn("the data folder was removed, or another one has taken its place: commands do not find this run any more",
			zap.String("folder", a.plan.DataDir), zap.Int("pid", os.Getpid()))
	})
	var blocked sync.Once // since the socket was last there
	look := func() {
		// What takes the place of a file may get its number, too.
		if there, err := os.Stat(a.path); err == nil && own != nil && os.SameFile(there, own) && there.Mode() == own.Mode() && there.ModTime().Equal(own.ModTime()) {
			return
		}
		if there, err := os.Stat(lock); err != nil || !os.SameFile(there, a.lock) {
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
