// Command suture measures github.com/thejerf/suture.
package main

import (
	"context"
	"errors"

	"github.com/thejerf/suture/v4"

	"github.com/seed-200a7251/km/test/bench/peers/measure"
)

type service struct{ measure.Trivial }

func (s service) Serve(ctx context.Context) error { return s.Run(ctx) }

func main() {
	measure.Main(func(server measure.Trivial) (func() error, error) {
		supervisor := suture.NewSimple("all")
		for range measure.Servers {
			supervisor.Add(service{server})
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := supervisor.ServeBackground(ctx)
		return func() error {
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		}, nil
	})
}
