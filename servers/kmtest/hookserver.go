package kmtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hookServer is what the apiserver asks.
type hookServer struct {
	http    http.Server
	handler http.Handler // the test's
	address string       // host and port
	ca      []byte
	ended   chan error
	cancel  context.CancelFunc // of requests

	mu    sync.Mutex // guards asked
	asked map[string]bool
}

// probeLabel is on objects that are no business of tests.
const probeLabel = "kmtest-probe"

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
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	go func() { s.ended <- s.http.ServeTLS(listener, "", "") }()
	return s, nil
}

// drain is how long handlers have to end, whose requests have been cancelled.
const drain = 5 * time.Second

// close waits for handlers: what they would still tell, the test that has ended cannot take.
func (s *hookServer) close() error {
	s.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("a handler has not ended: %w", err), s.http.Close())
	}
	if ended := <-s.ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// forget has no webhook been asked yet.
func (s *hookServer) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = map[string]bool{}
}

// pass asks the test's handler, but not about probes, its own or others'.
func (s *hookServer) pass(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if bytes.Contains(text, []byte(probeLabel)) {
		if review := reviewOf(text); review != nil && isProbe(review.Request.Object.Raw) {
			allow(w, review)
			return
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	s.handler.ServeHTTP(w, r)
}

func isProbe(object []byte) bool {
	var m metav1.PartialObjectMetadata
	return json.Unmarshal(object, &m) == nil && m.Labels[probeLabel] != ""
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
