package kmtest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"

	admissionv1 "k8s.io/api/admission/v1"
)

// hookServer is what the apiserver asks.
type hookServer struct {
	http    http.Server
	handler http.Handler // the test's
	address string       // host and port
	ca      []byte
	ended   chan error

	mu    sync.Mutex // guards what follows
	probe string     // the name of the object that is no business of the test's, or ""
	asked map[string]bool
}

// probePath is asked only to see whether webhooks are asked.
const probePath = "/kmtest-probe/"

func serveHooks(handler http.Handler) (*hookServer, error) {
	if handler == nil {
		return nil, errors.New("there is no Handler")
	}
	certPEM, keyPEM, err := issue(&x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:        true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &hookServer{handler: handler, address: listener.Addr().String(), ca: certPEM, ended: make(chan error, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.pass)
	mux.HandleFunc(probePath+"{kind}", s.probed)
	s.http.Handler = mux
	s.http.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	go func() { s.ended <- s.http.ServeTLS(listener, "", "") }()
	return s, nil
}

func (s *hookServer) close() error {
	err := s.http.Close()
	if ended := <-s.ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// begin has the object of this name be the probe, about which no webhook has been asked; end has none be it.
func (s *hookServer) begin(probe string) (end func()) {
	s.set(probe)
	return func() { s.set("") }
}

func (s *hookServer) set(probe string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probe, s.asked = probe, map[string]bool{}
}

// pass asks the test's handler, but not about the probe.
func (s *hookServer) pass(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	probe := s.probe
	s.mu.Unlock()
	if probe != "" {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if review := reviewOf(text); review != nil && review.Request.Name == probe {
			allow(w, review)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(text))
	}
	s.handler.ServeHTTP(w, r)
}

// probed notes that a webhook was asked.
func (s *hookServer) probed(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	review := reviewOf(text)
	if err != nil || review == nil {
		http.Error(w, "it is no AdmissionReview", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.asked[r.PathValue("kind")] = true
	s.mu.Unlock()
	allow(w, review)
}

func (s *hookServer) wasAsked(kind string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[kind]
}

// reviewOf is what the apiserver asks, or nil.
func reviewOf(text []byte) *admissionv1.AdmissionReview {
	review := &admissionv1.AdmissionReview{}
	if err := json.Unmarshal(text, review); err != nil || review.Request == nil {
		return nil
	}
	return review
}

func allow(w http.ResponseWriter, review *admissionv1.AdmissionReview) {
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review) // the apiserver tells of a connection that breaks
}
