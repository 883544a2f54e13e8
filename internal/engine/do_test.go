package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/faultnet"
	"github.com/sluicemq/sluice/internal/redistest"
)

// proxied returns an engine that reaches a server of its own through a proxy, and a second one that goes straight.
func proxied(t *testing.T, budget time.Duration) (e, direct *engine.Engine, p *faultnet.Proxy) {
	t.Helper()
	s := redistest.Start(t, redistest.Options{Port: true})
	p = faultnet.New(t, s.Network(), s.Addr())
	e = open(t, engine.Options{URL: s.URL(), Dialer: p.Dialer(), Budget: budget})
	return e, open(t, engine.Options{URL: s.URL()}), p
}

func TestALostReplyIsFetchedByTheSameCall(t *testing.T) {
	t.Parallel()
	e, direct, p := proxied(t, 0)
	k := key("k")
	mustCount(t, e, k, "warm")
	for i := range 20 {
		p.CutReplyAfter(int64(i % 3))
		if n := mustCount(t, e, k, fmt.Sprint("op", i)); n != int64(i+2) {
			t.Errorf("operation %d has number %d, want %d", i, n, i+2)
		}
	}
	if n := total(t, direct, k); n != 21 {
		t.Errorf("%d operations, want 21: a call was carried out twice, or not at all", n)
	}
	if got := e.Outcomes(); got["unknown"] != 20 || got["done"] != 21 {
		t.Errorf("outcomes %v, want 20 unknown and 21 done", got)
	}
}

func TestARequestCutInHalfIsSentAgain(t *testing.T) {
	t.Parallel()
	e, direct, p := proxied(t, 0)
	k := key("k")
	mustCount(t, e, k, "warm")
	for i := range 20 {
		p.CutRequestAfter(int64(7 * i))
		mustCount(t, e, k, fmt.Sprint("op", i))
	}
	if n := total(t, direct, k); n != 21 {
		t.Errorf("%d operations, want 21", n)
	}
}

func TestWithoutRepliesNothingIsCalledDone(t *testing.T) {
	t.Parallel()
	const budget = 500 * time.Millisecond
	e, direct, p := proxied(t, budget)
	k := key("k")
	mustCount(t, e, k, "warm")
	p.SwallowReplies()
	began := time.Now()
	_, err := count(e, k, "op")
	took := time.Since(began)
	if !errors.Is(err, engine.ErrUnknown) {
		t.Errorf("got %v, want %v", err, engine.ErrUnknown)
	}
	if took > budget+engine.AttemptTimeout+200*time.Millisecond {
		t.Errorf("took %v with a budget of %v", took, budget)
	}
	p.Heal()
	if n := total(t, direct, k); n != 2 {
		t.Errorf("%d operations, want 2: this one was carried out, and its caller was told that nobody knows", n)
	}
}

// A server that hangs takes no caller longer than the budget and the last attempt, however many they are.
func TestAFrozenServerHoldsNobodyForLonger(t *testing.T) {
	t.Parallel()
	for _, callers := range []int{1, 1000} {
		t.Run(fmt.Sprint(callers), func(t *testing.T) {
			t.Parallel()
			const budget = time.Second
			s := redistest.Start(t, redistest.Options{})
			e := open(t, engine.Options{URL: s.URL(), Budget: budget})
			direct := open(t, engine.Options{URL: s.URL()})
			k := key("k")
			mustCount(t, e, k, "warm")
			s.Pause()
			began := time.Now()
			var longest, wrong atomic.Int64
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() {
					_, err := count(e, k, fmt.Sprint("op", i))
					if !unsure(err) || callers == 1 && !errors.Is(err, engine.ErrUnknown) {
						wrong.Add(1)
						t.Errorf("got %v", err)
					}
					for took := int64(time.Since(began)); ; {
						if l := longest.Load(); took <= l || longest.CompareAndSwap(l, took) {
							break
						}
					}
				})
			}
			wg.Wait()
			t.Logf("%d callers: the last one was told after %v", callers, time.Duration(longest.Load()).Round(time.Millisecond))
			if most := budget + engine.AttemptTimeout + time.Second/2; time.Duration(longest.Load()) > most {
				t.Errorf("the last caller was told after %v, at most %v is right", time.Duration(longest.Load()), most)
			}
			s.Cont()
			if n := mustCount(t, e, k, "after"); n > int64(callers)+2 {
				t.Errorf("the call after the pause has number %d of %d calls", n, callers+2)
			}
			_ = total(t, direct, k)
		})
	}
}

