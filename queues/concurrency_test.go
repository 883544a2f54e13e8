package queues_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

// workload is what eight clients do at one queue through two servers, for a while, on the machine's clock. The numbers
// are parts of a hundred.
type workload struct {
	send, receive         int           // the rest is done with receipts
	ack, extend, giveBack int           // the rest of the receipts is thrown away
	late                  int           // of the receipts are kept and used again later
	lease                 time.Duration // at most
	shards                int           // of the queue; 0: one
}

const (
	historyClients = 8
	historyLasts   = 1200 * time.Millisecond
	// historyOps bounds a history: beyond it the checker's memory grows without teaching more.
	historyOps = 10_000
)

// live plays a workload and returns its history, after a drain.
func (w workload) live(t *testing.T) *history {
	t.Helper()
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	servers := []*bench{real(t, engine.Options{URL: s.URL()}, nil)}
	servers = append(servers, real(t, engine.Options{URL: s.URL()}, servers[0]))
	q := servers[0].queue(t, func(s *queues.Settings) { s.Shards = max(w.shards, 1) })
	h := &history{began: time.Now()}
	var wg sync.WaitGroup
	for i := range historyClients {
		c := &client{bench: servers[i%2], n: i, queue: q, h: h, work: w, random: rand.New(rand.NewPCG(uint64(i), 7))}
		wg.Go(func() {
			for n := 0; time.Since(h.began) < historyLasts && h.size() < historyOps*3/4; n++ {
				c.act(t, n)
			}
		})
	}
	wg.Wait()
	// Drain: whatever is there comes out when its lease or delay ends.
	c := &client{bench: servers[0], n: historyClients, queue: q, h: h, random: rand.New(rand.NewPCG(9, 9))}
	until(t, func() bool {
		for c.receive(t, 100, time.Minute) > 0 {
			for _, d := range c.held {
				c.settle(t, queues.Ack, d, 0)
			}
			c.held = nil
		}
		return servers[1].counts(t, q) == [3]int64{}
	})
	servers[1].healthy(t, q)
	return h
}

// client is one of them, and what it holds.
type client struct {
	*bench
	n      int
	queue  string
	h      *history
	work   workload
	random *rand.Rand
	held   []deed
	old    []deed
}

func (c *client) act(t *testing.T, n int) {
	switch k := c.random.IntN(100); {
	case k < c.work.send:
		c.post(t, fmt.Sprintf("%d-%d", c.n, n))
	case k < c.work.send+c.work.receive:
		c.receive(t, 1+c.random.IntN(4), time.Duration(1+c.random.Int64N(c.work.lease.Milliseconds()))*time.Millisecond)
	case len(c.old) > 0 && c.random.IntN(100) < c.work.late:
		c.use(t, c.old[c.random.IntN(len(c.old))])
	case len(c.held) > 0:
		i := c.random.IntN(len(c.held))
		d := c.held[i]
		c.held = slices.Delete(c.held, i, i+1)
		c.old = append(c.old, d)
		c.use(t, d)
	}
}

func (c *client) post(t *testing.T, body string) {
	m := queues.Outgoing{Body: []byte(body)}
	d := deed{verb: "send", message: body}
	if c.random.IntN(4) == 0 {
		d.span = time.Duration(c.random.IntN(50)) * time.Millisecond
		m.Delay = &d.span
	}
	call := c.h.now()
	sent, err := c.Send(t.Context(), c.tenant, c.queue, m)
	if err != nil {
		t.Errorf("send: %v", err)
		return
	}
	c.h.add(c.n, call, d, result{ok: true, at: sent.Now.UnixMilli()})
}

func (c *client) receive(t *testing.T, most int, lease time.Duration) int {
	call := c.h.now()
	list, err := c.Receive(t.Context(), c.tenant, c.queue, queues.ReceiveOptions{Max: most, VisibilityTimeout: &lease})
	if err != nil {
		t.Errorf("receive: %v", err)
		return 0
	}
	back := c.h.now()
	for _, m := range list {
		d := deed{"receive", m.Body, m.ReceiptHandle, lease}
		c.h.record(c.n, call, back, d, result{ok: true, at: m.LeaseExpiresAt.Add(-lease).UnixMilli(), count: m.ReceiveCount})
		c.held = append(c.held, d)
	}
	return len(list)
}

