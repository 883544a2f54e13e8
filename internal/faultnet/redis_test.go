package faultnet_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/faultnet"
	"github.com/sluicemq/sluice/internal/redistest"
)

// command writes a command as it goes over the wire.
func command(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

// A command runs if and only if its last byte has arrived, whichever byte the connection ends at. This
// also shows that a cut leaves nothing to wait for: the outcome is settled when the client sees it.
func TestCutAtEveryByteOfARedisCommand(t *testing.T) {
	t.Parallel()
	for _, opts := range []redistest.Options{{Port: true}, {}} {
		s := redistest.Start(t, opts)
		t.Run(s.Network(), func(t *testing.T) {
			p := faultnet.New(t, s.Network(), s.Addr())
			direct := s.Client(t)
			const reply = ":1\r\n"
			request := func(k int) string { return command("APPEND", fmt.Sprintf("k%03d", k), "x") }
			n := len(request(0))

			start := time.Now()
			for k := range n + 1 {
				p.CutRequestAfter(int64(k))
				c := dial(t, p)
				write(t, c, request(k))
				ends(t, c, "")
				_ = c.Close()
				ran := direct.Exists(context.Background(), fmt.Sprintf("k%03d", k)).Val() == 1
				if ran != (k == n) {
					t.Errorf("request cut at byte %d of %d: ran %t", k, n, ran)
				}
			}
			for k := range len(reply) + 1 {
				p.CutReplyAfter(int64(k))
				c := dial(t, p)
				write(t, c, request(100+k))
				ends(t, c, reply[:k])
				_ = c.Close()
				if direct.Exists(context.Background(), fmt.Sprintf("k%03d", 100+k)).Val() != 1 {
					t.Errorf("reply cut at byte %d of %d: the command has not run", k, len(reply))
				}
			}
			cuts := n + len(reply) + 2
			t.Logf("%d cuts in %v", cuts, time.Since(start).Round(time.Millisecond))
			if got := p.Stats().Cuts; got != int64(cuts) {
				t.Errorf("Cuts = %d, want %d", got, cuts)
			}
		})
	}
}

// client returns a client that goes through p.
func client(t *testing.T, p *faultnet.Proxy, retries int) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Dialer: p.Dialer(), MaxRetries: retries, PoolSize: 1})
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Ping(context.Background()).Err(); err != nil { // the handshake is not to be cut
		t.Fatal(err)
	}
	return c
}

// The reason for this package: a lost reply makes a client that repeats commands write twice.
func TestALostReplyIsWrittenTwiceByAClientThatRepeats(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := redistest.Start(t, redistest.Options{})
	for _, tc := range []struct {
		retries, want int
		fails         bool
	}{
		{retries: -1, want: 1, fails: true},
		{retries: 3, want: 2},
	} {
		p := faultnet.New(t, s.Network(), s.Addr())
		c := client(t, p, tc.retries)
		fired := p.CutReplyAfter(0)
		key := fmt.Sprint("list", tc.retries)
		if err := c.RPush(ctx, key, "v").Err(); (err != nil) != tc.fails {
			t.Errorf("MaxRetries %d: RPUSH = %v, fails %t", tc.retries, err, tc.fails)
		}
		wait(t, fired)
		if got := s.Client(t).LLen(ctx, key).Val(); got != int64(tc.want) {
			t.Errorf("MaxRetries %d: %d copies, want %d", tc.retries, got, tc.want)
		}
		if err := c.Ping(ctx).Err(); err != nil {
			t.Errorf("the next connection: %v", err)
		}
	}
}

// A request that hung in the network is carried out after its client has given up.
func TestARequestLeavesABlackHoleAfterItsClientHasGone(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	p := faultnet.New(t, s.Network(), s.Addr())
	c := dial(t, p)
	write(t, c, command("PING"))
	expect(t, c, "+PONG\r\n")
	p.BlackHole()
	write(t, c, command("SET", "k", "late"))
	silent(t, c)
	_ = c.Close()
	direct := s.Client(t)
	if got := direct.Exists(context.Background(), "k").Val(); got != 0 {
		t.Error("the request came through the black hole")
	}
	p.Heal()
	for deadline := time.Now().Add(limit); direct.Exists(context.Background(), "k").Val() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the request never arrived")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
