package admin

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"time"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/meter"
)

// Usage is what the servers use up. The API has it at /v1/usage. The difference of two of them is what was used up in
// between.
type Usage struct {
	Time time.Time `json:"time"`
	// CPUSeconds is all CPU time, since it began, of the main process, which runs the servers without one of their own;
	// 0 if the operating system does not tell. A server's share of it is known only while it is measured.
	CPUSeconds float64 `json:"cpuSeconds,omitempty"`
	// Servers has an entry for each server, and a last one for the program itself: what is no server's.
	Servers []ServerUsage `json:"servers"`
	// Error says what is not known, such as CPU times while somebody else takes a CPU profile of the process.
	Error string `json:"error,omitempty"`
}

// ServerUsage is what one server uses up.
type ServerUsage struct {
	Name string `json:"name"`
	// CPUSeconds is the CPU time since measuring began, with the first request. Measuring goes on as long as there is a
	// request each minute. For a process that servers share, it is an estimate.
	CPUSeconds float64 `json:"cpuSeconds"`
	// TotalCPUSeconds is all CPU time of all processes of its own that the server has had; 0 if it has none.
	TotalCPUSeconds float64 `json:"totalCPUSeconds,omitempty"`
	Goroutines      int     `json:"goroutines"`
	// LogLines is how many lines it has logged, LostLines how many of these were lost.
	LogLines  int64 `json:"logLines"`
	LostLines int64 `json:"lostLines"`
}

func (a *API) getUsage(w http.ResponseWriter, r *http.Request) {
	u, err := a.usage(r.Context())
	if err != nil {
		u.Error = err.Error()
	}
	Answer(w, u)
}

// usage is what all servers have used up so far. Even with an error, it has what is known.
func (a *API) usage(ctx context.Context) (*Usage, error) {
	cpu, cpuErr := a.meter.Seconds()
	goroutines, err := meter.Goroutines()
	err = errors.Join(cpuErr, err)
	u := &Usage{Time: time.Now(), CPUSeconds: meter.ProcessSeconds()}
	program := ServerUsage{Name: a.run.Program}
	for name, seconds := range cpu {
		if a.run.Group.Find(name) == nil {
			program.CPUSeconds += seconds
		}
	}
	for name, n := range goroutines {
		if a.run.Group.Find(name) == nil {
			program.Goroutines += n
		}
	}
	for _, actor := range a.run.Group.Actors() {
		name := actor.Name()
		s := ServerUsage{Name: name, CPUSeconds: cpu[name], Goroutines: goroutines[name]}
		if process := a.run.Processes[name]; process != nil {
			s = process.Usage(ctx, s)
		}
		u.Servers = append(u.Servers, s.withLog(actor.Log()))
	}
	u.Servers = append(u.Servers, program.withLog(a.run.Logs.Program()))
	return u, err
}

// withLog adds what has been logged.
func (u ServerUsage) withLog(l *logging.Log) ServerUsage {
	c := l.Counts()
	u.LogLines, u.LostLines = c.Lines(), c.Lost
	return u
}

// OwnUsage is what this process, which is one server, uses up. The parent process asks for it.
func OwnUsage() ServerUsage {
	return ServerUsage{CPUSeconds: meter.ProcessSeconds(), Goroutines: runtime.NumGoroutine()}
}
