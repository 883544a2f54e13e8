package queues_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/faultnet"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// real starts a server on the machine's clock, for a tenant of its own or that of like.
func real(tb testing.TB, opt engine.Options, like *bench) *bench { //nolint:predeclared // no test counts with complex numbers
	tb.Helper()
	b := &bench{opt: opt}
	b.open(tb, opt, clock.Real{})
	if like != nil {
		b.tenant = like.tenant
		return b
	}
	name := fmt.Sprintf("t%d-%d", os.Getpid(), names.Add(1))
	tn, _, err := tenants.New(b.engine, clock.Real{}).Put(tb.Context(), name, tenants.Settings{}, tenants.Condition{})
	if err != nil {
		tb.Fatalf("create tenant: %v", err)
	}
	b.tenant = tn.ID
	return b
}

// arrival is what a waiting receive came back with.
type arrival struct {
	list []queues.Message
	err  error
	at   time.Time
}

// wait begins to receive one message and hands over what comes.
func (b *bench) wait(ctx context.Context, q string, visible time.Duration) <-chan arrival {
	got := make(chan arrival, 1)
	long := queues.MaxWait
	go func() {
		list, err := b.Receive(ctx, b.tenant, q, queues.ReceiveOptions{Wait: &long, VisibilityTimeout: &visible})
		got <- arrival{list, err, time.Now()}
	}()
	return got
}

// want fails the test unless the message with that body arrives.
func (a arrival) want(t *testing.T, body string) queues.Message {
	t.Helper()
	if a.err != nil || len(a.list) != 1 || a.list[0].Body != body {
		t.Fatalf("received %q, %v; want %q", bodies(a.list), a.err, body)
	}
	return a.list[0]
}

// scripts counts what a Redis of one's own runs.
type scripts struct {
	redis *redis.Client
	names map[string]string
}

