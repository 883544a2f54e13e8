package bench

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const fakeMessageBytes = 400.0

// startFakeRedis answers INFO as a Redis would whose data are the messages of fake, and returns its URL.
func startFakeRedis(t testing.TB, fake *fakeSluice) string {
	t.Helper()
	return serveRESP(t, "", func(words []string) string {
		fake.mu.Lock()
		defer fake.mu.Unlock()
		stored := 0
		for _, q := range fake.queues {
			stored += len(q.ready) + len(q.inFlight)
		}
		return bulk(fmt.Sprintf("# All\r\nused_memory:%d\r\nmem_clients_normal:500\r\nmem_aof_buffer:0\r\n"+
			"total_commands_processed:%d\r\naof_enabled:1\r\naof_current_size:%d\r\naof_base_size:88\r\nprocess_id:0\r\n",
			1_000_000+stored*fakeMessageBytes, fake.stored, 100*fake.stored))
	})
}

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

// serveRESP answers commands on a unix socket until the test ends. user is put into the URL.
func serveRESP(t testing.TB, user string, answer func(words []string) string) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "r.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for {
					var n int
					if _, err := fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
						return
					}
					words := make([]string, n)
					for i := range words {
						var length int
						if _, err := fmt.Fscanf(r, "$%d\r\n", &length); err != nil {
							return
						}
						line, _ := r.ReadString('\n')
						words[i] = strings.TrimRight(line, "\r\n")
					}
					text := answer(words)
					if text == "" {
						return // hang up
					}
					fmt.Fprint(conn, text)
				}
			}()
		}
	}()
	return "unix://" + user + socket
}

func TestRedisClientAuthenticatesAndReconnects(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	url := serveRESP(t, "bob:secret@", func(words []string) string {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, strings.Join(words, " "))
		switch {
		case words[0] == "AUTH":
			return "+OK\r\n"
		case len(asked) == 3: // hang up once
			return ""
		}
		return bulk("# Stats\r\ntotal_commands_processed:42\r\n")
	})
	client, err := newRedisClient(url)
	if err != nil {
		t.Fatal(err)
	}
	defer client.close()
	for range 2 {
		if n, err := client.number("stats", "total_commands_processed"); err != nil || n != 42 {
			t.Errorf("got %v, %v, want 42", n, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	const info, auth = "INFO stats", "AUTH bob secret"
	if got, want := strings.Join(asked, ", "), strings.Join([]string{auth, info, info, auth, info}, ", "); got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	if strings.Contains(client.address(), "secret") {
		t.Errorf("address shows the password: %s", client.address())
	}
}

func TestRedisClientReportsRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ answer, want string }{
		{"-NOAUTH Authentication required.\r\n", "NOAUTH"},
		{"HTTP/1.1 400 Bad Request\r\n", "not Redis"},
		{"$99999999999\r\n", "99999999999"},
	} {
		client, err := newRedisClient(serveRESP(t, "", func([]string) string { return test.answer }))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.info("memory"); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v", test.answer, err)
		}
		client.close()
	}
	for _, url := range []string{"", "localhost:6379", "http://localhost", "unix:", "redis://:pass@"} {
		if _, err := newRedisClient(url); err == nil || strings.Contains(err.Error(), "pass") {
			t.Errorf("%q: got %v", url, err)
		}
	}
}

func TestAOFGrowthLeavesOutRewrites(t *testing.T) {
	t.Parallel()
	sizes := []struct{ current, base int }{{1000, 100}, {1500, 100}, {700, 300}, {1200, 300}, {1700, 300}}
	var next atomic.Int32
	url := serveRESP(t, "", func([]string) string {
		s := sizes[min(int(next.Add(1)), len(sizes))-1]
		return bulk(fmt.Sprintf("aof_enabled:1\r\naof_current_size:%d\r\naof_base_size:%d\r\n", s.current, s.base))
	})
	client, err := newRedisClient(url)
	if err != nil {
		t.Fatal(err)
	}
	defer client.close()
	m := &aofMeter{redis: client, quit: make(chan struct{}), done: make(chan struct{})}
	m.last = m.read()
	for range len(sizes) - 1 {
		time.Sleep(time.Millisecond)
		m.step()
	}
	if m.bytes != 1500 || m.time <= 0 {
		t.Errorf("got %v bytes, want 1500: 500 before the rewrite, twice 500 after", m.bytes)
	}
}
