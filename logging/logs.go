package logging

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Config says where the lines go and how they look. The zero value of a field means its default.
type Config struct {
	// Out receives lines, beside the files; a terminal, most often. It is written to by a goroutine of its own: a slow
	// one holds no server up. Default: no lines are shown.
	Out io.Writer
	// Format is what Out gets: FormatConsole (the default) or FormatJSON. Files get JSON.
	Format Format
	// Color writes severities and server names in colour, in the console format.
	Color bool
	// Brief keeps from Out all but warnings and errors, and of these what servers say while they start and stop
	// (Log.SetPhase), unless a start fails: then they complain much about what is not there yet, or is already closed.
	// What the same place in the code says again and again is shown once, and then how often it was said. Log.ShowAll
	// lifts it for one Log.
	Brief bool
	// Quiet keeps from Out all that servers say, if Brief is set: only lines of the program itself are left.
	Quiet bool
	// Level is the least severe level that is written, for each Log that is not set otherwise. Default: info.
	Level zapcore.Level
	// Files says that Log.Open or Log.Discard will be called for each Log. What is written before is kept for the file.
	Files bool
	// Program is the name that lines carry which belong to no server. Default: "main".
	Program string
}

// Logs is where the lines of all servers come together. Its methods may be called from several goroutines at once.
type Logs struct {
	config   Config
	display  *display // nil without Config.Out
	trouble  trouble  // with files
	program  *Log
	unplaced atomic.Int64
	claims   atomic.Pointer[[]claim]

	mu      sync.Mutex // guards what follows
	all     map[string]*Log
	files   map[string]*queue // by path
	onClose []func()

	changing sync.Mutex // held while functions of onChange are called; guards it
	onChange []func()
}

// New returns Logs that write as c says. Close has them written to the end.
func New(c Config) *Logs {
	if c.Program == "" {
		c.Program = "main"
	}
	ls := &Logs{config: c, all: map[string]*Log{}, files: map[string]*queue{}}
	ls.trouble = trouble{
		broke:  "a log file cannot be written; the servers go on, and what they log is kept for a while and then lost",
		works:  "the log files can be written again",
		slow:   "a log file could not be written for a while, and lines were lost",
		logs:   ls,
		broken: map[string]bool{},
	}
	if c.Out != nil {
		ls.display = newDisplay(c, ls)
	}
	ls.program = ls.Server(c.Program)
	return ls
}

// Server returns the Log of the named server, and makes it at the first call.
func (ls *Logs) Server(name string) *Log {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l := ls.all[name]; l != nil {
		return l
	}
	l := newLog(ls, name)
	ls.all[name] = l
	if ls.display != nil {
		ls.display.renderer.Widen(name)
	}
	return l
}

// All returns the Logs that there are, the program's among them, by name.
func (ls *Logs) All() []*Log {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return slices.SortedFunc(maps.Values(ls.all), func(a, b *Log) int { return strings.Compare(a.name, b.name) })
}

// Program returns the Log of the program itself: lines that belong to no server.
func (ls *Logs) Program() *Log { return ls.program }

// Unplaced is the number of lines so far that Place could give to no server.
func (ls *Logs) Unplaced() int64 { return ls.unplaced.Load() }

// MostVerbose is the lowest level of all servers. vmodule has the higher verbosities for source files of all servers,
// as in Log.SetVModule. A process-wide logger has to let through that much.
func (ls *Logs) MostVerbose() (level zapcore.Level, vmodule string) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	level = ls.config.Level
	var rules []vmoduleRule
	for _, name := range slices.Sorted(maps.Keys(ls.all)) {
		l := ls.all[name]
		level = min(level, l.Level())
		if m := l.vmodule.Load(); m != nil {
			rules = append(rules, m.rules...)
		}
	}
	// Of several rules for a file the first one counts: it has to be the most verbose.
	slices.SortStableFunc(rules, func(a, b vmoduleRule) int { return int(a.level) - int(b.level) })
	for i, r := range rules {
		if i > 0 {
			vmodule += ","
		}
		vmodule += fmt.Sprintf("%s=%d", r.pattern, -r.level)
	}
	return level, vmodule
}

// OnChange calls f now, and after each change of a Log's level or vmodule; one call at a time.
func (ls *Logs) OnChange(f func()) {
	ls.changing.Lock()
	defer ls.changing.Unlock()
	ls.onChange = append(ls.onChange, f)
	f()
}

func (ls *Logs) changed() {
	ls.changing.Lock()
	defer ls.changing.Unlock()
	for _, f := range ls.onChange {
		f()
	}
}

// flushLimit is how long Flush and Close wait for a blocked destination.
const flushLimit = 2 * time.Second

// Flush blocks until all that was written before has reached the files and Out. It does not wait for a destination that
// fails, and waits at most two seconds for a slow one.
func (ls *Logs) Flush() {
	deadline := time.Now().Add(flushLimit)
	ls.eachQueue(func(q *queue) { q.flush(deadline) })
}

// Close flushes, closes the files and ends the goroutines that write. What is logged later is lost.
func (ls *Logs) Close() {
	ls.mu.Lock()
	fs := ls.onClose
	ls.onClose = nil
	ls.mu.Unlock()
	for _, f := range fs {
		f()
	}
	deadline := time.Now().Add(flushLimit)
	ls.eachQueue(func(q *queue) { q.close(deadline) })
}

// eachQueue calls f for all queues at once: one that is slow takes no time from the others.
func (ls *Logs) eachQueue(f func(*queue)) {
	ls.mu.Lock()
	qs := map[*queue]bool{}
	for _, l := range ls.all {
		if q := l.file.Load(); q != nil {
			qs[q] = true
		}
	}
	if ls.display != nil {
		qs[ls.display.queue] = true
	}
	ls.mu.Unlock()
	var all sync.WaitGroup
	for q := range qs {
		all.Go(func() { f(q) })
	}
	all.Wait()
}

// trouble tells of destinations that cannot be written to: once for all of them, until all work again. A full disk
// concerns each file.
type trouble struct {
	broke, works, slow string // what people are told
	logs               *Logs

	mu     sync.Mutex
	broken map[string]bool
	lost   int64
}

// tell is the tell of a queue.
func (tr *trouble) tell(name string, err error, lost int64) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	logger := tr.logs.program.Zap().WithOptions(zap.WithCaller(false))
	switch {
	case err != nil:
		if tr.broken[name] = true; len(tr.broken) == 1 {
			logger.Warn(tr.broke, zap.String("file", name), zap.Error(err))
		}
	case !tr.broken[name]:
		logger.Warn(tr.slow, zap.String("file", name), zap.Int64("lost lines", lost))
	default:
		tr.lost += lost
		if delete(tr.broken, name); len(tr.broken) == 0 {
			logger.Warn(tr.works, zap.Int64("lost lines", tr.lost))
			tr.lost = 0
		}
	}
}
