package admin

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// The API is versioned: within v1 fields are added, and none is renamed or taken away.
func TestFieldsOfTheAPI(t *testing.T) {
	want := strings.Fields(`
		Status.program Status.version Status.name Status.pid Status.dataDir Status.began Status.ready Status.stopping Status.crash
		Status.crash.time Status.crash.pid Status.crash.server Status.crash.reason Status.crash.file Status.crash.lastError
		Status.crash.outOfMemory
		Status.crash.lastError.time Status.crash.lastError.server Status.crash.lastError.message
		Status.servers Status.servers.name Status.servers.state Status.servers.since Status.servers.error Status.servers.nextStart
		Status.servers.restarts Status.servers.lastFailure Status.servers.lastFailure.time Status.servers.lastFailure.error
		Status.servers.address Status.servers.needs Status.servers.firstStarted Status.servers.firstReady
		Status.servers.startSeconds Status.servers.startsOnce Status.servers.logLevel Status.servers.restart
		Status.servers.isolation Status.servers.pid
		Usage.time Usage.cpuSeconds Usage.servers Usage.servers.name Usage.servers.cpuSeconds Usage.servers.totalCPUSeconds Usage.servers.goroutines Usage.servers.logLines
		Usage.servers.lostLines Usage.error
		EventLine.seq EventLine.time EventLine.server EventLine.from EventLine.to EventLine.error EventLine.waitSeconds
		EventLine.address
		LogLevel.level LogLevel.warning
		refusal.error`)
	var got []string
	for _, v := range []any{Status{}, Usage{}, EventLine{}, LogLevel{}, refusal{}} {
		got = append(got, jsonFields(reflect.TypeOf(v).Name(), reflect.TypeOf(v))...)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("clients know the fields with a - by these names; those with a + are new, and are to be added here:\n%s", diff)
	}
	var states []string
	for state := life.Waiting; state <= life.Failed; state++ {
		states = append(states, state.String())
	}
	if diff := cmp.Diff([]string{"waiting", "starting", "ready", "stopping", "stopped", "backoff", "failed"}, states); diff != "" {
		t.Errorf("clients know the states by these names:\n%s", diff)
	}
}

// jsonFields are the names of the fields of a struct, and of those in it, as they are in JSON.
func jsonFields(prefix string, of reflect.Type) []string {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() {
		return nil
	}
	var names []string
	for field := range of.Fields() {
		tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if tag == "-" {
			continue
		}
		name := prefix + "." + tag
		names = append(append(names, name), jsonFields(name, field.Type)...)
	}
	return names
}