func countScripts(t *testing.T, s *redistest.Server) scripts {
	t.Helper()
	c := scripts{s.Client(t), queues.ScriptNames()}
	for name, value := range map[string]string{"slowlog-log-slower-than": "0", "slowlog-max-len": "100000"} {
		if err := c.redis.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// since returns how often each script ran since the last call, and how long each took at most.
func (c scripts) since(t *testing.T) (map[string]int, map[string]time.Duration) {
	t.Helper()
	ran, longest := map[string]int{}, map[string]time.Duration{}
	log, err := c.redis.SlowLogGet(t.Context(), -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	c.reset(t)
	for _, e := range log {
		name := strings.ToLower(e.Args[0])
		if name == "evalsha" {
			if name = c.names[e.Args[1]]; name == "" {
				name = "other"
			}
		}
		ran[name]++
		longest[name] = max(longest[name], e.Duration)
	}
	return ran, longest
}

func (c scripts) reset(t *testing.T) {
	t.Helper()
	if err := c.redis.Do(t.Context(), "slowlog", "reset").Err(); err != nil {
		t.Fatal(err)
	}
}

// Not parallel: it measures what Redis is asked.
func TestG27_WaitingCostsNothing(t *testing.T) {
	const waiters = 5000
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	servers := []*bench{real(t, engine.Options{URL: s.URL()}, nil)}
	servers = append(servers, real(t, engine.Options{URL: s.URL()}, servers[0]))
	q := servers[0].queue(t, func(set *queues.Settings) { set.VisibilityTimeout = time.Hour })
	count := countScripts(t, s)

	arrivals := make(chan arrival, waiters)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	long := queues.MaxWait
	for i := range waiters {
		go func() {
			list, err := servers[i%2].Receive(ctx, servers[0].tenant, q, queues.ReceiveOptions{Wait: &long})
			arrivals <- arrival{list, err, time.Now()}
		}()
	}
	for _, b := range servers {
		b.awaitParked(t, q, waiters/2)
	}
	ran, _ := count.since(t)
	parking := ran["receive"]

	const idle = 5 * time.Second
	<-time.After(idle)
	ran, _ = count.since(t)
	asked := 0
	for name, n := range ran {
		if name != "ping" && name != "slowlog" { // each server's listener makes sure that it can hear; and this test asks
			asked += n
		}
	}
	if perSecond := float64(asked) / idle.Seconds(); perSecond > 1 {
		t.Errorf("%d idle waiters cost %.1f commands a second, want at most 1: %v", waiters, perSecond, ran)
	}
	t.Logf("G27: %d waiters on two servers began with %d receives; %d commands in %s of waiting (and %d pings of the listeners)",
		waiters, parking, asked, idle, ran["ping"])

	// One message wakes one waiter at most.
	servers[0].send(t, q, "one")
	if a := <-arrivals; a.err != nil || len(a.list) != 1 {
		t.Fatalf("one send: received %v, %v", bodies(a.list), a.err)
	}
	ran, _ = count.since(t)
	if ran["receive"] != 1 || len(arrivals) > 0 {
		t.Errorf("one send: %d receives ran and %d more waiters came back, want 1 and 0", ran["receive"], len(arrivals))
	}

	// Many messages wake as many.
	began := time.Now()
	var wg sync.WaitGroup
	const senders = 8
	for i := range senders {
		wg.Go(func() {
			for k := i; k < waiters-1; k += senders {
				servers[k%2].send(t, q, fmt.Sprint("m", k))
			}
		})
	}
	got := map[string]int{}
	var last time.Time
	for range waiters - 1 {
		select {
		case a := <-arrivals:
			if a.err != nil || len(a.list) != 1 {
				t.Fatalf("a waiter came back with %v, %v", bodies(a.list), a.err)
			}
			got[a.list[0].Body]++
			if a.at.After(last) {
				last = a.at
			}
		case <-time.After(time.Minute):
			t.Fatalf("after %d of %d messages nobody came back any more", len(got), waiters-1)
		}
	}
	wg.Wait()
	if len(got) != waiters-1 {
		t.Errorf("%d different messages came back, want %d", len(got), waiters-1)
	}
	ran, _ = count.since(t)
	perMessage := float64(ran["receive"]) / float64(waiters-1)
	if perMessage > 1.2 {
		t.Errorf("%.2f receives per message, want at most 1.2", perMessage)
	}
	t.Logf("G27: %d sends from %d senders: %d receives, %.3f per message, %d sends scripts, %d words passed on; all within %s",
		waiters-1, senders, ran["receive"], perMessage, ran["send"], ran["pass"], last.Sub(began).Round(time.Millisecond))
}

// Not parallel: it measures time.
func TestG17_DelaysAndLeasesEndOnTime(t *testing.T) {
	const limit, each, lanes = 100 * time.Millisecond, 10, 10
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	a := real(t, engine.Options{URL: s.URL()}, nil)
	b := real(t, engine.Options{URL: s.URL()}, a)
	span := func() time.Duration { return time.Duration(20+rand.IntN(281)) * time.Millisecond }
	for _, c := range []struct {
		name   string
		waiter *bench
	}{{"same server", a}, {"other server", b}} {
		for _, what := range []string{"delay", "lease"} {
			t.Run(what+", "+c.name, func(t *testing.T) {
				t.Parallel() // with each other
				var worst []time.Duration
				for range 5 { // the machine is not ours alone: it counts if it happens again and again
					late := make([]time.Duration, lanes*each)
					var wg sync.WaitGroup
					for lane := range lanes {
						wg.Go(func() {
							q := a.queue(t, nil)
							for i := range each {
								var due time.Time
								var got <-chan arrival
								if what == "delay" {
									got = c.waiter.wait(t.Context(), q, time.Hour)
									c.waiter.awaitParked(t, q, 1)
									due = a.delayed(t, q, "m", span()).AvailableAt
								} else {
									a.send(t, q, "m")
									visible := span()
									held, err := a.Receive(t.Context(), a.tenant, q, queues.ReceiveOptions{VisibilityTimeout: &visible})
									if err != nil || len(held) != 1 {
										t.Errorf("received %v, %v", held, err)
										return
									}
									due, got = held[0].LeaseExpiresAt, c.waiter.wait(t.Context(), q, time.Hour)
								}
								came := <-got
								m := came.want(t, "m")
								late[lane*each+i] = came.at.Sub(due)
								c.waiter.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle})
							}
						})
					}
					wg.Wait()
					slices.Sort(late)
					if late[0] < -time.Millisecond {
						t.Errorf("one came %s early", -late[0])
					}
					t.Logf("G17: %d times a %s ended with a waiting receive on the %s: late by p50 %s, p99 %s, max %s", len(late), what, c.name,
						late[len(late)/2].Round(time.Microsecond), late[len(late)*99/100].Round(time.Microsecond), late[len(late)-1].Round(time.Microsecond))
					if worst = append(worst, late[len(late)-1]); worst[len(worst)-1] <= limit {
						return
					}
				}
				t.Errorf("late by %s in five runs, want at most %s", worst, limit)
			})
		}
	}
}

// promptly fails the test when a waiter was not told of a message and found it only when it looked by itself, which it
// does every ten seconds.
func promptly(t *testing.T, got <-chan arrival) arrival {
	t.Helper()
	select {
	case a := <-got:
		return a
	case <-time.After(time.Minute):
		t.Fatal("a waiting receive was not told of a message")
		return arrival{}
	}
}

// What becomes available while several wait reaches them one after the other, each at its time.
func TestSeveralWaitersAndSeveralDueTimes(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	a := real(t, engine.Options{URL: s.URL()}, nil)
	b := real(t, engine.Options{URL: s.URL()}, a)
	c := real(t, engine.Options{URL: s.URL()}, a)
	short, longer := 50*time.Millisecond, 150*time.Millisecond
	two := []queues.Outgoing{{Body: []byte("first"), Delay: &short}, {Body: []byte("second"), Delay: &longer}}
	for name, waiters := range map[string][]*bench{"here": {a, a}, "elsewhere": {b, b}, "on two servers": {b, c}, "here and elsewhere": {a, b}} {
		t.Run("two delayed messages, waiters "+name, func(t *testing.T) {
			t.Parallel()
			for range 5 {
				q := a.queue(t, nil)
				got := make(chan arrival, 2)
				for i, w := range waiters {
					ch := w.wait(t.Context(), q, time.Hour)
					go func() { got <- <-ch }()
					w.awaitParked(t, q, 1+i*btoi(waiters[0] == waiters[1]))
				}
				a.batch(t, q, false, two...)
				promptly(t, got).want(t, "first")
				promptly(t, got).want(t, "second")
			}
		})
		t.Run("a lease that ends, waiters "+name, func(t *testing.T) {
			t.Parallel()
			for range 5 {
				q := a.queue(t, nil)
				got := make(chan arrival, 2)
				for i, w := range waiters {
					ch := w.wait(t.Context(), q, short)
					go func() { got <- <-ch }()
					w.awaitParked(t, q, 1+i*btoi(waiters[0] == waiters[1]))
				}
				a.send(t, q, "m")
				// Whoever gets it dies; the other one gets it then.
				for n := 1; n <= 2; n++ {
					if m := promptly(t, got).want(t, "m"); m.ReceiveCount != n {
						t.Errorf("received %d times, want %d", m.ReceiveCount, n)
					}
				}
			}
		})
	}
	t.Run("a lease of one who does not wait", func(t *testing.T) {
		t.Parallel()
		for range 3 {
			q := a.queue(t, nil)
			// A message that was acknowledged leaves its due time behind.
			a.send(t, q, "done")
			a.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: a.receive(t, q, 1)[0].ReceiptHandle})
			got := b.wait(t.Context(), q, time.Hour)
			b.awaitParked(t, q, 1)
			// Nobody is told of this one. Only its lease, which ends before all else, is worth a word.
			c, head := s.Client(t), a.Keys(a.tenant, q)["h"]
			waiting := c.HGet(t.Context(), head, "w").Val()
			c.HDel(t.Context(), head, "w")
			a.send(t, q, "m")
			c.HSet(t.Context(), head, "w", waiting)
			if m, err := a.Receive(t.Context(), a.tenant, q, queues.ReceiveOptions{VisibilityTimeout: &short}); err != nil || len(m) != 1 {
				t.Fatalf("received %v, %v", m, err)
			}
			promptly(t, got).want(t, "m")
		}
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A server that is told of a message and has nobody waiting any more tells the next one.
func TestAWordForWaitersThatHaveGoneIsPassedOn(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	a := real(t, engine.Options{URL: s.URL()}, nil)
	var gone []*bench
	for range 3 {
		gone = append(gone, real(t, engine.Options{URL: s.URL()}, a))
	}
	c := real(t, engine.Options{URL: s.URL()}, a)
	for _, delay := range []time.Duration{0, 20 * time.Millisecond} {
		for range 5 {
			q := a.queue(t, nil)
			for _, b := range gone {
				ctx, cancel := context.WithCancel(t.Context())
				got := b.wait(ctx, q, time.Hour)
				b.awaitParked(t, q, 1)
				cancel()
				<-got
			}
			got := c.wait(t.Context(), q, time.Hour)
			c.awaitParked(t, q, 1)
			a.delayed(t, q, "m", delay)
			promptly(t, got).want(t, "m")
		}
	}
}

// A receive that does not wait is under way when the word comes: it takes nothing, and the word must not end there.
func TestAWordDuringAnotherReceiveIsPassedOn(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	a := real(t, engine.Options{URL: s.URL()}, nil)
	busy := real(t, engine.Options{URL: s.URL()}, a)
	c := real(t, engine.Options{URL: s.URL()}, a)
	for range 20 {
		q := a.queue(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		left := busy.wait(ctx, q, time.Hour)
		busy.awaitParked(t, q, 1)
		cancel()
		<-left
		got := c.wait(t.Context(), q, time.Hour)
		c.awaitParked(t, q, 1)
		var wg sync.WaitGroup
		stop := make(chan struct{})
		none := time.Duration(0)
		wg.Go(func() { // polls without waiting, and wants none
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = busy.Receive(t.Context(), a.tenant, q, queues.ReceiveOptions{Wait: &none, VisibilityTimeout: &none})
				}
			}
		})
		a.send(t, q, "m")
		a := promptly(t, got)
		close(stop)
		wg.Wait()
		a.want(t, "m")
	}
}

// The words say in how long a message is due, for the servers' clocks differ.
func TestAServerWithASlowClockWakesInTime(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	a := real(t, engine.Options{URL: s.URL()}, nil)
	for _, off := range []time.Duration{-25 * time.Second, 25 * time.Second} {
		slow := &shifted{}
		slow.by.Store(int64(off))
		b := &bench{tenant: a.tenant}
		b.open(t, engine.Options{URL: s.URL(), Clock: slow}, slow)
		q := a.queue(t, nil)
		got := b.wait(t.Context(), q, time.Hour)
		b.awaitParked(t, q, 1)
		sent := a.delayed(t, q, "m", 100*time.Millisecond)
		came := promptly(t, got)
		came.want(t, "m")
		if late := came.at.Sub(sent.AvailableAt); late > time.Second {
			t.Errorf("a server whose clock is off by %s gave the message out %s late", off, late)
		}
	}
}

func TestALostWordIsMadeUpForWhenTheServerHearsAgain(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	a := real(t, engine.Options{URL: s.URL()}, nil)
	b := real(t, engine.Options{URL: s.URL()}, a)
	c := s.Client(t)
	channel := fmt.Sprint(engine.WakePrefix, a.engine.Session().Number())
	heard := func() int64 { return c.PubSubNumSub(t.Context(), channel).Val()[channel] }
	for range 3 {
		q := a.queue(t, nil)
		until(t, func() bool { return heard() == 1 })
		got := a.wait(t.Context(), q, time.Hour)
		a.awaitParked(t, q, 1)
		if err := c.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
		b.send(t, q, "m")
		lost := heard() == 0
		came := promptly(t, got)
		m := came.want(t, "m")
		t.Logf("with the listener's connection killed (word lost: %v) the message came after %s", lost, came.at.Sub(m.SentAt).Round(time.Millisecond))
	}
}

func TestALostWordIsMadeUpForByARecheck(t *testing.T) {
	engines(t, func(t *testing.T, a *bench) {
		b := a.another(t)
		q := a.queue(t, nil)
		got := a.wait(t.Context(), q, time.Hour)
		a.awaitParked(t, q, 1)
		b.send(t, a.queue(t, nil), "another queue")
		if err := a.engine.Single().HDel(t.Context(), a.Keys(a.tenant, q)["h"], "w").Err(); err != nil {
			t.Fatal(err)
		}
		b.send(t, q, "m") // tells nobody
		a.clock.Advance(10 * time.Second)
		promptly(t, got).want(t, "m")
	})
}

func TestAWordCrossesServers(t *testing.T) {
	engines(t, func(t *testing.T, a *bench) {
		b := a.another(t)
		for i := range 20 {
			q := a.queue(t, nil)
			waiter, sender := a, b
			if i%2 == 1 {
				waiter, sender = b, a
			}
			got := waiter.wait(t.Context(), q, time.Hour)
			waiter.awaitParked(t, q, 1)
			switch i % 4 {
			case 0, 1:
				sender.send(t, q, "m")
			default: // a message that comes back by a return
				sender.send(t, q, "m")
				held := promptly(t, got).want(t, "m")
				got = waiter.wait(t.Context(), q, time.Hour)
				waiter.awaitParked(t, q, 1)
				sender.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: held.ReceiptHandle})
			}
			promptly(t, got).want(t, "m")
		}
	})
}

