package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fake is a server that speaks just enough of Redis' protocol to give the answers that a real one gives seldom.
type fake struct {
	addr string

	mu     sync.Mutex
	script func(n int, c *fakeConn, args []string) string // answers the nth EVALSHA, counted from 0
	other  func(c *fakeConn, args []string) string        // answers what it knows, and else ""
	seen   [][]string                                     // all commands but those of a new connection
	runs   int
}

// fakeConn is one connection to a fake.
type fakeConn struct {
	asking bool // the command before was ASKING
	wrote  bool // a script has written on it
}

// Answers that are none.
const (
	hangUp  = "hang up"
	silence = "silence"
)

const fakeOK = "+done\r\n"

func newFake(tb testing.TB, script func(n int, c *fakeConn, args []string) string) *fake {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	f := &fake{addr: l.Addr().String(), script: script}
	var wg sync.WaitGroup
	conns := map[net.Conn]bool{}
	var mu sync.Mutex
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			wg.Go(func() { f.serve(c) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return f
}

func (f *fake) url() string { return "redis://" + f.addr }

// attempts returns how many EVALSHA came.
func (f *fake) attempts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.runs
}

// commands returns the names of the commands that came, in their order.
func (f *fake) commands() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := make([]string, len(f.seen))
	for i, args := range f.seen {
		names[i] = strings.ToLower(args[0])
	}
	return names
}

func (f *fake) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	c := &fakeConn{}
	for {
		args, err := readCommand(r)
		if err != nil {
			return
		}
		switch reply := f.answer(c, args); reply {
		case hangUp:
			return
		case silence:
			_, _ = io.Copy(io.Discard, r)
			return
		default:
			if _, err := io.WriteString(conn, reply); err != nil {
				return
			}
		}
	}
}

func (f *fake) answer(c *fakeConn, args []string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := strings.ToLower(args[0])
	if name != "hello" {
		f.seen = append(f.seen, args)
	}
	if f.other != nil {
		if reply := f.other(c, args); reply != "" {
			return reply
		}
	}
	switch name {
	case "hello":
		return "*2\r\n$6\r\nserver\r\n$4\r\nfake\r\n"
	case "evalsha":
		n := f.runs
		f.runs++
		reply := f.script(n, c, args)
		c.asking = false
		return reply
	case "asking":
		c.asking = true
		return "+OK\r\n"
	case "script":
		return bulk("0123456789012345678901234567890123456789")
	case "ping":
		return "+PONG\r\n"
	}
	return "-ERR unknown command '" + args[0] + "'\r\n"
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

// slots is an answer to CLUSTER SLOTS in which one node owns all.
func slots(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n" + bulk(host) + ":" + port + "\r\n" + bulk("id")
}

// readCommand reads an array of bulk strings.
func readCommand(r *bufio.Reader) ([]string, error) {
	n, err := readLength(r, '*')
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		size, err := readLength(r, '$')
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		args[i] = string(b[:size])
	}
	return args, nil
}

func readLength(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("got %q, want %c", line, kind)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}
