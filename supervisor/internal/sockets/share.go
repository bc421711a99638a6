package sockets

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// Shared is a socket of a Set, for another process. The open ones are files that it inherits, in the same order.
type Shared struct {
	Name    string         `json:"name,omitempty"`
	Network string         `json:"network"`
	Asked   text.RawString `json:"asked"`
	Address text.RawString `json:"address"`
	Open    bool           `json:"open"`
}

// Share describes the sockets for another process, and returns copies of those that are open, to be closed by the
// caller.
func (s *Set) Share() (described []Shared, files []*os.File, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, so := range s.sockets {
		d := Shared{Name: k.name, Network: k.network, Asked: text.RawString(k.address), Address: text.RawString(so.address)}
		if so.listener != nil {
			f, fileErr := system.SocketFile(so.listener)
			if fileErr != nil {
				err = errors.Join(err, fmt.Errorf("the socket at %s cannot be shared: %w", so.address, fileErr))
				continue
			}
			files, d.Open = append(files, f), true
		}
		described = append(described, d)
	}
	return described, files, err
}

// Adopt takes over the sockets that another process has shared. first is the number of the first file.
func (s *Set) Adopt(described []Shared, first uintptr) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sockets = map[key]*socket{}
	for _, d := range described {
		so := &socket{address: string(d.Address)}
		s.sockets[key{d.Name, d.Network, string(d.Asked)}] = so
		if !d.Open {
			continue
		}
		f := os.NewFile(first, string(d.Address))
		l, err := net.FileListener(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("the socket at %s was not handed over: %w", d.Address, err)
		}
		so.listener = l
		first++
	}
	return nil
}
