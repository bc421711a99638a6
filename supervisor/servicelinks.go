package supervisor

import (
	"net/netip"
	"regexp"
	"strconv"
)

// Docker sets variables in a container for each other one that it is linked to, and Kubernetes in a pod for each
// Service in its namespace. They are named after the service, not after anything of this binary's: a Service hk-db
// beside a pod of hk makes
//
//	HK_DB_SERVICE_HOST=10.0.0.11
//	HK_DB_SERVICE_PORT=6379
//	HK_DB_SERVICE_PORT_CLIENT=6379
//	HK_DB_PORT=tcp://10.0.0.11:6379
//	HK_DB_PORT_6379_TCP=tcp://10.0.0.11:6379
//	HK_DB_PORT_6379_TCP_PROTO=tcp
//	HK_DB_PORT_6379_TCP_PORT=6379
//	HK_DB_PORT_6379_TCP_ADDR=10.0.0.11
//
// No user has set these: none of them is an error, or the value of a flag.
var (
	linkURLName  = regexp.MustCompile(`_PORT(_[0-9]+_(TCP|UDP|SCTP))?$`)
	linkURL      = regexp.MustCompile(`^(tcp|udp|sctp)://`)
	linkHostName = regexp.MustCompile(`(_SERVICE_HOST|_PORT_[0-9]+_(TCP|UDP|SCTP)_ADDR)$`)
	linkPortName = regexp.MustCompile(`(_SERVICE_PORT(_[A-Z0-9_]+)?|_PORT_[0-9]+_(TCP|UDP|SCTP)_PORT)$`)
	linkKindName = regexp.MustCompile(`_PORT_[0-9]+_(TCP|UDP|SCTP)_PROTO$`)
	linkKind     = regexp.MustCompile(`^(tcp|udp|sctp)$`)
)

// isServiceLink reports whether it is one of these variables. known says that there is a flag for it: that may take a
// port, but no URL.
func isServiceLink(name, value string, known bool) bool {
	if linkURLName.MatchString(name) && linkURL.MatchString(value) {
		return true
	}
	switch {
	case known:
		return false
	case linkHostName.MatchString(name):
		_, err := netip.ParseAddr(value)
		return err == nil
	case linkPortName.MatchString(name):
		_, err := strconv.ParseUint(value, 10, 16)
		return err == nil
	}
	return linkKindName.MatchString(name) && linkKind.MatchString(value)
}
