module github.com/seed-200a7251/km/test/bench/peers

go 1.26.0

require (
	github.com/grafana/dskit v0.0.0-20260703122047-de1ec7541c44
	github.com/oklog/run v1.2.0
	github.com/thejerf/suture/v4 v4.0.6
)

require (
	github.com/pkg/errors v0.9.1 // indirect
	go.uber.org/atomic v1.11.0 // indirect
)
