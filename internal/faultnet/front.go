package faultnet

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// front is the address of a proxy. It stays the proxy's own while nobody listens, so that clients are
// refused by the kernel and not by whoever took the port meanwhile.
type front struct {
	network, addr string
	listener      net.Listener // nil while connections are refused
	dir           string       // holds a unix socket
	guard         int          // a bound socket that keeps the port; -1 for none
}

func newFront(network string) (*front, error) {
	f := &front{network: network, guard: -1}
	switch network {
	case "tcp":
		guard, port, err := reserve()
		if err != nil {
			return nil, fmt.Errorf("reserve a port: %w", err)
		}
		f.guard, f.addr = guard, net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	case "unix":
		dir, err := os.MkdirTemp("", "net") // a test's own TempDir is too long for a socket
		if err != nil {
			return nil, err
		}
		f.dir, f.addr = dir, filepath.Join(dir, "s")
	default:
		return nil, fmt.Errorf("network %q, want tcp or unix", network)
	}
	return f, nil
}

// listen opens the address and returns its listener, or nil if it is open already.
func (f *front) listen() (net.Listener, error) {
	if f.listener != nil {
		return nil, nil
	}
	if f.network == "unix" {
		_ = os.Remove(f.addr) // left by refuse
	}
	l, err := (&net.ListenConfig{Control: f.share}).Listen(context.Background(), f.network, f.addr)
	if err != nil {
		return nil, err
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // a socket that nobody listens on refuses; one that is gone does not exist
	}
	f.listener = l
	return l, nil
}

// share lets the listener and the guard have one port.
func (f *front) share(network, _ string, c syscall.RawConn) error {
	if f.network != "tcp" {
		return nil
	}
	var err error
	if e := c.Control(func(fd uintptr) { err = reusePort(int(fd)) }); e != nil {
		return e
	}
	return err
}

func reusePort(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
}

// reserve binds a socket to a free port without listening, and returns both.
func reserve() (fd, port int, err error) {
	syscall.ForkLock.RLock() // no child may inherit the socket before it is marked
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, 0, err
	}
	if port, err = bind(fd); err != nil {
		_ = unix.Close(fd)
		return -1, 0, err
	}
	return fd, port, nil
}

// bind gives the socket a port of the kernel's choice.
func bind(fd int) (int, error) {
	if err := reusePort(fd); err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	return addr.(*unix.SockaddrInet4).Port, nil
}

// refuse turns new connections away until the next listen.
func (f *front) refuse() {
	if f.listener != nil {
		_ = f.listener.Close()
		f.listener = nil
	}
}

// discard gives the address up.
func (f *front) discard() {
	f.refuse()
	if f.guard >= 0 {
		_ = unix.Close(f.guard)
		f.guard = -1
	}
	if f.dir != "" {
		_ = os.RemoveAll(f.dir)
	}
}
