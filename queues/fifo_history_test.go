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

// groupDeed is what a client did in one group of a FIFO queue. What a receive got of several groups is one deed in each.
type groupDeed struct {
	verb, group string        // those of deed, "dead_letter", "dead" for a look at the dead-letter queue at the end, "late_ack" (markLate)
	messages    []string      // one, or all that a receive got of the group, as they came
	receipts    []string      // of each; of a look at the dead-letter queue why each is there
	span        time.Duration // of the lease, the extension or the delay
}

// groupResult is what the client was told.
type groupResult struct {
	result
	counts   []int  // of a receive
	sequence string // of a send
}

// spot is one message as it stands in its group.
type spot struct {
	message, receipt string
	held             bool
	until            int64 // nobody may receive it before, ms
	count            int
}

// row is a group as the checker follows it through a history: its messages that are not acknowledged, oldest first.
type row struct {
	live     []spot
	sequence string // of the last send
	clock    int64  // of the last deed whose time is known
	most     int    // how often a message is received before it leaves for the dead-letter queue, 0 for any number
	// What left for the dead-letter queue in this order: given up by its consumer, and received too often. The instant of the
	// latter is not known, but of each kind the order is.
	rejected, worn []string
}

// wearOut has the first n messages leave that were received too often, and says whether they all were. Only the first of a
// group leaves that way, so they do so in their order.
func (s *row) wearOut(n int) bool {
	for _, p := range s.live[:n] {
		if s.most == 0 || p.count < s.most {
			return false
		}
		s.worn = append(slices.Clip(s.worn), p.message)
	}
	s.live = slices.Delete(s.live, 0, n)
	return true
}

// step says what comes of a deed in a history in which deeds happen one after the other, and whether it may happen so.
// The promises: sequence numbers grow; a receive gets the oldest messages of the group in their order, none of which is
// held or delayed, and so none that is behind one (G6); a receipt holds until its lease ends or another one begins; what
// leaves for the dead-letter queue is gone, the group goes on behind it, and it arrives there in the order of leaving.
func (s row) step(d groupDeed, r groupResult) (bool, row) {
	if r.ok && r.at > 0 {
		if r.at < s.clock {
			return false, s
		}
		s.clock = r.at
	}
	ends := r.at + d.span.Milliseconds()
	s.live = slices.Clone(s.live)
	switch d.verb {
	case "send":
		ok := r.sequence > s.sequence
		s.sequence = r.sequence
		s.live = append(s.live, spot{message: d.messages[0]})
		return ok, s
	case "receive":
		for s.most > 0 && len(s.live) > 0 && s.live[0].count >= s.most && s.live[0].until <= r.at {
			s.wearOut(1)
		}
		if len(d.messages) > len(s.live) {
			return false, s
		}
		for i := range d.messages {
			p := &s.live[i]
			if p.message != d.messages[i] || p.until > r.at || p.count+1 != r.counts[i] {
				return false, s
			}
			*p = spot{message: p.message, receipt: d.receipts[i], held: true, until: ends, count: r.counts[i]}
		}
		return true, s
	case "dead":
		ok := s.wearOut(len(s.live)) // all else was acknowledged
		arrived := map[string][]string{}
		for i, m := range d.messages {
			arrived[d.receipts[i]] = append(arrived[d.receipts[i]], m)
		}
		return ok && slices.Equal(arrived[string(queues.Rejected)], s.rejected) && slices.Equal(arrived[string(queues.MaxReceives)], s.worn), s
	}
	at := slices.IndexFunc(s.live, func(p spot) bool { return p.message == d.messages[0] })
	if at < 0 {
		return r.ok == (d.verb == "ack" || d.verb == "late_ack"), s // acknowledged before
	}
	p := &s.live[at]
	mine := p.held && p.receipt == d.receipts[0]
	switch {
	case !r.ok:
		return !mine || r.latest >= p.until, s
	case d.verb == "late_ack":
		ok := !slices.ContainsFunc(s.live[:at+1], func(p spot) bool { return p.until > r.latest })
		return s.wearOut(at+1) && ok, s
	case d.verb == "dead_letter":
		ok := mine && s.clock < p.until
		s.rejected = append(slices.Clip(s.rejected), p.message)
		s.live = slices.Delete(s.live, at, at+1)
		return ok, s
	case d.verb == "ack":
		ok := mine && s.clock < p.until
		s.live = slices.Delete(s.live, at, at+1)
		return ok, s
	default: // extend, return
		ok := mine && r.at < p.until
		p.held, p.until = d.verb == "extend", ends
		return ok, s
	}
}

