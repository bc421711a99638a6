package process

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/seed-200a7251/km/logging"
)

// Lines of servers go to their logs, with all that was added to the logger, and those of the program around them to
// where they went.
func TestPlacedSlog(t *testing.T) {
	var own, servers bytes.Buffer
	ls := logging.New(logging.Config{Out: &servers, Program: "km"})
	logger := slog.New(placed{Handler: slog.NewTextHandler(&own, &slog.HandlerOptions{Level: slog.LevelWarn})}).With("a", 1).WithGroup("g").With("b", 2)
	ls.Server("db").Do(func() {
		logger.Info("of the server", "c", 3)
		logger.Debug("too much")
	})
	logger.Warn("of the program", "c", 3)
	logger.Info("too much")
	ls.Close()
	if text := servers.String(); !strings.Contains(text, " I db  of the server a=1 g.b=2 g.c=3\n") && !strings.Contains(text, ` I db  of the server a=1 g={"b":2,"c":3}`) || strings.Count(text, "\n") != 1 {
		t.Errorf("the server's: %s", text)
	}
	if text := own.String(); !strings.Contains(text, `msg="of the program" a=1 g.b=2 g.c=3`) || strings.Count(text, "\n") != 1 {
		t.Errorf("the program's: %s", text)
	}
}
