package supervisor

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-200a7251/km/supervisor/internal/admin"
	"github.com/seed-200a7251/km/supervisor/internal/life"
	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// eventLines are the lines of an event stream.
func eventLines(t *testing.T, text string) (events []admin.EventLine) {
	t.Helper()
	for line := range strings.Lines(text) {
		var e admin.EventLine
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		events = append(events, e)
	}
	return events
}

func TestEventsOverTheAPI(t *testing.T) {
	db := steady("db")
	db.Address = func(*Server) string { return "here" }
	s := serve(t, db, steady("api", "db"))
	s.await("api", Ready)
	read := func(query string) []admin.EventLine {
		t.Helper()
		a := s.send("GET", "/v1/events?follow=false"+query, "")
		if a.code != 200 || a.header.Get("Content-Type") != "application/x-ndjson" {
			t.Fatalf("code %d, %v", a.code, a.header)
		}
		return eventLines(t, a.text)
	}
	all := read("")
	var got []string
	for _, e := range all {
		got = append(got, fmt.Sprintf("%d %s %v %v %s", e.Seq, e.Server, e.From, e.To, e.Address))
	}
	want := []string{"1 db waiting starting ", "2 db starting ready here", "3 api waiting starting ", "4 api starting ready "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(all[2:], read("&after=2")); diff != "" {
		t.Errorf("after 2:\n%s", diff)
	}
	for _, query := range []string{"&after=4", "&after=5", "&after=9000000000000000000"} {
		if late := read(query); len(late) != 0 {
			t.Errorf("%s: %v", query, late)
		}
	}
}

// The stream goes on until the run ends, and ends as it should.
func TestEventsUntilTheEnd(t *testing.T) {
	s := serve(t, steady("db"))
	s.await("db", Ready)
	answer, err := s.http.HTTP.Get("http://hk/v1/events?after=1")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	first, err := bufio.NewReaderSize(answer.Body, 16).ReadString('}') // it comes before there is more
	if err != nil || !strings.Contains(first, `"seq":2,`) {
		t.Fatal(err, first)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	rest, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Errorf("the stream was cut: %v", err)
	}
	if last := strings.TrimSpace(string(rest)); !strings.Contains(last[strings.LastIndex(last, "\n")+1:], `"to":"stopped"`) {
		t.Errorf("the end is not told: %s", rest)
	}
}

// A client that does not read holds up neither the servers nor other clients, nor the end.
func TestEventsThatNobodyReads(t *testing.T) {
	s := serve(t, steady("db"))
	s.await("db", Ready)
	var lazy []net.Conn
	for range 3 {
		path, err := system.UnixAddress(s.p.socketFile("hk"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET /v1/events HTTP/1.1\r\nHost: hk\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		lazy = append(lazy, c)
	}
	for range 1000 {
		if err := s.steer(t.Context(), life.Restart, "db"); err != nil {
			t.Fatal(err)
		}
	}
	events := eventLines(t, s.send("GET", "/v1/events?follow=false", "").text)
	if len(events) < 4000 {
		t.Fatalf("%d events are none too many for a buffer", len(events))
	}
	if !slices.IsSortedFunc(events, func(a, b admin.EventLine) int { return int(a.Seq - b.Seq) }) {
		t.Error("they are not in order")
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if len(lazy) != 3 {
		t.Error("they were to be open until now")
	}
}