// use does something with a receipt, or throws it away.
func (c *client) use(t *testing.T, d deed) {
	switch k := c.random.IntN(100); {
	case k < c.work.ack:
		c.settle(t, queues.Ack, d, 0)
	case k < c.work.ack+c.work.extend:
		c.settle(t, queues.Extend, d, time.Duration(1+c.random.Int64N(c.work.lease.Milliseconds()))*time.Millisecond)
	case k < c.work.ack+c.work.extend+c.work.giveBack:
		c.settle(t, queues.Return, d, time.Duration(c.random.IntN(3)*c.random.IntN(30))*time.Millisecond)
	}
}

func (c *client) settle(t *testing.T, verb queues.Verb, d deed, span time.Duration) {
	call := c.h.now()
	out, err := c.Settle(t.Context(), c.tenant, c.queue, []queues.Settlement{{Verb: verb, ReceiptHandle: d.receipt, For: span}})
	if err != nil || out[0].Err != nil && !errors.Is(out[0].Err, queues.ErrReceiptExpired) {
		t.Errorf("%c: %v, %v", verb, out, err)
		return
	}
	d.verb, d.span = map[queues.Verb]string{queues.Ack: "ack", queues.Extend: "extend", queues.Return: "return"}[verb], span
	c.h.add(c.n, call, d, told(verb, span, out[0]))
}

// A message is not given to a second consumer before the lease of the first, or its delay, has ended.
func TestG3_NobodyReceivesWhatIsHeld(t *testing.T) {
	t.Parallel()
	h := workload{send: 15, receive: 60, ack: 25, extend: 25, giveBack: 20, late: 5, lease: 40 * time.Millisecond}.live(t)
	figures := h.judge(t)
	early, least, n := h.slack()
	t.Logf("G3: %s; %d deliveries followed another, %d of them early, the closest %d ms after the lease's end", figures, n, early, least)
}

// slack returns how many deliveries came before the lease of the one before had ended, and by how little the others
// came after it. Leases that were extended or returned are left to the checker.
func (h *history) slack() (early int, least int64, n int) {
	type lease struct{ from, to int64 }
	leases := map[string][]lease{}
	moved := map[string]bool{}
	for _, op := range h.ops {
		d, r := op.Input.(deed), op.Output.(result)
		switch {
		case d.verb == "receive":
			leases[d.message] = append(leases[d.message], lease{r.at, r.at + d.span.Milliseconds()})
		case (d.verb == "extend" || d.verb == "return") && r.ok:
			moved[d.message] = true
		}
	}
	least = 1 << 60
	for m, list := range leases {
		if moved[m] {
			continue
		}
		slices.SortFunc(list, func(a, b lease) int { return int(a.from - b.from) })
		for i := 1; i < len(list); i++ {
			n++
			least = min(least, list[i].from-list[i-1].to)
			if list[i].from < list[i-1].to {
				early++
			}
		}
	}
	return early, least, n
}

// A receipt of an earlier delivery never deletes, hides or exposes what somebody else holds now.
func TestG4_AnOldReceiptChangesNothing(t *testing.T) {
	t.Parallel()
	h := workload{send: 10, receive: 40, ack: 40, extend: 30, giveBack: 30, late: 60, lease: 15 * time.Millisecond}.live(t)
	figures := h.judge(t)
	late, effects := h.late()
	if effects > 0 {
		t.Errorf("%d acts by an old receipt had an effect", effects)
	}
	if late < 20 {
		t.Errorf("only %d acts by an old receipt: the workload proves nothing", late)
	}
	t.Logf("G4: %s; %d acts by an old receipt, %d with an effect", figures, late, effects)
}

// late returns how many acts by a receipt began after a later delivery of the message had reached its consumer, and how
// many of them were said to be done. The ack of a message that is gone already is no effect.
func (h *history) late() (n, effects int) {
	byMessage := map[string][]porcupine.Operation{}
	given := map[string]int64{}
	for _, op := range h.ops {
		if d := op.Input.(deed); d.verb == "receive" {
			byMessage[d.message] = append(byMessage[d.message], op)
			given[d.receipt] = op.Output.(result).at
		}
	}
	for _, op := range h.ops {
		d := op.Input.(deed)
		if d.verb == "send" || d.verb == "receive" {
			continue
		}
		for _, other := range byMessage[d.message] {
			if other.Output.(result).at > given[d.receipt] && other.Return < op.Call {
				n++
				if op.Output.(result).ok && d.verb != "ack" {
					effects++
				}
				break
			}
		}
	}
	return n, effects
}

