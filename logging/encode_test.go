package logging

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// What each line looks like, whole. Programs read it.
func TestLine(t *testing.T) {
	var caller string
	for _, test := range []struct {
		name string
		log  func(db *Log)
		want string // after the time; CALLER stands for where it was called
	}{
		{"zap", func(db *Log) { db.Zap().Named("raft").Info("x", zap.Int("n", 1)); caller = here() },
			`"level":"info","v":0,"server":"db","logger":"raft","caller":"CALLER","msg":"x","n":1}`},
		{"zap, no name and no fields", func(db *Log) { db.Zap().Warn("x"); caller = here() },
			`"level":"warn","server":"db","caller":"CALLER","msg":"x"}`},
		{"zap, fields given before", func(db *Log) {
			db.Zap().With(zap.Int("a", 1)).With(zap.Int("b", 2)).Error("x", zap.Int("c", 3))
			caller = before(here())
		}, `"level":"error","server":"db","caller":"CALLER","msg":"x","a":1,"b":2,"c":3}`},
		{"slog", func(db *Log) { db.Slog().With("a", 1).Info("x", "n", 1); caller = here() },
			`"level":"info","v":0,"server":"db","caller":"CALLER","msg":"x","a":1,"n":1}`},
		{"slog, debug", func(db *Log) { db.Slog().Debug("x"); caller = here() },
			`"level":"debug","server":"db","caller":"CALLER","msg":"x"}`},
		{"logr", func(db *Log) { db.Logr().WithName("gc").WithValues("a", 1).V(3).Info("x", "n", 1); caller = here() },
			`"level":"info","v":3,"server":"db","logger":"gc","caller":"CALLER","msg":"x","a":1,"n":1}`},
		{"logr, error", func(db *Log) { db.Logr().WithValues("a", 1).Error(errors.New("boom"), "x", "n", 1); caller = here() },
			`"level":"error","server":"db","caller":"CALLER","msg":"x","err":"boom","a":1,"n":1}`},
		{"empty", func(db *Log) { db.Zap().Info(""); caller = here() },
			`"level":"info","v":0,"server":"db","caller":"CALLER","msg":""}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			line := oneLine(t, test.log)
			ts := `{"ts":"2006-01-02T15:04:05.000000Z",`
			if len(line) < len(ts) || !regexp.MustCompile(`^\{"ts":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",$`).MatchString(line[:len(ts)]) {
				t.Fatalf("it does not begin with a time in UTC with microseconds: %s", line)
			}
			if diff := cmp.Diff(strings.Replace(test.want, "CALLER", caller, 1)+"\n", line[len(ts):]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Times are put in order as text: each has to be as long as the others, and in UTC.
func TestTimesAreEquallyLongAndInUTC(t *testing.T) {
	east := time.FixedZone("east", 14*3600)
	for _, test := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 1, 2, 3, 4, 5, 678_901_999, time.UTC), "2026-01-02T03:04:05.678901Z"},
		{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "2026-01-02T03:04:05.000000Z"},
		{time.Date(2026, 1, 2, 3, 4, 5, 999, time.UTC), "2026-01-02T03:04:05.000000Z"},
		{time.Date(2026, 1, 1, 13, 59, 59, 120_000_000, east), "2025-12-31T23:59:59.120000Z"},
		{time.Date(2026, 7, 1, 0, 0, 0, 1000, time.FixedZone("west", -9*3600-1800)), "2026-07-01T09:30:00.000001Z"},
	} {
		for _, how := range []struct {
			name string
			log  func(db *Log) error
		}{
			{"zap", func(db *Log) error { return db.Zap().Core().Write(zapcore.Entry{Message: "x", Time: test.at}, nil) }},
			{"slog", func(db *Log) error {
				return db.Slog().Handler().Handle(context.Background(), slog.NewRecord(test.at, slog.LevelInfo, "x", 0))
			}},
		} {
			line := oneLine(t, func(db *Log) {
				if err := how.log(db); err != nil {
					t.Error(err)
				}
			})
			if got := objectOf(t, line)["ts"]; got != test.want || len(test.want) != 27 {
				t.Errorf("%s: ts is %q, want %q", how.name, got, test.want)
			}
		}
	}
}

// Who sets no time gets the present one.
func TestTimeIsThePresentOne(t *testing.T) {
	before := time.Now()
	for name, log := range map[string]func(db *Log){
		"zap":                  func(db *Log) { db.Zap().Info("x") },
		"slog":                 func(db *Log) { db.Slog().Info("x") },
		"logr":                 func(db *Log) { db.Logr().Info("x") },
		"entry without a time": func(db *Log) { _ = db.Zap().Core().Write(zapcore.Entry{Message: "x"}, nil) },
	} {
		l, err := ParseLine([]byte(oneLine(t, log)))
		if err != nil {
			t.Fatal(err)
		}
		if l.Time.Before(before.Truncate(time.Microsecond)) || l.Time.After(time.Now()) {
			t.Errorf("%s: %v is not now", name, l.Time)
		}
	}
}

// Lines at info always have a verbosity, and no others do.
func TestLevelAndVerbosity(t *testing.T) {
	boom := errors.New("boom")
	for _, test := range []struct {
		name  string
		log   func(db *Log)
		level string
		v     any
	}{
		{"zap debug", func(db *Log) { db.Zap().Debug("x") }, "debug", nil},
		{"zap info", func(db *Log) { db.Zap().Info("x") }, "info", 0.0},
		{"zap warn", func(db *Log) { db.Zap().Warn("x") }, "warn", nil},
		{"zap error", func(db *Log) { db.Zap().Error("x") }, "error", nil},
		{"zap dpanic", func(db *Log) { db.Zap().DPanic("x") }, "fatal", nil},
		{"zap at v=2, as zapr writes it", func(db *Log) { db.Zap().Log(-2, "x") }, "info", 2.0},
		{"zap at v=10", func(db *Log) { db.Zap().Log(-10, "x") }, "info", 10.0},
		{"slog debug", func(db *Log) { db.Slog().Debug("x") }, "debug", nil},
		{"slog below debug", func(db *Log) { db.Slog().Log(context.Background(), slog.LevelDebug-4, "x") }, "debug", nil},
		{"slog info", func(db *Log) { db.Slog().Info("x") }, "info", 0.0},
		{"slog between info and warn", func(db *Log) { db.Slog().Log(context.Background(), slog.LevelInfo+2, "x") }, "info", 0.0},
		{"slog warn", func(db *Log) { db.Slog().Warn("x") }, "warn", nil},
		{"slog error", func(db *Log) { db.Slog().Error("x") }, "error", nil},
		{"slog above error", func(db *Log) { db.Slog().Log(context.Background(), slog.LevelError+4, "x") }, "error", nil},
		{"logr", func(db *Log) { db.Logr().Info("x") }, "info", 0.0},
		{"logr v=0", func(db *Log) { db.Logr().V(0).Info("x") }, "info", 0.0},
		{"logr v=1", func(db *Log) { db.Logr().V(1).Info("x") }, "info", 1.0},
		{"logr v=4", func(db *Log) { db.Logr().V(4).Info("x") }, "info", 4.0},
		{"logr v=3 and 4", func(db *Log) { db.Logr().V(3).V(4).Info("x") }, "info", 7.0},
		{"logr below 0", func(db *Log) { db.Logr().V(-5).Info("x") }, "info", 0.0},
		{"logr error", func(db *Log) { db.Logr().Error(boom, "x") }, "error", nil},
		{"logr error under a verbosity", func(db *Log) { db.Logr().V(3).Error(boom, "x") }, "error", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := objectOf(t, oneLine(t, test.log))
			if v, there := got["v"]; got["level"] != test.level || v != test.v || there != (test.v != nil) {
				t.Errorf("level %v, v %v, want %v, %v", got["level"], got["v"], test.level, test.v)
			}
		})
	}
}

// What Logr writes above v=127 is written by who asks for all: V has no limit there.
func TestVerbosityBeyondTheLastLevel(t *testing.T) {
	if got := objectOf(t, oneLine(t, func(db *Log) { db.Logr().V(1000).Info("x") })); got["level"] != "info" || got["v"] != 1000.0 {
		t.Errorf("level %v, v %v", got["level"], got["v"])
	}
}

type (
	point struct {
		X int
		Y string `json:"y"`
	}
	failure struct{ text string } // is an error, by its pointer
	who     struct{ name string } // has a String, by its pointer
	loud    struct{}              // panics, whatever it is asked
	secret  string                // says itself how it is to be logged
	mute    struct{}              // panics when it is to say it
	says    struct{ it any }      // is logged as it
	stuck   struct{}              // its MarshalJSON panics
	broken  struct{}              // its MarshalJSON fails
)

func (f *failure) Error() string            { return f.text }
func (w *who) String() string               { return w.name }
func (loud) String() string                 { panic("oh") }
func (secret) MarshalLog() any              { return "***" }
func (*mute) MarshalLog() any               { panic("oh") }
func (say says) MarshalLog() any            { return say.it }
func (stuck) MarshalJSON() ([]byte, error)  { panic("oh") }
func (broken) MarshalJSON() ([]byte, error) { return nil, errors.New("oh") }

var _ logr.Marshaler = secret("")

// loudError is an error whose text cannot be had.
type loudError struct{}

func (loudError) Error() string { panic("oh") }

// Each value is JSON of its own kind: numbers can be compared, objects be looked into.
func TestValues(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6789, time.FixedZone("east", 2*3600))
	for _, test := range []struct {
		name  string
		value any
		want  string // of the field k
		zap   string // the same where zap's and slog's own rules say something else
	}{
		{"int", -3, `"k":-3`, ""},
		{"the largest number", uint64(math.MaxUint64), `"k":18446744073709551615`, ""},
		{"float", 0.25, `"k":0.25`, ""},
		{"not a number", math.NaN(), `"k":"NaN"`, ""},
		{"infinite", math.Inf(-1), `"k":"-Inf"`, ""},
		{"bool", true, `"k":true`, ""},
		{"nil", nil, `"k":null`, ""},
		{"string", `a "b" \ </c>`, `"k":"a \"b\" \\ </c>"`, ""},
		{"lines", "a\nb\r\tc", `"k":"a\nb\r\tc"`, ""},
		{"control characters", "\x00\x1b[31m", `"k":"\u0000\u001b[31m"`, ""},
		{"letters", "äß 語", `"k":"äß 語"`, ""},
		{"not UTF-8", "a\xffb", `"k":"a\ufffdb"`, ""},
		{"duration", 90 * time.Second, `"k":"1m30s"`, ""},
		{"time", at, `"k":"2026-01-02T03:04:05.000006+02:00"`, ""},
		{"struct", point{1, "b"}, `"k":{"X":1,"y":"b"}`, ""},
		{"pointer", &point{1, "b"}, `"k":{"X":1,"y":"b"}`, ""},
		{"nil pointer", (*point)(nil), `"k":null`, ""},
		{"strings", []string{"a", "b"}, `"k":["a","b"]`, ""},
		{"structs", []point{{1, "b"}}, `"k":[{"X":1,"y":"b"}]`, ""},
		{"errors", []error{errors.New("a")}, `"k":[{"error":"a"}]`, ""},
		{"map", map[string]int{"b": 2, "a": 1}, `"k":{"a":1,"b":2}`, ""},
		{"bytes", []byte("abc"), `"k":"YWJj"`, ""},
		{"JSON of several lines", json.RawMessage("{\n\"a\": 1\n}"), `"k":{"a":1}`, ""},
		{"broken JSON", json.RawMessage(`{"a`), `"kError":"json: error calling MarshalJSON for type json.RawMessage: unexpected end of JSON input"`, ""},
		{"error", errors.New("out of ink"), `"k":"out of ink"`, ""},
		{"wrapped error", fmt.Errorf("print: %w", errors.New("out of ink")), `"k":"print: out of ink"`, ""},
		{"joined errors", errors.Join(errors.New("a"), errors.New("b")), `"k":"a\nb"`, ""},
		{"error that is a nil pointer", (*failure)(nil), `"k":"<nil>"`, ""},
		{"error that panics", loudError{}, `"kError":"PANIC=oh"`, ""},
		{"it has a String", &who{"me"}, `"k":"me"`, ""},
		{"it has a String, but is nil", (*who)(nil), `"k":"<nil>"`, ""},
		{"String panics", loud{}, `"kError":"PANIC=oh"`, ""},
		{"channel", make(chan int), `"kError":"json: unsupported type: chan int"`, ""},
		{"function", func() {}, `"kError":"json: unsupported type: func()"`, ""},
		{"not a number, deep inside", struct{ F float64 }{math.NaN()}, `"kError":"json: unsupported value: NaN"`, ""},
		{"MarshalJSON fails", broken{}, `"kError":"json: error calling MarshalJSON for type logging.broken: oh"`, ""},

		{"object of Kubernetes", klog.KRef("default", "web"), `"k":{"name":"web","namespace":"default"}`, `"k":"default/web"`},
		{"object without a namespace", klog.KRef("", "node-1"), `"k":{"name":"node-1"}`, `"k":"node-1"`},
		{"objects", []klog.ObjectRef{klog.KRef("a", "b"), klog.KRef("", "c")}, `"k":[{"name":"b","namespace":"a"},{"name":"c"}]`, ""},
		{"it says itself how", secret("hunter2"), `"k":"***"`, `"k":"hunter2"`},
		{"it says it is an error", says{errors.New("out of ink")}, `"k":"out of ink"`, `"k":{}`},
		{"it says it is a duration", says{time.Second}, `"k":"1s"`, `"k":{}`},
		{"it says it is nothing", says{nil}, `"k":null`, `"k":{}`},
	} {
		for _, how := range []struct {
			name string
			log  func(db *Log)
			zap  bool
		}{
			{"logr", func(db *Log) { db.Logr().Info("x", "k", test.value) }, false},
			{"logr, given before", func(db *Log) { db.Logr().WithValues("k", test.value).Info("x") }, false},
			{"zap", func(db *Log) { db.Zap().Info("x", zap.Any("k", test.value)) }, true},
			{"zap, given before", func(db *Log) { db.Zap().With(zap.Any("k", test.value)).Info("x") }, true},
			{"slog", func(db *Log) { db.Slog().Info("x", "k", test.value) }, true},
			{"slog, given before", func(db *Log) { db.Slog().With("k", test.value).Info("x") }, true},
		} {
			t.Run(test.name+", "+how.name, func(t *testing.T) {
				want := test.want
				if _, ok := test.value.(slog.LogValuer); how.zap && test.zap != "" && !(ok && strings.HasPrefix(how.name, "slog")) {
					want = test.zap
				}
				if diff := cmp.Diff(want, fieldsOf(t, oneLine(t, how.log))); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// Whatever a value does when it is asked how it looks: it does not end the server that logs it, and the line is
// written.
func TestValueThatPanics(t *testing.T) {
	for name, value := range map[string]any{
		"MarshalLog":                              &mute{},
		"MarshalLog of a nil pointer":             (*mute)(nil),
		"MarshalJSON":                             stuck{},
		"MarshalJSON, of a part of it":            map[string]any{"a": stuck{}},
		"MarshalJSON, of what MarshalLog returns": says{stuck{}},
	} {
		for _, how := range []struct {
			name string
			log  func(db *Log)
		}{
			{"logr", func(db *Log) { db.Logr().Info("x", "a", 1, "k", value, "z", 2) }},
			{"zap", func(db *Log) { db.Zap().Info("x", zap.Int("a", 1), zap.Any("k", value), zap.Int("z", 2)) }},
			{"slog", func(db *Log) { db.Slog().Info("x", "a", 1, "k", value, "z", 2) }},
		} {
			t.Run(name+", "+how.name, func(t *testing.T) {
				got := objectOf(t, oneLine(t, func(db *Log) {
					defer func() {
						if v := recover(); v != nil {
							t.Errorf("it panics: %v", v)
							db.Zap().Info("x", zap.Int("a", 1), zap.Int("z", 2)) // there has to be one line
						}
					}()
					how.log(db)
				}))
				if got["msg"] != "x" || got["a"] != 1.0 || got["z"] != 2.0 {
					t.Errorf("the rest of the line is lost: %v", got)
				}
			})
		}
	}
}

// The same for values that zap asks in its own way.
func TestObjectThatPanics(t *testing.T) {
	for name, log := range map[string]func(db *Log){
		"zap":              func(db *Log) { db.Zap().Info("x", zap.Int("a", 1), zap.Object("k", wild{}), zap.Int("z", 2)) },
		"zap With":         func(db *Log) { db.Zap().With(zap.Int("a", 1), zap.Object("k", wild{})).Info("x", zap.Int("z", 2)) },
		"zap, inline":      func(db *Log) { db.Zap().Info("x", zap.Int("a", 1), zap.Inline(wild{}), zap.Int("z", 2)) },
		"zap With, inline": func(db *Log) { db.Zap().With(zap.Int("a", 1), zap.Inline(wild{})).Info("x", zap.Int("z", 2)) },
		"zap, array":       func(db *Log) { db.Zap().Info("x", zap.Int("a", 1), zap.Objects("k", []wild{{}}), zap.Int("z", 2)) },
		"slog, group":      func(db *Log) { db.Slog().Info("x", "a", 1, slog.Group("k", "l", stuck{}), "z", 2) },
		"slog, no name":    func(db *Log) { db.Slog().Info("x", "a", 1, slog.Group("", "l", stuck{}), "z", 2) },
		"slog, LogValue":   func(db *Log) { db.Slog().Info("x", "a", 1, "k", wild{}, "z", 2) },
		"logr":             func(db *Log) { db.Logr().Info("x", "a", 1, "k", wild{}, "z", 2) },
		"an entry": func(db *Log) {
			_ = db.Zap().Core().Write(zapcore.Entry{Message: "x"}, []zap.Field{zap.Int("a", 1), zap.Inline(wild{}), zap.Int("z", 2)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := objectOf(t, oneLine(t, func(db *Log) {
				defer func() {
					if v := recover(); v != nil {
						t.Errorf("it panics: %v", v)
						db.Zap().Info("x", zap.Int("a", 1), zap.Int("z", 2)) // there has to be one line
					}
				}()
				log(db)
			}))
			if got["msg"] != "x" || got["a"] != 1.0 || got["z"] != 2.0 {
				t.Errorf("the rest of the line is lost: %v", got)
			}
		})
	}
}

// wild is an object that panics when it is to say what it is.
type wild struct{}

func (wild) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("begun", "x")
	panic("oh")
}

func (wild) LogValue() slog.Value { panic("oh") }

func TestNesting(t *testing.T) {
	for _, test := range []struct {
		name string
		log  func(db *Log)
		want string
	}{
		{"zap's namespace", func(db *Log) {
			db.Zap().Info("x", zap.Int("a", 1), zap.Namespace("n"), zap.Int("b", 2), zap.Namespace("m"), zap.Int("c", 3))
		},
			`"a":1,"n":{"b":2,"m":{"c":3}}`},
		{"zap's namespace, given before", func(db *Log) { db.Zap().With(zap.Namespace("n")).With(zap.Int("b", 2)).Info("x", zap.Int("c", 3)) },
			`"n":{"b":2,"c":3}`},
		{"zap's object", func(db *Log) { db.Zap().Info("x", zap.Dict("d", zap.Int("a", 1)), zap.Int("b", 2)) }, `"d":{"a":1},"b":2`},
		{"zap's inline object", func(db *Log) { db.Zap().Info("x", zap.Inline(several{})) }, `"c":3,"a":1,"b":2`},
		{"slog's group", func(db *Log) { db.Slog().Info("x", slog.Group("g", "a", 1, slog.Group("h", "b", 2)), "c", 3) }, `"g":{"a":1,"h":{"b":2}},"c":3`},
		{"slog's group without a name", func(db *Log) { db.Slog().Info("x", slog.Group("", "a", 1)) }, `"a":1`},
		{"slog's WithGroup", func(db *Log) { db.Slog().WithGroup("g").With("a", 1).WithGroup("h").Info("x", "b", 2) }, `"g":{"a":1,"h":{"b":2}}`},
		{"slog's WithGroup, nothing in it", func(db *Log) { db.Slog().With("a", 1).WithGroup("g").Info("x") }, `"a":1`},
		{"slog's value that says itself what it is", func(db *Log) { db.Slog().Info("x", "k", told{}) }, `"k":{"a":1}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, fieldsOf(t, oneLine(t, test.log))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// several is a field of several keys.
type several struct{}

func (several) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddInt("c", 3)
	enc.AddInt("a", 1)
	enc.AddInt("b", 2)
	return nil
}

// told is a value that slog asks what it is.
type told struct{}

func (told) LogValue() slog.Value { return slog.GroupValue(slog.Int("a", 1)) }

// A second value of a key that each line has would hide the first one: of two, readers of JSON take the last.
func TestReservedKeys(t *testing.T) {
	reserved := []string{"ts", "level", "v", "server", "logger", "caller", "msg"}
	for _, how := range []struct {
		name string
		log  func(db *Log, key string)
	}{
		{"zap", func(db *Log, key string) { db.Zap().Info("x", zap.String(key, "mine")) }},
		{"zap With", func(db *Log, key string) { db.Zap().With(zap.String(key, "mine")).Info("x") }},
		{"zap WithLazy", func(db *Log, key string) { db.Zap().WithLazy(zap.String(key, "mine")).Info("x") }},
		{"zap Inline", func(db *Log, key string) { db.Zap().Info("x", zap.Inline(pair{key, "mine"})) }},
		{"zap With Inline", func(db *Log, key string) { db.Zap().With(zap.Inline(pair{key, "mine"})).Info("x") }},
		{"slog", func(db *Log, key string) { db.Slog().Info("x", key, "mine") }},
		{"slog With", func(db *Log, key string) { db.Slog().With(key, "mine").Info("x") }},
		{"slog group without a name", func(db *Log, key string) { db.Slog().Info("x", slog.Group("", key, "mine")) }},
		{"logr", func(db *Log, key string) { db.Logr().Info("x", key, "mine") }},
		{"logr WithValues", func(db *Log, key string) { db.Logr().WithValues(key, "mine").Info("x") }},
		{"logr error", func(db *Log, key string) { db.Logr().Error(nil, "x", key, "mine") }},
		{"Placing", func(db *Log, key string) {
			db.Do(func() { zap.New(db.logs.Placing()).Info("x", zap.String(key, "mine")) })
		}},
	} {
		for _, key := range reserved {
			t.Run(how.name+" "+key, func(t *testing.T) {
				line := oneLine(t, func(db *Log) { how.log(db, key) })
				keys := keysOf(t, line)
				slices.Sort(keys)
				if n := len(slices.Compact(slices.Clone(keys))); n != len(keys) {
					t.Errorf("a key is there twice: %s", line)
				}
				got := objectOf(t, line)
				if got["fields."+key] != "mine" || got["server"] != "db" || got["msg"] != "x" {
					t.Errorf("%v, want it as fields.%s", got, key)
				}
			})
		}
	}
	// Below the line itself they are in nobody's way.
	line := oneLine(t, func(db *Log) { db.Zap().Info("x", zap.Dict("d", zap.String("msg", "mine"))) })
	if got := fieldsOf(t, line); got != `"d":{"msg":"mine"}` {
		t.Errorf("fields are %s", got)
	}
	// A value that cannot be encoded is told of under a key of its own.
	line = oneLine(t, func(db *Log) { db.Zap().Info("x", zap.Any("msg", make(chan int))) })
	if got := fieldsOf(t, line); got != `"fields.msgError":"json: unsupported type: chan int"` {
		t.Errorf("fields are %s", got)
	}
}

// pair is a field of a key that zap.Field does not know.
type pair struct{ key, value string }

func (p pair) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString(p.key, p.value)
	return nil
}

// Fields may be kept and used again, also by several goroutines at once: they are the caller's.
func TestFieldsAreTheCallers(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Format: FormatJSON})
	z := ls.Server("db").Zap()
	fields := []zap.Field{zap.String("msg", "mine"), zap.Int("n", 1)}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { z.Info("x", fields...) })
		wg.Go(func() { z.With(fields...).Info("x") })
	}
	wg.Wait()
	if fields[0].Key != "msg" {
		t.Errorf("the key of the caller's field is %q now", fields[0].Key)
	}
	ls.Flush()
	for line := range strings.Lines(out.take()) {
		if got := fieldsOf(t, line); got != `"fields.msg":"mine","n":1` {
			t.Errorf("fields are %s", got)
		}
	}
}

// One line of the log is one line of text, whatever is in it.
func TestLineIsOneLine(t *testing.T) {
	const text = "one\ntwo\r\n\u2028three\n"
	for name, log := range map[string]func(db *Log){
		"zap":  func(db *Log) { db.Zap().Named(text).Info(text, zap.String(text, text), zap.Any("a", []string{text})) },
		"slog": func(db *Log) { db.Slog().WithGroup(text).Info(text, text, text, "a", errors.New(text)) },
		"logr": func(db *Log) { db.Logr().WithName(text).Info(text, text, text, "a", says{text}) },
	} {
		got := objectOf(t, oneLine(t, log))
		if got["msg"] != text {
			t.Errorf("%s: the message is %q", name, got["msg"])
		}
		l, err := ParseLine([]byte(oneLine(t, log)))
		if err != nil || l.Msg != text {
			t.Errorf("%s: it is read back as %v, %v", name, l, err)
		}
	}
}

func TestServerNames(t *testing.T) {
	for _, name := range []string{"db", `the "db"`, `a\b`, "a\nb", "\x1b[31m", "é 語", "<db>", "%d", "}", " "} {
		out := &lines{}
		ls := newLogs(t, Config{Out: out, Format: FormatJSON})
		ls.Server(name).Zap().Info("x")
		ls.Server(name).Logr().Info("x")
		ls.Flush()
		n := 0
		for line := range strings.Lines(out.take()) {
			n++
			if l, err := ParseLine([]byte(line)); err != nil || l.Server != name {
				t.Errorf("%q is read back as %v, %v: %s", name, l, err, line)
			}
		}
		if n != 2 {
			t.Errorf("%q: %d lines, want 2", name, n)
		}
	}
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Format: FormatJSON})
	ls.Server("a\xffb").Zap().Info("x")
	ls.Flush()
	if got := objectOf(t, out.take())["server"]; got != "a\ufffdb" {
		t.Errorf("a name that is not UTF-8 is %q", got)
	}
}

// zap ends the process after a line of that severity: then it has to be in the file.
func TestFatalLineIsWrittenBeforeTheProcessEnds(t *testing.T) {
	for name, logger := range map[string]func(ls *Logs) *zap.Logger{
		"a server's":           func(ls *Logs) *zap.Logger { return ls.Server("db").Zap() },
		"of the whole process": func(ls *Logs) *zap.Logger { return zap.New(ls.Placing()) },
	} {
		out := &lines{}
		ls := newLogs(t, Config{Out: out, Format: FormatJSON})
		seen := ""
		end := hook(func() { seen = out.take() })
		logger(ls).WithOptions(zap.WithFatalHook(end)).Fatal("lost the lease")
		if !strings.Contains(seen, `"msg":"lost the lease"`) {
			t.Errorf("%s: when the process ends, there is %q", name, seen)
		}
	}
}

// hook is what zap calls after a line.
type hook func()

func (h hook) OnWrite(*zapcore.CheckedEntry, []zapcore.Field) { h() }

// What is logged at last with fatal severity is known, for those who tell why a server has ended.
func TestLastFatal(t *testing.T) {
	ls := newLogs(t, Config{Out: io.Discard})
	db, api := ls.Server("db"), ls.Server("api")
	if got, _ := db.LastFatal(); got != "" {
		t.Errorf("%q, before anything was said", got)
	}
	db.Zap().DPanic("first")
	db.Zap().DPanic("second")
	db.Zap().Error("third")
	if got, _ := db.LastFatal(); got != "second" {
		t.Errorf("%q, want the last line of that severity", got)
	}
	for _, l := range []*Log{api, ls.Program()} {
		if got, at := l.LastFatal(); got != "" || !at.IsZero() {
			t.Errorf("%s: %q at %v", l.Name(), got, at)
		}
	}
}
