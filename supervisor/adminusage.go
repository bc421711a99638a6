package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"time"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/meter"
)

// Usage is what the servers use up. The admin API has it at /v1/usage. Of two of them, `top` shows the difference.
type Usage struct {
	Time time.Time `json:"time"`
	// CPUSeconds is all CPU time of the process in which the servers are that have none of their own, since it began; 0
	// where the operating system does not tell. No server's share of it is known but while it is measured.
	CPUSeconds float64 `json:"cpuSeconds,omitempty"`
	// Servers has an entry for each server, and at last one for the program itself: what is not a server's.
	Servers []ServerUsage `json:"servers"`
	// Error says what is not known, such as CPU times while somebody else takes a CPU profile of the process.
	Error string `json:"error,omitempty"`
}

// ServerUsage is what one server uses up.
type ServerUsage struct {
	Name string `json:"name"`
	// CPUSeconds is the CPU time since it began to be measured, which is when somebody asks for the first time; it goes
	// on as long as somebody asks once a minute. Of what is used in a process that servers share, it is an estimate.
	CPUSeconds float64 `json:"cpuSeconds"`
	// TotalCPUSeconds is all CPU time of the processes that the server has had of its own; 0 if it has none.
	TotalCPUSeconds float64 `json:"totalCPUSeconds,omitempty"`
	Goroutines      int     `json:"goroutines"`
	// LogLines is how many lines it has logged, LostLines how many of these were lost.
	LogLines  int64 `json:"logLines"`
	LostLines int64 `json:"lostLines"`
}

func (a *admin) getUsage(w http.ResponseWriter, r *http.Request) {
	u, err := a.usage(r.Context())
	if err != nil {
		u.Error = err.Error()
	}
	answer(w, u)
}

// usage is what all servers use up now, as far as it is known: also if there is an error.
func (a *admin) usage(ctx context.Context) (*Usage, error) {
	cpu, cpuErr := a.meter.Seconds()
	goroutines, err := meter.Goroutines()
	err = errors.Join(cpuErr, err)
	u := &Usage{Time: now(), CPUSeconds: meter.ProcessSeconds()}
	program := ServerUsage{Name: a.hk.Name}
	for name, seconds := range cpu {
		if a.group.byName[name] == nil {
			program.CPUSeconds += seconds
		}
	}
	for name, n := range goroutines {
		if a.group.byName[name] == nil {
			program.Goroutines += n
		}
	}
	for _, actor := range a.group.actors {
		name := actor.s.Name()
		s := ServerUsage{Name: name, CPUSeconds: cpu[name], Goroutines: goroutines[name]}
		if actor.s.child != nil {
			s = actor.s.child.usage(ctx, s)
		}
		u.Servers = append(u.Servers, s.withLog(actor.log()))
	}
	u.Servers = append(u.Servers, program.withLog(a.plan.logs.Program()))
	return u, err
}

// withLog adds what has been logged.
func (s ServerUsage) withLog(l *logging.Log) ServerUsage {
	c := l.Counts()
	s.LogLines, s.LostLines = c.Lines(), c.Lost
	return s
}

// usage adds to what the server uses up in this process what its own one does.
func (c *child) usage(ctx context.Context, s ServerUsage) ServerUsage {
	c.mu.Lock()
	s.TotalCPUSeconds = c.used.Seconds()
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, time.Second) // it may be busy, or ending
	defer cancel()
	text, err := c.get(ctx, "/v1/usage")
	var own ServerUsage
	if err == nil && json.Unmarshal(text, &own) == nil {
		s.TotalCPUSeconds += own.CPUSeconds
		s.Goroutines += own.Goroutines
	}
	s.CPUSeconds += s.TotalCPUSeconds
	return s
}

// ownUsage is what this process uses up.
func ownUsage() ServerUsage {
	return ServerUsage{CPUSeconds: meter.ProcessSeconds(), Goroutines: runtime.NumGoroutine()}
}
