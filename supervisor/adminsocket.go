package supervisor

import (
	"errors"
	"net/http"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// lookEvery is how often it is looked whether what the run needs to go on is there, and the socket of the admin API.
const lookEvery = time.Second / 2

// keepSocket looks whether the data folder and what servers keep are there, until stop is called, and ends the run if
// not. The socket is opened anew where somebody has removed it, such as one who tidies up temporary files: not at once,
// for it may be the whole folder that is being deleted.
func (a *admin) keepSocket() (stop func()) {
	own := a.own
	logger := a.plan.logs.Program().Zap().WithOptions(zap.WithCaller(false))
	var blocked sync.Once // since the socket was last there
	missed := false       // the last time
	look := func() (goOn bool) {
		if a.look() {
			return false
		}
		there, err := os.Stat(a.path)
		before := missed
		if missed = err != nil || !isSame(there, own); !missed || !before {
			return true
		}
		l, err := system.ListenUnix(a.path)
		if err != nil { // it may be possible the next time
			blocked.Do(func() {
				logger.Warn("the socket of the admin API is gone, and cannot be opened anew: commands do not find this run; remove what is in its place",
					zap.String("file", a.path), zap.Error(err))
			})
			return true
		}
		blocked = sync.Once{}
		own, _ = os.Stat(a.path)
		logger.Warn("the socket of the admin API was removed, and is opened anew", zap.String("file", a.path))
		go func() {
			if err := a.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				logger.Error("the admin API has failed", zap.Error(err))
			}
		}()
		return true
	}
	ended := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if !look() {
					return
				}
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

// isSame reports whether a file is one that was there before. What takes the place of a file may get its number, too.
func isSame(there, before os.FileInfo) bool {
	return before != nil && os.SameFile(there, before) && there.Mode() == before.Mode() && there.ModTime().Equal(before.ModTime())
}