// markLate gives another verb to each ack that was confirmed of a message which the last look found in the dead-letter
// queue: it came when the message had left, since what was acknowledged in time is in no queue. The ack itself names no
// instant, so nothing else tells the two apart where a lease ends while it is on its way.
func markLate(ops []porcupine.Operation) {
	dead := map[string]bool{}
	for _, op := range ops {
		if d := op.Input.(groupDeed); d.verb == "dead" {
			for _, m := range d.messages {
				dead[m] = true
			}
		}
	}
	for i, op := range ops {
		if d := op.Input.(groupDeed); d.verb == "ack" && op.Output.(groupResult).ok && dead[d.messages[0]] {
			d.verb = "late_ack"
			ops[i].Input = d
		}
	}
}

// fifoPromises is the model of a FIFO queue from which messages leave that were received most times, or never: a product of
// groups that have nothing to do with each other.
func fifoPromises(most int) porcupine.Model {
	return porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			markLate(ops)
			byGroup := map[string][]porcupine.Operation{}
			for _, op := range ops {
				g := op.Input.(groupDeed).group
				byGroup[g] = append(byGroup[g], op)
			}
			parts := make([][]porcupine.Operation, 0, len(byGroup))
			for _, ops := range byGroup {
				parts = append(parts, ops)
			}
			return parts
		},
		Init: func() any { return row{most: most} },
		Step: func(state, input, output any) (bool, any) {
			return state.(row).step(input.(groupDeed), output.(groupResult))
		},
		Equal: func(a, b any) bool {
			x, y := a.(row), b.(row)
			return x.sequence == y.sequence && x.clock == y.clock && slices.Equal(x.live, y.live) && slices.Equal(x.rejected, y.rejected) && slices.Equal(x.worn, y.worn)
		},
	}
}

// groupBalance is the balance of a drained FIFO queue. Doubled are messages of which two were stored: both are received
// for the first time.
type groupBalance struct{ groups, sent, delivered, again, lost, doubled, dead int }

func groupsBalance(ops []porcupine.Operation) (b groupBalance) {
	groups, sent, got, first := map[string]bool{}, map[string]bool{}, map[string]int{}, map[string]int{}
	for _, op := range ops {
		d, r := op.Input.(groupDeed), op.Output.(groupResult)
		groups[d.group] = true
		for i, m := range d.messages {
			switch d.verb {
			case "send":
				sent[m] = true
			case "dead":
				b.dead++
			case "receive":
				got[m]++
				if r.counts[i] == 1 {
					first[m]++
				}
			}
		}
	}
	b.groups, b.sent, b.delivered = len(groups), len(sent), len(got)
	for m := range sent {
		if got[m] == 0 {
			b.lost++
		}
		if first[m] > 1 {
			b.doubled++
		}
	}
	for _, n := range got {
		b.again += n - 1
	}
	return b
}

