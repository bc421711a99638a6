package child

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"sync"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/admin"
	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// Parent is the connection of a child to its parent.
type Parent struct {
	conn    net.Conn
	orders  *json.Decoder
	mu      sync.Mutex // guards reports
	reports *json.Encoder
	closed  chan struct{} // has something when the parent has closed its sockets
}

// planLimit is how long a child waits for its plan, which its parent sends at once.
const planLimit = time.Minute

// Connect connects this process to its parent, and reads its plan. An error says that it has no parent.
func Connect(plan any) (*Parent, error) {
	// Processes that the server starts do not get these files: this process would seem to live on in them.
	system.CloseOnExec(controlFD)
	system.CloseOnExec(logFD)
	f := os.NewFile(controlFD, "control")
	if f == nil {
		return nil, errors.New("it was called by somebody else")
	}
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, errors.New("it was called by somebody else")
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	p := &Parent{conn: conn, orders: json.NewDecoder(conn), reports: json.NewEncoder(conn), closed: make(chan struct{}, 1)}
	// A connection to somebody else may stay silent.
	if err := conn.SetReadDeadline(time.Now().Add(planLimit)); err != nil {
		return nil, err
	}
	if err := p.orders.Decode(plan); err != nil {
		return nil, err
	}
	return p, conn.SetReadDeadline(time.Time{})
}

// LogFile is where the lines of this process's log go.
func LogFile() *os.File { return os.NewFile(logFD, "log") }

// Report tells the parent something.
func (parent *Parent) Report(r Report) {
	parent.mu.Lock()
	defer parent.mu.Unlock()
	_ = parent.reports.Encode(r) // the parent has died: Obey returns
}

// Orders are what a child does when its parent says so.
type Orders struct {
	Stop  func()
	Level func(zapcore.Level)
}

// Obey does what the parent says, and returns when the parent has died.
func (parent *Parent) Obey(orders Orders) {
	for {
		var o order
		if err := parent.orders.Decode(&o); err != nil {
			return
		}
		switch {
		case o.Stop:
			orders.Stop()
		case o.SocketsClosed:
			parent.closed <- struct{}{}
		case o.Level != "":
			if level, err := logging.ParseLevel(o.Level); err == nil {
				orders.Level(level)
			}
		}
	}
}

// CloseSockets has the parent close the sockets that it holds for this server, and waits until it has.
func (parent *Parent) CloseSockets() {
	parent.Report(Report{CloseSockets: true})
	<-parent.closed
}

// What a child serves to its parent, at the paths that the admin API has, too.
const (
	usagePath   = "/v1/usage"
	pprofPath   = "/debug/pprof/"
	profilePath = pprofPath + "profile"
)

// Handler is what a child serves to its parent.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pprofPath, pprof.Index)
	mux.HandleFunc("GET "+profilePath, pprof.Profile)
	mux.HandleFunc("GET "+usagePath, func(w http.ResponseWriter, _ *http.Request) { admin.Answer(w, admin.OwnUsage()) })
	return mux
}
