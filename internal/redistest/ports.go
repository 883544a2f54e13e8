package redistest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"
	"sync"
)

// Ports come from below 32768, where Linux begins to hand them to outgoing connections, so that nothing
// takes the port of a server while it is down. The cluster bus listens 10000 above and stays below too.
const (
	firstPort = 10000
	lastPort  = 22767
	busOffset = 10000
)

// portAttempts bounds the search: on a machine where a hundred random ports are taken, something is wrong.
const portAttempts = 100

// reserved holds the ports of this binary's servers, those that are down included, each with the names by which other binaries that
// test at the same time know of it.
var reserved struct {
	sync.Mutex
	ports map[int][]net.Listener
}

// reservePort picks a port that is free together with its bus port.
func reservePort() (int, error) {
	reserved.Lock()
	defer reserved.Unlock()
	if reserved.ports == nil {
		reserved.ports = map[int][]net.Listener{}
	}
	for range portAttempts {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if _, ours := reserved.ports[port]; ours || !free(port) || !free(port+busOffset) {
			continue
		}
		names, ok := claim(port, port+busOffset)
		if !ok {
			continue
		}
		reserved.ports[port] = names
		return port, nil
	}
	return 0, errors.New("no free port between 10000 and 32767")
}

func releasePort(port int) {
	reserved.Lock()
	defer reserved.Unlock()
	unclaim(reserved.ports[port])
	delete(reserved.ports, port)
}

// claim takes a name for each port until unclaim, or the end of this process, and reports whether nobody else has one of them. They are
// sockets without files, which Linux alone has; elsewhere a port may be taken while its server is down.
func claim(ports ...int) (names []net.Listener, ok bool) {
	if runtime.GOOS != "linux" {
		return nil, true
	}
	for _, port := range ports {
		l, err := net.Listen("unix", fmt.Sprintf("@redistest-port-%d", port))
		if err != nil {
			unclaim(names)
			return nil, false
		}
		names = append(names, l)
	}
	return names, true
}

func unclaim(names []net.Listener) {
	for _, l := range names {
		_ = l.Close()
	}
}

func free(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
