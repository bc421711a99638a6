package supervisor

import (
	"testing"
)

// What Docker and Kubernetes set for services that are named like servers is nobody's mistake.
func TestServiceLinks(t *testing.T) {
	for _, test := range []struct{ name, value string }{
		{"HK_PORT", "tcp://10.0.0.11:443"},
		{"HK_PORT_443_TCP", "tcp://10.0.0.11:443"},
		{"HK_SERVICE_HOST", "10.0.0.11"},
		{"HK_DB_SERVICE_HOST", "10.0.0.11"},
		{"HK_DB_SERVICE_HOST", "fd00::11"},
		{"HK_DB_SERVICE_PORT", "6379"},
		{"HK_DB_SERVICE_PORT_HTTPS", "443"},
		{"HK_DB_SERVICE_PORT_MY_PORT_2", "443"},
		{"HK_DB_PORT", "tcp://10.0.0.11:6379"},
		{"HK_DB_PORT", "tcp://[fd00::11]:6379"},
		{"HK_DB_PORT", "udp://10.0.0.11:53"},
		{"HK_DB_PORT", "sctp://10.0.0.11:53"},
		{"HK_DB_PORT_6379_TCP", "tcp://10.0.0.11:6379"},
		{"HK_DB_PORT_53_UDP", "udp://10.0.0.11:53"},
		{"HK_DB_PORT_6379_TCP_PROTO", "tcp"},
		{"HK_DB_PORT_6379_TCP_PORT", "6379"},
		{"HK_DB_PORT_6379_TCP_ADDR", "10.0.0.11"},
		{"HK_DB_MAIN_SERVICE_HOST", "10.0.0.11"},
		{"HK_DB_SECURE_PORT", "tcp://10.0.0.11:443"}, // there is a flag of that name
	} {
		t.Run(test.name+"="+test.value, func(t *testing.T) {
			r := linkable(t).newRunFlags()
			given, warnings, wrong := r.environment([]string{test.name + "=" + test.value})
			if len(given) > 0 || len(warnings) > 0 || wrong.err() != nil {
				t.Errorf("given %v, warnings %q, error %v", given, warnings, wrong.err())
			}
		})
	}
}

// What only begins like that may be a mistake, and a flag with such a name works.
func TestNoServiceLinks(t *testing.T) {
	for _, test := range []struct{ name, value, wrong string }{
		{"HK_DB_PORT", "6379", "HK_DB_PORT: db has no such flag"},
		{"HK_DB_PORT", "http://10.0.0.11:6379", "HK_DB_PORT: db has no such flag"},
		{"HK_DB_SECURE_PROT", "tcp://10.0.0.11:443", "HK_DB_SECURE_PROT: db has no such flag (did you mean HK_DB_SECURE_PORT?)"},
		{"HK_DB_SERVICE_HOST", "db.example.com", "HK_DB_SERVICE_HOST: db has no such flag"},
		{"HK_DB_SERVICE_PORT", "high", "HK_DB_SERVICE_PORT: db has no such flag"},
		{"HK_DB_PORT_X_TCP_PORT", "1", "HK_DB_PORT_X_TCP_PORT: db has no such flag"},
		{"HK_DB_SECURE_PORT", "6443", ""},
		{"HK_DB_OTHER_SERVICE_PORT", "6443", ""},
	} {
		t.Run(test.name+"="+test.value, func(t *testing.T) {
			r := linkable(t).newRunFlags()
			given, _, wrong := r.environment([]string{test.name + "=" + test.value})
			switch {
			case test.wrong == "" && (len(given) != 1 || wrong.err() != nil):
				t.Errorf("given %v, error %v", given, wrong.err())
			case test.wrong != "" && wrong.err() == nil:
				t.Error("no error")
			case test.wrong != "":
				contains(t, wrong.err().Error(), test.wrong)
			}
		})
	}
}

func linkable(t *testing.T) *HyperKube {
	db := &Server{SimpleUsage: "db", Run: idle}
	db.Flags().Int("secure-port", 0, "where to listen")
	db.Flags().Int("other-service-port", 0, "where another one is")
	return newHyperKube(t, db)
}