// Joined calls share a round trip and nothing else: each has its own answer or its own error.
func TestJoinedCallsHaveTheirOwnAnswers(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	e := open(t, engine.Options{URL: s.URL()})
	bad := key("bad")
	if err := s.Client(t).Set(t.Context(), bad, "text", 0).Err(); err != nil {
		t.Fatal(err)
	}
	const callers = 400
	var wg sync.WaitGroup
	good := key("good")
	for i := range callers {
		wg.Go(func() {
			switch i % 4 {
			case 0:
				if _, err := count(e, bad, fmt.Sprint("op", i)); !errors.Is(err, engine.ErrBroken) {
					t.Errorf("call %d of damaged data: got %v, want %v", i, err, engine.ErrBroken)
				}
			case 1:
				if _, err := e.Do(context.Background(), readScript, []string{good}); err != nil {
					t.Errorf("read %d: %v", i, err)
				}
			default:
				if _, err := count(e, good, fmt.Sprint("op", i)); err != nil {
					t.Errorf("call %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	if n := total(t, e, good); n != callers/2 {
		t.Errorf("%d operations, want %d", n, callers/2)
	}
}

// What was never sent because Redis takes no connection has no answer, also where several calls were to leave together.
func TestARefusedConnectionIsNoAnswer(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(int, *fakeConn, []string) string { return fakeOK })
	f.other = func(_ *fakeConn, args []string) string {
		if strings.EqualFold(args[0], "hello") || strings.EqualFold(args[0], "auth") {
			return "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
		}
		return ""
	}
	e := open(t, engine.Options{URL: "redis://:old@" + f.addr, Budget: 200 * time.Millisecond})
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			reply, err := e.Do(context.Background(), countScript, []string{key("k")}, fmt.Sprint("op", i))
			if !errors.Is(err, engine.ErrUnavailable) {
				t.Errorf("call %d: got %v and %v, want %v", i, reply, err, engine.ErrUnavailable)
			}
		})
	}
	wg.Wait()
	if n := f.attempts(); n != 0 {
		t.Errorf("%d scripts ran", n)
	}
}

// A thousand callers while the network resets their connections again and again.
func TestEveryCallIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	e, direct, p := proxied(t, 0)
	k := key("k")
	mustCount(t, e, k, "warm")
	stop := make(chan struct{})
	var saboteur sync.WaitGroup
	resets := 0
	saboteur.Go(func() {
		r := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(r.IntN(10)) * time.Millisecond):
			}
			resets++
			switch r.IntN(3) {
			case 0:
				p.Reset()
			case 1:
				p.CutReplyAfter(r.Int64N(200))
			default:
				p.CutRequestAfter(r.Int64N(2000))
			}
		}
	})
	const callers, each = 1000, 3
	var wg sync.WaitGroup
	var done, unknowns, refused atomic.Int64
	var numbers sync.Map
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				n, err := count(e, k, fmt.Sprint("op", i, ".", j))
				switch {
				case err == nil:
					done.Add(1)
					if other, taken := numbers.LoadOrStore(n, i); taken {
						t.Errorf("callers %v and %d were both told number %d", other, i, n)
					}
				case errors.Is(err, engine.ErrUnknown):
					unknowns.Add(1)
				case errors.Is(err, engine.ErrUnavailable):
					refused.Add(1)
				default:
					t.Errorf("caller %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	saboteur.Wait()
	p.Heal()
	stored := total(t, direct, k) - 1
	t.Logf("%d calls, %d faults: done %d, unknown %d, refused %d, stored %d; attempts by outcome %v",
		callers*each, resets, done.Load(), unknowns.Load(), refused.Load(), stored, e.Outcomes())
	if stored < done.Load() || stored > done.Load()+unknowns.Load() {
		t.Errorf("stored %d of %d done and %d unknown", stored, done.Load(), unknowns.Load())
	}
	if done.Load() == 0 || e.Outcomes()["unknown"] == 0 {
		t.Error("the faults did not do what they are for")
	}
}

// Each of several callers writes a large body, so that a flush needs many packets.
func TestLargeCallsAreCutAnywhere(t *testing.T) {
	t.Parallel()
	e, direct, p := proxied(t, 0)
	k := key("k")
	mustCount(t, e, k, "warm")
	body := strings.Repeat("x", 300<<10)
	r := rand.New(rand.NewPCG(3, 4))
	const rounds, callers = 10, 8
	for range rounds {
		p.CutRequestAfter(r.Int64N(callers * 300 << 10))
		var wg sync.WaitGroup
		for range callers {
			op := fmt.Sprint("op", serial.Add(1))
			wg.Go(func() {
				reply, err := e.Do(context.Background(), countScript, []string{k}, op, body)
				if list, ok := reply.([]any); err != nil || !ok || list[0] != op {
					t.Errorf("%s: got %v, %v", op, reply, err)
				}
			})
		}
		wg.Wait()
	}
	if n := total(t, direct, k); n != rounds*callers+1 {
		t.Errorf("%d operations, want %d", n, rounds*callers+1)
	}
}

func TestACallThatNobodyWaitsForIsNotBegun(t *testing.T) {
	t.Parallel()
	e := open(t, engine.Options{URL: redistest.URL(t)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k := key("k")
	if _, err := e.Do(ctx, countScript, []string{k}, "op", ""); !errors.Is(err, engine.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v with its cause", err, engine.ErrUnavailable)
	}
	if n := total(t, e, k); n != 0 {
		t.Errorf("%d operations, want none", n)
	}
}

// Between two attempts at a call that was not carried out, its caller may go.
func TestTheEndOfTheContextEndsTheBackOff(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(int, *fakeConn, []string) string { return wire("LOADING Redis is loading the dataset in memory") })
	e := open(t, engine.Options{URL: f.url()})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := e.Do(ctx, countScript, []string{key("k")}, "op", "")
	if !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, engine.ErrUnavailable)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v after the caller had gone", took)
	}
}

