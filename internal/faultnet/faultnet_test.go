package faultnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluicemq/sluice/internal/faultnet"
	"github.com/sluicemq/sluice/internal/redistest"
)

// TestMain fails if a proxy, a server or a client leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Suite{M: m}) }

// limit bounds every wait of these tests.
const limit = 10 * time.Second

// networks runs f over TCP and over a unix socket.
func networks(t *testing.T, f func(t *testing.T, network string)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			f(t, network)
		})
	}
}

// echo starts a server that sends back what it gets, and closes when the client has finished.
func echo(t *testing.T, network string) string {
	t.Helper()
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
		}
	})
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// proxy returns a proxy to an echo server.
func proxy(t *testing.T, network string) *faultnet.Proxy {
	t.Helper()
	return faultnet.New(t, network, echo(t, network))
}

func dial(t *testing.T, p *faultnet.Proxy) net.Conn {
	t.Helper()
	c, err := p.Dialer()(context.Background(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(limit))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

// expect reads exactly want.
func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got[:n], err, want)
	}
}

// ends reads what is left and requires the connection to end after it.
func ends(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got, err := io.ReadAll(c)
	if string(got) != want || isTimeout(err) {
		t.Fatalf("read %q, %v; want %q and the end", got, err, want)
	}
}

// silent requires that nothing arrives and nothing ends for a while.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n != 0 || !isTimeout(err) {
		t.Fatalf("read %d bytes, %v; want silence", n, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(limit))
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

func wait(t *testing.T, fired <-chan struct{}) {
	t.Helper()
	select {
	case <-fired:
	case <-time.After(limit):
		t.Fatal("the cut has not fired")
	}
}

func TestEveryByteArrivesUnchanged(t *testing.T) {
	t.Parallel()
	networks(t, func(t *testing.T, network string) {
		p := proxy(t, network)
		sent := make([]byte, 1<<20)
		r := rand.NewChaCha8([32]byte{1})
		_, _ = r.Read(sent)
		c := dial(t, p)
		start := time.Now()
		go func() {
			_, _ = c.Write(sent)
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
		}()
		got, err := io.ReadAll(c) // ends, because the end of a direction is forwarded too
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d of %d bytes, equal %t, %v", len(got), len(sent), bytes.Equal(got, sent), err)
		}
		t.Logf("1 MiB there and back in %v", time.Since(start).Round(time.Microsecond))
		want := faultnet.Stats{Connections: 1, RequestBytes: 1 << 20, ReplyBytes: 1 << 20}
		if diff := cmp.Diff(want, p.Stats()); diff != "" {
			t.Errorf("Stats (-want +got):\n%s", diff)
		}
		if p.Network() != network {
			t.Errorf("Network = %s, want %s", p.Network(), network)
		}
	})
}

func TestACutFiresOnce(t *testing.T) {
	t.Parallel()
	networks(t, func(t *testing.T, network string) {
		p := proxy(t, network)
		fired := p.CutRequestAfter(3)
		c := dial(t, p)
		write(t, c, "12345")
		ends(t, c, "")
		wait(t, fired)
		again := dial(t, p)
		write(t, again, "12345")
		expect(t, again, "12345")

		fired = p.CutReplyAfter(2) // on the connection that is open
		write(t, again, "abcde")
		ends(t, again, "ab")
		wait(t, fired)
		last := dial(t, p)
		write(t, last, "abcde")
		expect(t, last, "abcde")

		want := faultnet.Stats{Connections: 3, Cuts: 2, RequestBytes: 3 + 5 + 5 + 5, ReplyBytes: 5 + 2 + 5}
		if diff := cmp.Diff(want, p.Stats()); diff != "" {
			t.Errorf("Stats (-want +got):\n%s", diff)
		}
	})
}

func TestACutHitsOneConnection(t *testing.T) {
	t.Parallel()
	p := proxy(t, "tcp")
	a, b := dial(t, p), dial(t, p)
	p.CutRequestAfter(4)
	write(t, a, "aa")
	expect(t, a, "aa")
	write(t, b, "bbbbbbbb") // the cut is on the other connection
	expect(t, b, "bbbbbbbb")
	write(t, a, "aa")
	ends(t, a, "")
}

func TestACutWaitsForAConnectionThatReachesIt(t *testing.T) {
	t.Parallel()
	p := proxy(t, "tcp")
	fired := p.CutReplyAfter(4)
	short := dial(t, p)
	write(t, short, "abc")
	expect(t, short, "abc")
	_ = short.Close()
	next := dial(t, p)
	for { // until the proxy has seen the end of the first
		write(t, next, "a")
		if _, err := next.Read(make([]byte, 1)); err != nil {
			break
		}
	}
	wait(t, fired)
}

func TestEveryCutFiresUntilHeal(t *testing.T) {
	t.Parallel()
	p := proxy(t, "tcp")
	p.CutEveryReplyAfter(1)
	for range 3 {
		c := dial(t, p)
		write(t, c, "abc")
		ends(t, c, "a")
	}
	p.Heal()
	p.CutEveryRequestAfter(0)
	for range 3 {
		c := dial(t, p)
		write(t, c, "abc")
		ends(t, c, "")
	}
	p.Heal()
	c := dial(t, p)
	write(t, c, "abc")
	expect(t, c, "abc")
	if got := p.Stats().Cuts; got != 6 {
		t.Errorf("Cuts = %d, want 6", got)
	}
}

func TestSwallowedRepliesAreLostForGood(t *testing.T) {
	t.Parallel()
	p := proxy(t, "tcp")
	p.SwallowReplies()
	c := dial(t, p)
	write(t, c, "abc")
	silent(t, c)
	if got := p.Stats(); got.RequestBytes != 3 || got.ReplyBytes != 0 {
		t.Errorf("Stats = %+v, want the request and no reply", got)
	}
	p.Heal()
	ends(t, c, "") // or its next reply would answer the wrong request
	next := dial(t, p)
	write(t, next, "abc")
	expect(t, next, "abc")
}