// What a receive was given whose caller has gone is put back to its place, as if it had not been lent; only the number
// of the delivery goes on, so that no handle is given twice.
func TestACancelledReceivePutsItsMessagesBack(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	proxy := faultnet.New(t, s.Network(), s.Addr())
	a := real(t, engine.Options{URL: s.URL(), Dialer: proxy.Dialer()}, nil)
	b := real(t, engine.Options{URL: s.URL()}, a)
	q := b.queue(t, nil)
	for _, body := range []string{"a", "b", "c"} {
		b.send(t, q, body)
	}
	a.counts(t, q) // a knows the queue
	proxy.BlackHole()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		list, err := a.Receive(ctx, a.tenant, q, queues.ReceiveOptions{Max: 2})
		if len(list) > 0 {
			err = fmt.Errorf("received %q", bodies(list))
		}
		done <- err
	}()
	until(t, func() bool { return a.Running(a.tenant, q) == 1 })
	cancel()
	proxy.Heal()
	if err := <-done; err == nil {
		t.Error("a receive whose caller has gone came back without an error")
	}
	var got []queues.Message
	until(t, func() bool {
		got = append(got, b.receive(t, q, 10)...)
		return len(got) >= 3
	})
	if diff := cmp.Diff([]string{"a", "b", "c"}, bodies(got)); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
	for i, m := range got {
		want := uint32(2)
		if i == 2 {
			want = 1 // it was not lent before
		}
		if d := b.Delivery(t, b.tenant, q, m.ReceiptHandle); m.ReceiveCount != 1 || d != want {
			t.Errorf("%q: received %d times, delivery %d; want 1 and %d", m.Body, m.ReceiveCount, d, want)
		}
		if !m.FirstReceivedAt.Equal(m.LeaseExpiresAt.Add(-30 * time.Second)) {
			t.Errorf("%q: first received at %s, want now", m.Body, m.FirstReceivedAt)
		}
	}
	b.healthy(t, q)
}