func TestCloseEndsCallsOnTheirWay(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(n int, _ *fakeConn, _ []string) string {
		if n == 0 {
			return fakeOK
		}
		return silence
	})
	e := open(t, engine.Options{URL: f.url()})
	if _, err := e.Do(t.Context(), countScript, []string{key("k")}, "op", ""); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := e.Do(context.Background(), countScript, []string{key("k")}, "op", "")
		done <- err
	}()
	until(t, "the call is on its way", func() bool { return f.attempts() == 2 })
	began := time.Now()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, engine.ErrUnknown) {
		t.Errorf("a call on its way: got %v, want %v", err, engine.ErrUnknown)
	}
	if took := time.Since(began); took > engine.AttemptTimeout+time.Second/2 {
		t.Errorf("it came back %v after Close", took)
	}
	began = time.Now()
	if _, err := e.Do(t.Context(), countScript, []string{key("k")}, "op", ""); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("a call after Close: got %v, want %v", err, engine.ErrUnavailable)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("a call after Close took %v", took)
	}
}

func TestWaitReadyTriesUntilRedisAnswers(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{Port: true})
	p := faultnet.New(t, s.Network(), s.Addr())
	p.Refuse()
	e := open(t, engine.Options{URL: s.URL(), Dialer: p.Dialer()})
	reasons := 0
	err := e.WaitReady(t.Context(), func(error) {
		if reasons++; reasons == 3 {
			p.Heal()
		}
	})
	if err != nil || reasons != 3 {
		t.Errorf("got %v after %d reasons, want none after 3", err, reasons)
	}
	p.Refuse()
	p.Reset()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := e.WaitReady(ctx, func(error) {}); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("while Redis is away: got %v", err)
	}
}

func TestABadAddressIsRefused(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "redis", "http://h", "redis+sentinel://h"} {
		if e, err := engine.Open(engine.Options{URL: url}); err == nil {
			_ = e.Close()
			t.Errorf("%q was taken", url)
		}
	}
}

// The clocks are read anew for each attempt and come before the arguments.
func TestBothClocksAreSent(t *testing.T) {
	t.Parallel()
	echo := mustLoad("echo", `-- Returns what it was sent.
-- KEYS[1] STRING none
-- ARGV[3] anything
-- Returns: both clocks and the argument
-- Flags: no-writes
-- Again: it only reads.
return { ARGV[1], ARGV[2], ARGV[3] }
`)
	for _, tc := range []struct {
		name string
		now  func() int64
		want string
	}{
		{"production", nil, "0"},
		{"test", func() int64 { return 1234567890123 }, "1234567890123"},
	} {
		for _, memory := range []bool{false, true} {
			url := redistest.URL(t)
			if memory {
				url = redistest.Memory(t)
			}
			e := open(t, engine.Options{URL: url, Memory: memory, TestNow: tc.now})
			before := time.Now().UnixMilli()
			reply, err := e.Do(t.Context(), echo, []string{key("k")}, 77)
			list, ok := reply.([]any)
			if err != nil || !ok || len(list) != 3 || list[0] != tc.want || list[2] != "77" {
				t.Fatalf("%s, memory %t: got %v, %v", tc.name, memory, reply, err)
			}
			var witness int64
			_, _ = fmt.Sscan(fmt.Sprint(list[1]), &witness)
			if witness < before || witness > time.Now().UnixMilli() {
				t.Errorf("%s, memory %t: the witness says %v", tc.name, memory, list[1])
			}
		}
	}
}

// A dialer that counts: calls that are joined need few connections.
func TestManyCallersNeedFewConnections(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{Port: true})
	var dials atomic.Int64
	e := open(t, engine.Options{URL: s.URL(), Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}})
	k := key("k")
	var wg sync.WaitGroup
	for i := range 2000 {
		wg.Go(func() {
			if _, err := count(e, k, fmt.Sprint("op", i)); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if n := total(t, e, k); n != 2000 {
		t.Errorf("%d operations, want 2000", n)
	}
	if n := dials.Load(); n > 3*engine.MaxFlushes {
		t.Errorf("%d connections for 2,000 callers, want at most %d", n, 3*engine.MaxFlushes)
	}
}