func TestLatencyDelaysBothWays(t *testing.T) {
	t.Parallel()
	const d = 30 * time.Millisecond
	p := proxy(t, "tcp")
	p.Latency(d)
	c := dial(t, p)
	start := time.Now()
	write(t, c, "abc")
	expect(t, c, "abc")
	if took := time.Since(start); took < 2*d {
		t.Errorf("round trip %v, want at least %v", took, 2*d)
	}
	p.Latency(time.Hour)
	write(t, c, "abc")
	silent(t, c)
	p.Heal() // does not wait for the hour
	expect(t, c, "abc")
	p.Latency(time.Hour)
	write(t, c, "abc")
	p.Close() // nor does this
	ends(t, c, "")
}

func TestABlackHoleHoldsWhatItGetsUntilHeal(t *testing.T) {
	t.Parallel()
	networks(t, func(t *testing.T, network string) {
		p := proxy(t, network)
		c := dial(t, p)
		write(t, c, "abc")
		expect(t, c, "abc")
		p.BlackHole()
		write(t, c, "late")
		silent(t, c)
		fresh := dial(t, p)
		write(t, fresh, "new")
		silent(t, fresh)
		p.Heal()
		expect(t, c, "late")
		expect(t, fresh, "new")
	})
}

func TestABlackHoleCanBeResetOrClosed(t *testing.T) {
	t.Parallel()
	p := proxy(t, "tcp")
	p.BlackHole()
	c := dial(t, p)
	write(t, c, "abc")
	silent(t, c)
	p.Reset()
	ends(t, c, "")
	c = dial(t, p)
	write(t, c, "abc")
	silent(t, c)
	p.Close()
	ends(t, c, "")
}

func TestRefusedConnectionsFailAtTheDial(t *testing.T) {
	t.Parallel()
	networks(t, func(t *testing.T, network string) {
		p := proxy(t, network)
		addr := p.Addr()
		open := dial(t, p)
		write(t, open, "abc")
		expect(t, open, "abc")
		for range 2 {
			p.Refuse()
			if c, err := p.Dialer()(context.Background(), "", ""); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("dial = %v, %v; want ECONNREFUSED", c, err)
			}
			write(t, open, "abc") // is not touched
			expect(t, open, "abc")
			p.Heal()
			if p.Addr() != addr {
				t.Errorf("Addr after Heal = %s, want %s again", p.Addr(), addr)
			}
			c := dial(t, p)
			write(t, c, "abc")
			expect(t, c, "abc")
		}
	})
}

func TestResetEndsAllConnectionsAtOnce(t *testing.T) {
	t.Parallel()
	networks(t, func(t *testing.T, network string) {
		p := proxy(t, network)
		a, b := dial(t, p), dial(t, p)
		for _, c := range []net.Conn{a, b} {
			write(t, c, "abc")
			expect(t, c, "abc")
		}
		p.Reset()
		for _, c := range []net.Conn{a, b} {
			_, err := c.Read(make([]byte, 1))
			if network == "tcp" && !errors.Is(err, syscall.ECONNRESET) || err == nil || isTimeout(err) {
				t.Errorf("read after Reset: %v", err)
			}
		}
		c := dial(t, p)
		write(t, c, "abc")
		expect(t, c, "abc")
	})
}

func TestAServerThatIsDownResetsTheClient(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	p := faultnet.New(t, "tcp", l.Addr().String())
	c, err := p.Dialer()(context.Background(), "", "")
	if err == nil { // or the RST was faster than the dial
		_, err = c.Read(make([]byte, 1))
		_ = c.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("dial and read: %v, want ECONNRESET", err)
	}
}

func TestRouteSendsOnlyItsServersThroughTheProxy(t *testing.T) {
	t.Parallel()
	direct := echo(t, "tcp")
	p := proxy(t, "tcp")
	route := faultnet.Route(p)
	for _, addr := range []string{direct, p.Upstream()} {
		c, err := route(context.Background(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(limit))
		write(t, c, "abc")
		expect(t, c, "abc")
		_ = c.Close()
	}
	if got := p.Stats(); got.Connections != 1 || got.RequestBytes != 3 {
		t.Errorf("Stats = %+v, want one connection of 3 bytes", got)
	}
}

// Faults set and taken back under traffic must neither race nor leave anything behind.
func TestFaultsUnderTraffic(t *testing.T) {
	t.Parallel()
	p := proxy(t, "tcp")
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := p.Dialer()(context.Background(), "", "")
				if err != nil {
					continue
				}
				_ = c.SetDeadline(time.Now().Add(20 * time.Millisecond))
				for range 5 {
					_, _ = io.WriteString(c, "abcdef")
					_, _ = c.Read(make([]byte, 6))
				}
				_ = c.Close()
			}
		})
	}
	faults := []func(){
		func() { p.CutRequestAfter(7) }, func() { p.CutReplyAfter(7) }, p.SwallowReplies, p.BlackHole,
		p.Refuse, p.Reset, func() { p.Latency(time.Millisecond) }, func() { p.CutEveryReplyAfter(3) },
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		faults[r.IntN(len(faults))]()
		p.Stats()
		if r.IntN(3) == 0 {
			p.Heal()
		}
		time.Sleep(2 * time.Millisecond)
	}
	p.Heal()
	close(stop)
	clients.Wait()
	c := dial(t, p)
	write(t, c, "abc")
	expect(t, c, "abc")
	t.Logf("%+v", p.Stats())
}