// judgeGroups fails the test unless the history keeps the promises, and describes it.
func judgeGroups(t *testing.T, ops []porcupine.Operation, most int) string {
	t.Helper()
	began, model := time.Now(), fifoPromises(most)
	breaks := 0
	for _, part := range model.Partition(ops) {
		if verdict := porcupine.CheckOperationsTimeout(model, part, 20*time.Second); verdict == porcupine.Ok {
			continue
		}
		if breaks++; breaks > 1 {
			continue
		}
		slices.SortFunc(part, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
		for _, op := range part {
			t.Logf("client %d, %8.3f to %8.3f ms: %+v %+v", op.ClientId, float64(op.Call)/1e6, float64(op.Return)/1e6, op.Input, op.Output)
		}
	}
	b := groupsBalance(ops)
	if breaks > 0 || b.lost > 0 || b.doubled > 0 {
		t.Errorf("%d of %d groups have a history that breaks a promise; of %d messages %d are lost, %d doubled", breaks, b.groups, b.sent, b.lost, b.doubled)
	}
	return fmt.Sprintf("%d operations of %d groups checked in %s: %d messages sent, %d redelivered, %d dead letters, order breaks %d, lost %d, doubled %d",
		len(ops), b.groups, time.Since(began).Round(time.Millisecond), b.sent, b.again, b.dead, breaks, b.lost, b.doubled)
}

// groupClient is one of those who use a FIFO queue at once, and what it holds.
type groupClient struct {
	*bench
	n      int
	queue  string
	groups int
	gives  bool // gives messages up now and then
	h      *history
	random *rand.Rand
	held   []groupDeed
	old    []groupDeed
}

const longestGroupLease = 40 * time.Millisecond

func (c *groupClient) record(call, back int64, d groupDeed, r groupResult) {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	c.h.ops = append(c.h.ops, porcupine.Operation{ClientId: c.n, Input: d, Output: r, Call: call, Return: back})
}

func (c *groupClient) act(t *testing.T, n int) {
	switch k := c.random.IntN(100); {
	case k < 18:
		c.send(t, n)
	case k < 60:
		c.receive(t, 1+c.random.IntN(5), time.Duration(1+c.random.Int64N(longestGroupLease.Milliseconds()))*time.Millisecond)
	case len(c.old) > 0 && k < 66:
		c.use(t, c.old[c.random.IntN(len(c.old))])
	case len(c.held) > 0:
		i := c.random.IntN(len(c.held))
		d := c.held[i]
		c.held = slices.Delete(c.held, i, i+1)
		c.old = append(c.old, d)
		c.use(t, d)
	}
}

// send sends up to three messages in one call, some of them to one group.
func (c *groupClient) send(t *testing.T, n int) {
	batch := make([]queues.Outgoing, 1+c.random.IntN(3))
	for i := range batch {
		batch[i] = queues.Outgoing{Body: fmt.Appendf(nil, "%d-%d-%d", c.n, n, i), GroupID: fmt.Sprint("g", c.random.IntN(c.groups))}
	}
	call := c.h.now()
	out := c.batch(t, c.queue, false, batch...)
	back := c.h.now()
	for i, m := range batch {
		if out[i].Err != nil {
			t.Errorf("send: %v", out[i].Err)
			continue
		}
		c.record(call, back, groupDeed{verb: "send", group: m.GroupID, messages: []string{string(m.Body)}},
			groupResult{result: result{ok: true, at: out[i].Now.UnixMilli()}, sequence: out[i].SequenceNumber})
	}
}

func (c *groupClient) receive(t *testing.T, most int, lease time.Duration) int {
	call := c.h.now()
	list, err := c.Receive(t.Context(), c.tenant, c.queue, queues.ReceiveOptions{Max: most, VisibilityTimeout: &lease})
	back := c.h.now()
	if err != nil {
		t.Errorf("receive: %v", err)
		return 0
	}
	deeds, results := map[string]*groupDeed{}, map[string]*groupResult{}
	for _, m := range list {
		d, r := deeds[m.GroupID], results[m.GroupID]
		if d == nil {
			d = &groupDeed{verb: "receive", group: m.GroupID, span: lease}
			r = &groupResult{result: result{ok: true, at: m.LeaseExpiresAt.Add(-lease).UnixMilli()}}
			deeds[m.GroupID], results[m.GroupID] = d, r
		}
		d.messages, d.receipts, r.counts = append(d.messages, m.Body), append(d.receipts, m.ReceiptHandle), append(r.counts, m.ReceiveCount)
		c.held = append(c.held, groupDeed{group: m.GroupID, messages: []string{m.Body}, receipts: []string{m.ReceiptHandle}})
	}
	for g, d := range deeds {
		c.record(call, back, *d, *results[g])
	}
	return len(list)
}

// use settles what a receipt stands for, or throws the receipt away as a consumer does that dies.
func (c *groupClient) use(t *testing.T, d groupDeed) {
	switch k := c.random.IntN(100); {
	case c.gives && k < 12:
		c.settle(t, queues.DeadLetter, d, 0)
	case k < 45:
		c.settle(t, queues.Ack, d, 0)
	case k < 60:
		c.settle(t, queues.Extend, d, time.Duration(1+c.random.Int64N(longestGroupLease.Milliseconds()))*time.Millisecond)
	case k < 85:
		c.settle(t, queues.Return, d, time.Duration(c.random.IntN(3)*c.random.IntN(20))*time.Millisecond)
	}
}

func (c *groupClient) settle(t *testing.T, verb queues.Verb, d groupDeed, span time.Duration) {
	call := c.h.now()
	out, err := c.Settle(t.Context(), c.tenant, c.queue, []queues.Settlement{{Verb: verb, ReceiptHandle: d.receipts[0], For: span}})
	back := c.h.now()
	if err != nil || out[0].Err != nil && !errors.Is(out[0].Err, queues.ErrReceiptExpired) {
		t.Errorf("%c: %v, %v", verb, out, err)
		return
	}
	d.verb, d.span = map[queues.Verb]string{queues.Ack: "ack", queues.Extend: "extend", queues.Return: "return", queues.DeadLetter: "dead_letter"}[verb], span
	c.record(call, back, d, groupResult{result: told(verb, span, out[0])})
}

// TestG6_PorcupineFindsEveryGroupInOrder has eight clients send to, receive from and settle messages of few groups through
// two servers, let leases end and use old receipts. The history of each group must be one of a queue in which each call
// happens at one instant between its beginning and its end.
func TestG6_PorcupineFindsEveryGroupInOrder(t *testing.T) {
	t.Parallel()
	watchGroups(t, 0)
}

// TestG6_AGroupGoesOnBehindItsDeadLetters is the same where messages leave for a dead-letter queue, the first of a group
// and others: the group goes on behind them in its order, and they arrive in the order in which they left.
func TestG6_AGroupGoesOnBehindItsDeadLetters(t *testing.T) {
	t.Parallel()
	watchGroups(t, 3)
}

// watchGroups judges the history of a FIFO queue. most: how often a message is received before it is a dead letter, 0: the
// queue has none.
func watchGroups(t *testing.T, most int) {
	s := redistest.Start(t, redistest.Options{NoAOF: true})
	servers := []*bench{real(t, engine.Options{URL: s.URL()}, nil)}
	servers = append(servers, real(t, engine.Options{URL: s.URL()}, servers[0]))
	var q, dead string
	if q = servers[0].fifo(t, nil); most > 0 {
		q, dead = servers[0].redriven(t, most, fifoSettings)
	}
	const groups = 12
	h := &history{began: time.Now()}
	var wg sync.WaitGroup
	for i := range historyClients {
		c := &groupClient{bench: servers[i%2], n: i, queue: q, groups: groups, gives: most > 0, h: h, random: rand.New(rand.NewPCG(uint64(i), 6))}
		wg.Go(func() {
			for n := 0; time.Since(h.began) < historyLasts && h.size() < historyOps/2; n++ {
				c.act(t, n)
			}
		})
	}
	wg.Wait()
	c := &groupClient{bench: servers[0], n: historyClients, queue: q, groups: groups, h: h, random: rand.New(rand.NewPCG(9, 9))}
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
	if most > 0 {
		servers[1].arrived(t, q)
		c.look(t, dead)
		servers[1].healthy(t, dead)
	}
	t.Logf("G6: %s", judgeGroups(t, h.ops, most))
}

// look receives all dead letters and records which there are of each group, and why. A group without any has none.
func (c *groupClient) look(t *testing.T, dead string) {
	deeds := map[string]*groupDeed{}
	for i := range c.groups {
		g := fmt.Sprint("g", i)
		deeds[g] = &groupDeed{verb: "dead", group: g}
	}
	call := c.h.now()
	for list := c.bench.receive(t, dead, 100); len(list) > 0; list = c.bench.receive(t, dead, 100) {
		for _, m := range list {
			d := deeds[m.GroupID]
			d.messages, d.receipts = append(d.messages, m.Body), append(d.receipts, string(m.Origin.Reason))
		}
		c.ack(t, dead, list...)
	}
	for _, d := range deeds {
		c.record(call, c.h.now(), *d, groupResult{result: result{ok: true}})
	}
}

// TestTheFIFOHistoryCheckerFindsPlantedFaults plays a FIFO queue of its own that breaks one promise now and then.
func TestTheFIFOHistoryCheckerFindsPlantedFaults(t *testing.T) {
	t.Parallel()
	for fault, lost := range map[string]bool{
		"": false, "gives out what is behind a held one": false, "gives out what is behind a delayed one": false, "swaps two": false,
		"gives out what is held": false, "acknowledges after the lease": false, "refuses a current ack": false, "counts wrong": false,
		"brings back what was acknowledged": false, "numbers go back": false, "the clock goes back": false, "loses a message": true,
		"brings back a dead letter": false, "swaps two dead letters": false, "loses a dead letter": false,
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			ops := toyGroups(fault, rand.New(rand.NewPCG(3, 4)))
			if legal, want := porcupine.CheckOperations(fifoPromises(0), ops), fault == ""; legal != want {
				t.Errorf("%d operations: legal %v, want %v", len(ops), legal, want)
			}
			if b := groupsBalance(ops); (b.lost > 0) != lost || b.doubled > 0 || b.sent < 50 {
				t.Errorf("balance: %+v", b)
			}
		})
	}
}

