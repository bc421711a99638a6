// Command coredns is CoreDNS with the plugins that Kubernetes' end-to-end tests configure in agnhost's image.
package main

import (
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/log"
)

func main() { coremain.Run() }
