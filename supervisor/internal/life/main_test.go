package life

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// done is the Run of a server that is done at once.
func done(context.Context) error { return nil }

// contains fails the test if the text lacks one of the parts.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("there is no %q in\n%s", part, text)
		}
	}
}

// lacks fails the test if the text has one of the parts.
func lacks(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Errorf("there is a %q in\n%s", part, text)
		}
	}
}

// wantFailure fails the test unless the error is that of a server.
func wantFailure(t *testing.T, err error) {
	t.Helper()
	if forced, ok := errors.AsType[*ForcedError](err); err == nil || ok {
		t.Errorf("error %v, want that of a server (forced: %v)", err, forced)
	}
}

// panics is what f panics with.
func panics(f func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	f()
	return ""
}
