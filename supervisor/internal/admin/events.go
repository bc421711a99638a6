package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// EventLine is an event as the API's stream has it.
type EventLine struct {
	Seq         int64      `json:"seq"`
	Time        time.Time  `json:"time"`
	Server      string     `json:"server"`
	From        life.State `json:"from"`
	To          life.State `json:"to"`
	Error       string     `json:"error,omitempty"`
	WaitSeconds float64    `json:"waitSeconds,omitempty"`
	Address     string     `json:"address,omitempty"`
}

func lineOf(e life.Event) EventLine {
	l := EventLine{Seq: e.Seq, Time: e.Time, Server: e.Server, From: e.From, To: e.To, WaitSeconds: e.Wait.Seconds(), Address: e.Address}
	if e.Err != nil {
		l.Error = e.Err.Error()
	}
	return l
}

func (a *API) getEvents(w http.ResponseWriter, r *http.Request) {
	after := int64(0)
	if text := r.URL.Query().Get("after"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			refuse(w, http.StatusBadRequest, fmt.Errorf("after=%s is not the number of an event", text))
			return
		}
		after = n
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines, stream := json.NewEncoder(w), http.NewResponseController(w)
	if r.URL.Query().Get("follow") == "false" {
		for _, e := range a.run.Group.Events(after) {
			_ = lines.Encode(lineOf(e)) // the client has gone
		}
		return
	}
	_ = stream.Flush() // the client is to know that it is heard
	a.run.Group.Read(r.Context(), after, func(e life.Event) {
		if lines.Encode(lineOf(e)) == nil {
			_ = stream.Flush()
		}
	})
}