func TestACancelledWaitTakesNothing(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		gone := b.wait(ctx, q, time.Hour)
		b.awaitParked(t, q, 1)
		stays := b.wait(t.Context(), q, time.Hour)
		b.awaitParked(t, q, 2)
		cancel()
		if a := <-gone; a.err == nil || len(a.list) > 0 {
			t.Errorf("the cancelled one received %q, %v", bodies(a.list), a.err)
		}
		b.send(t, q, "m")
		(<-stays).want(t, "m")
	})
}

func TestAWaitEndsAfterItsTime(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, func(s *queues.Settings) { s.ReceiveWait = 5 * time.Second })
		done := make(chan int, 2)
		one := time.Second
		for _, wait := range []*time.Duration{nil, &one} {
			go func() {
				list, err := b.Receive(t.Context(), b.tenant, q, queues.ReceiveOptions{Wait: wait})
				if err != nil {
					t.Error(err)
				}
				done <- len(list)
			}()
		}
		b.awaitParked(t, q, 2)
		b.clock.Advance(time.Second)
		if n := <-done; n != 0 {
			t.Errorf("received %d messages", n)
		}
		b.awaitParked(t, q, 1)
		b.clock.Advance(4 * time.Second)
		if n := <-done; n != 0 {
			t.Errorf("received %d messages", n)
		}
	})
}