// TestTheFIFOHistoryCheckerKnowsALateAck: one that was confirmed of a message that is a dead letter came after its last lease.
func TestTheFIFOHistoryCheckerKnowsALateAck(t *testing.T) {
	t.Parallel()
	last := row{most: 3, live: []spot{{message: "m", receipt: "r", held: true, until: 50, count: 3}}}
	first := row{most: 3, live: []spot{{message: "m", receipt: "r", held: true, until: 50, count: 1}}}
	for _, c := range []struct {
		row
		latest int64
		may    bool
	}{{last, 50, true}, {last, 49, false}, {first, 50, false}, {row{most: 3}, 0, true}} {
		d := groupDeed{verb: "late_ack", messages: []string{"m"}, receipts: []string{"r"}}
		if may, _ := c.step(d, groupResult{result: result{ok: true, latest: c.latest}}); may != c.may {
			t.Errorf("%+v, at most %d: %v, want %v", c.live, c.latest, may, c.may)
		}
	}
}

// toyGroups is the history of one group of a plain FIFO queue with one fault, drained at the end.
func toyGroups(fault string, random *rand.Rand) (ops []porcupine.Operation) {
	type message struct {
		spot
		gone bool
	}
	var live []*message
	var receipts []groupDeed
	var dead []string
	byName := map[string]*message{}
	now, real, sequence := int64(1000), int64(0), 0
	planted := func(name string) bool { return fault == name && random.IntN(4) == 0 }
	record := func(d groupDeed, r groupResult) {
		d.group = "g"
		if r.at > 0 && planted("the clock goes back") {
			r.at -= 50
		}
		real += 1000
		r.latest = now + 1
		ops = append(ops, porcupine.Operation{ClientId: random.IntN(8), Input: d, Output: r, Call: real - int64(random.IntN(3000)), Return: real + int64(random.IntN(3000))})
	}
	span := func() time.Duration { return time.Duration(5+random.IntN(40)) * time.Millisecond }
	receive := func(most int, lease time.Duration) {
		d, r := groupDeed{verb: "receive", span: lease}, groupResult{result: result{ok: true, at: now}}
		for _, m := range live {
			blocked := m.until > now
			switch {
			case len(d.messages) == most:
			case blocked && m.held && planted("gives out what is behind a held one"), blocked && !m.held && planted("gives out what is behind a delayed one"):
				continue
			case !blocked || m.held && planted("gives out what is held"):
				m.count++
				m.held, m.until, m.receipt = true, now+lease.Milliseconds(), fmt.Sprint(m.message, "/", len(receipts))
				count := m.count
				if planted("counts wrong") {
					count++
				}
				d.messages, d.receipts, r.counts = append(d.messages, m.message), append(d.receipts, m.receipt), append(r.counts, count)
				receipts = append(receipts, groupDeed{messages: []string{m.message}, receipts: []string{m.receipt}})
				continue
			}
			break
		}
		if n := len(d.messages); n > 0 {
			if n > 1 && planted("swaps two") {
				slices.Reverse(d.messages)
				slices.Reverse(d.receipts)
				slices.Reverse(r.counts)
			}
			record(d, r)
		}
	}
	settle := func(d groupDeed, verb string) {
		m := byName[d.messages[0]]
		mine := !m.gone && m.held && m.receipt == d.receipts[0]
		current := mine && now < m.until
		d.verb = verb
		r := groupResult{result: result{ok: current, at: now}}
		switch verb {
		case "ack":
			r.at = 0
			r.ok = m.gone || current && !planted("refuses a current ack") || mine && planted("acknowledges after the lease")
			if r.ok && !m.gone {
				m.gone = true
				if !planted("brings back what was acknowledged") {
					live = slices.DeleteFunc(live, func(o *message) bool { return o == m })
				} else {
					m.gone = false
				}
			}
		case "dead_letter":
			r.at = 0
			if current && !planted("brings back a dead letter") {
				m.gone = true
				live = slices.DeleteFunc(live, func(o *message) bool { return o == m })
			}
			if current && !planted("loses a dead letter") {
				dead = append(dead, m.message)
			}
			if n := len(dead); current && n > 1 && planted("swaps two dead letters") {
				dead[n-1], dead[n-2] = dead[n-2], dead[n-1]
			}
		case "extend", "return":
			d.span = span()
			if current {
				m.held, m.until = verb == "extend", now+d.span.Milliseconds()
			}
		}
		record(d, r)
	}
	for n := range 3000 {
		now += int64(random.IntN(4))
		switch k := random.IntN(10); {
		case k < 2 && len(live) < 8:
			sequence++
			number := sequence
			if planted("numbers go back") {
				number -= 2
			}
			m := &message{spot: spot{message: fmt.Sprint("m", n)}}
			byName[m.message] = m
			record(groupDeed{verb: "send", messages: []string{m.message}}, groupResult{result: result{ok: true, at: now}, sequence: fmt.Sprintf("%020d", number)})
			if !planted("loses a message") {
				live = append(live, m)
			}
		case k < 6:
			receive(1+random.IntN(4), span())
		case len(receipts) > 0:
			settle(receipts[max(0, len(receipts)-1-random.IntN(8))], []string{"ack", "ack", "extend", "return", "dead_letter"}[random.IntN(5)])
		}
	}
	for range 20 * len(live) { // drain
		now += 1000
		receive(8, time.Second)
		for _, d := range receipts[max(0, len(receipts)-8):] {
			if !byName[d.messages[0]].gone {
				settle(d, "ack")
			}
		}
	}
	why := slices.Repeat([]string{string(queues.Rejected)}, len(dead))
	real += 10_000
	record(groupDeed{verb: "dead", messages: dead, receipts: why}, groupResult{result: result{ok: true}})
	return ops
}