// An acknowledged message is never given out again.
func TestG5_AnAckIsFinal(t *testing.T) {
	t.Parallel()
	h := workload{send: 25, receive: 40, ack: 90, extend: 0, giveBack: 5, late: 20, lease: 10 * time.Millisecond}.live(t)
	figures := h.judge(t)
	acks, back := 0, 0
	acked := map[string]int64{}
	for _, op := range h.ops {
		if d, r := op.Input.(deed), op.Output.(result); d.verb == "ack" && r.ok {
			acks++
			if at, ok := acked[d.message]; !ok || op.Return < at {
				acked[d.message] = op.Return
			}
		}
	}
	for _, op := range h.ops {
		if d := op.Input.(deed); d.verb == "receive" {
			if at, ok := acked[d.message]; ok && op.Call > at {
				back++
			}
		}
	}
	if back > 0 {
		t.Errorf("%d messages came back after their ack", back)
	}
	t.Logf("G5: %s; %d acks, %d brought back", figures, acks, back)
}

// The counters equal a recount whenever nobody is at the queue, whatever many did at once before.
func TestG18_CountersEqualARecount(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 5} {
		t.Run(fmt.Sprint("shards=", shards), func(t *testing.T) {
			t.Parallel()
			recounted(t, shards)
		})
	}
}

func recounted(t *testing.T, shards int) {
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	servers := []*bench{real(t, engine.Options{URL: s.URL()}, nil)}
	servers = append(servers, real(t, engine.Options{URL: s.URL()}, servers[0]))
	q := servers[0].queue(t, func(s *queues.Settings) { s.Shards = shards })
	const rounds, each = 12, 40
	recounts, drift := 0, 0
	w := workload{send: 40, receive: 25, ack: 40, extend: 15, giveBack: 35, late: 30, lease: 30 * time.Millisecond}
	h := &history{began: time.Now()}
	clients := make([]*client, historyClients)
	for i := range clients {
		clients[i] = &client{bench: servers[i%2], n: i, queue: q, h: h, work: w, random: rand.New(rand.NewPCG(uint64(i), 8))}
	}
	for round := range rounds {
		var wg sync.WaitGroup
		for _, c := range clients {
			wg.Go(func() {
				for n := range each {
					c.act(t, round*each+n)
					switch c.random.IntN(40) {
					case 0:
						if page, err := c.Peek(t.Context(), c.tenant, q, queues.PeekOptions{Limit: 20}); err != nil {
							t.Error(err)
						} else if len(page.Messages) > 0 {
							err := c.DeleteMessage(t.Context(), c.tenant, q, page.Messages[c.random.IntN(len(page.Messages))].ID)
							if err != nil && !errors.Is(err, queues.ErrMessageNotFound) {
								t.Error(err)
							}
						}
					case 1:
						c.counts(t, q)
					case 2:
						if c.random.IntN(8) == 0 {
							if _, err := c.Purge(t.Context(), c.tenant, q); err != nil {
								t.Error(err)
							}
						}
					}
				}
			})
		}
		wg.Wait()
		// Time goes on between the two counts: they are compared where nothing ended in between.
		until(t, func() bool {
			before, err := servers[0].Stats(t.Context(), servers[0].tenant, q)
			if err != nil {
				t.Fatal(err)
			}
			r := servers[1].healthy(t, q)
			after, err := servers[1].Stats(t.Context(), servers[0].tenant, q)
			if err != nil {
				t.Fatal(err)
			}
			b, a := [3]int64{before.Available, before.InFlight, before.Delayed}, [3]int64{after.Available, after.InFlight, after.Delayed}
			if a != b {
				return false
			}
			recounts++
			if got := [3]int64{r.Available, r.InFlight, r.Delayed}; got != a {
				drift++
				t.Errorf("round %d: the counters say %v, a recount %v", round, a, got)
			}
			if stored := after.Sent - after.Deleted - after.Expired; stored != a[0]+a[1]+a[2] {
				drift++
				t.Errorf("round %d: %d sent, %d deleted, %d expired, but %v are there", round, after.Sent, after.Deleted, after.Expired, a)
			}
			return true
		})
	}
	t.Logf("G18: %d recounts after %d calls by %d clients, drift %d", recounts, rounds*each*historyClients, historyClients, drift)
}
