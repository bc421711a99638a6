package supervisor_test

import (
	"context"
	"os"

	"github.com/seed-200a7251/km/supervisor"
)

// Each flag of each server can be set by a file, by the environment and by the arguments. What they come to can be
// printed, as such a file.
func Example_config() {
	web := &supervisor.Server{SimpleUsage: "web", Run: func(ctx context.Context, _ *supervisor.Server, _ []string) error {
		<-ctx.Done()
		return nil
	}}
	web.Flags().Int("port", 80, "port to listen on")
	web.Flags().StringSlice("origin", nil, "who may ask")
	web.Flags().String("password", "", "of the database")
	web.Flags().String("title", "", "what stands at the top")
	web.Defaults = func(p *supervisor.Plan, s *supervisor.Server) error { return s.Default("title", "Welcome to "+p.Name) }
	hk := &supervisor.HyperKube{Name: "shop"}
	hk.AddServer(web)

	const file = "shop.yaml"
	if err := os.WriteFile(file, []byte("web:\n  port: 8080\n  origin: [a.example, b.example]\n"), 0o600); err != nil {
		panic(err)
	}
	defer os.Remove(file)
	os.Setenv("SHOP_LOG_LEVEL", "debug")
	defer os.Unsetenv("SHOP_LOG_LEVEL")
	_ = hk.Run([]string{"shop", "run", "--config", file, "--web.port=8081", "--web.password=secret", "--print-config"})
	// Output:
	// # `shop run --config FILE` does with this file what the call that has printed it would have done.
	// # Behind each value stands where it is from. Those in comments are shop's own defaults, which follow from the rest.
	//
	// servers: [web] # default
	//
	// log-level: debug # SHOP_LOG_LEVEL
	//
	// web:
	//   port: 8081 # command line
	//   origin: [a.example, b.example] # shop.yaml:3
	//   # password is a secret, and left out: give it again # command line
	//   # title: 'Welcome to shop'
}
