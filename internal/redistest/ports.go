package redistest

import (
	"errors"
	"math/rand/v2"
	"net"
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

// reserved holds the ports of this binary's servers, those that are down included.
var reserved struct {
	sync.Mutex
	ports map[int]bool
}

// reservePort picks a port that is free together with its bus port.
func reservePort() (int, error) {
	reserved.Lock()
	defer reserved.Unlock()
	for range portAttempts {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if reserved.ports[port] || !free(port) || !free(port+busOffset) {
			continue
		}
		if reserved.ports == nil {
			reserved.ports = map[int]bool{}
		}
		reserved.ports[port] = true
		return port, nil
	}
	return 0, errors.New("no free port between 10000 and 32767")
}

func releasePort(port int) {
	reserved.Lock()
	defer reserved.Unlock()
	delete(reserved.ports, port)
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
