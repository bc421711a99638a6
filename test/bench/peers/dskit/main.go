// Command dskit measures github.com/grafana/dskit/services.
package main

import (
	"context"

	"github.com/grafana/dskit/services"

	"github.com/seed-200a7251/km/test/bench/peers/measure"
)

func main() {
	measure.Main(func(server measure.Trivial) (func() error, error) {
		ctx := context.Background()
		all := make([]services.Service, measure.Servers)
		for i := range all {
			all[i] = services.NewBasicService(nil, server.Run, nil)
		}
		manager, err := services.NewManager(all...)
		if err != nil {
			return nil, err
		}
		if err := services.StartManagerAndAwaitHealthy(ctx, manager); err != nil {
			return nil, err
		}
		return func() error { return services.StopManagerAndAwaitStopped(ctx, manager) }, nil
	})
}
