package supervisor

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// share describes the sockets for a child, and returns copies of those that are open, to be closed by the caller.
func (k *sockets) share() (described []childSocket, files []*os.File, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, so := range k.byAddress {
		d := childSocket{Network: key[0], Asked: text.RawString(key[1]), Address: text.RawString(so.address)}
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

// adopt takes the sockets over that a parent has shared.
func (k *sockets) adopt(described []childSocket) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.byAddress = map[[2]string]*socket{}
	fd := uintptr(firstSocketFD)
	for _, d := range described {
		so := &socket{address: string(d.Address)}
		k.byAddress[[2]string{d.Network, string(d.Asked)}] = so
		if !d.Open {
			continue
		}
		f := os.NewFile(fd, string(d.Address))
		l, err := net.FileListener(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("the socket at %s was not handed over: %w", d.Address, err)
		}
		so.listener = l
		fd++
	}
	return nil
}
