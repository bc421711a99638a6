// Command km is every Kubernetes server in one binary: it can be one of them, and it can run several as goroutines of
// one process.
package main

import (
	"os"

	"github.com/seed-200a7251/km/servers/km"
)

func main() { km.New().RunToExit(os.Args) }
