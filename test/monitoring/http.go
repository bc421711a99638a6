package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/seed-200a7251/km/supervisor"
)

// listenFlag is upstream's, and says where a server listens. It may be repeated.
const listenFlag = "web.listen-address"

// ports are those of each of the servers.
var ports = []supervisor.Port{{AddressFlag: listenFlag, Scheme: "http://"}}

// serveHTTP serves until ctx ends, with TLS and passwords if the server's --web.config.file says so, as upstream does.
func serveHTTP(ctx context.Context, s *supervisor.Server, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	config := s.Value(webConfigFlag)
	serve := func(l net.Listener) error {
		return toolkit.Serve(l, server, &toolkit.FlagConfig{WebConfigFile: &config}, s.Slog())
	}
	return s.Serve(ctx, listenFlag, serve, func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, server.Close())
		}
		return err
	})
}