func TestDrainReleasesAllWaiters(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		const n = 200
		var qs []string
		for range 4 {
			qs = append(qs, b.queue(t, nil))
		}
		var got []<-chan arrival
		for i := range n {
			got = append(got, b.wait(t.Context(), qs[i%4], time.Hour))
		}
		for _, q := range qs {
			b.awaitParked(t, q, n/4)
		}
		var late atomic.Int64
		var wg sync.WaitGroup
		for i := range n { // some come while it drains
			wg.Go(func() {
				if a := <-b.wait(t.Context(), qs[i%4], time.Hour); a.err != nil {
					late.Add(1)
				}
			})
		}
		b.Drain()
		for _, ch := range got {
			if a := promptly(t, ch); a.err != nil || len(a.list) > 0 {
				t.Errorf("a released waiter got %q, %v", bodies(a.list), a.err)
			}
		}
		wg.Wait()
		if late.Load() > 0 {
			t.Errorf("%d receives during the drain failed", late.Load())
		}
		for _, q := range qs {
			other.send(t, q, "m")
			if a := promptly(t, b.wait(t.Context(), q, time.Hour)); len(a.list) != 1 {
				t.Errorf("a draining server does not give out what is there: %q, %v", bodies(a.list), a.err)
			}
		}
	})
}
