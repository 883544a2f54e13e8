package queues_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/sluicemq/sluice/queues"
)

// deed is what a client did with one message; a batch is one deed for each of its messages.
type deed struct {
	verb    string // send, receive, ack, extend or return
	message string
	receipt string        // what a receive got, and what the others presented
	span    time.Duration // of the delay, the lease or the extension
}

// result is what the client was told.
type result struct {
	ok     bool
	at     int64 // by the queue clock, ms; 0 where the answer does not say
	latest int64 // by the same clock, when the client had its answer
	count  int   // of a receive
}

// fate is one message as the checker follows it through a history.
type fate struct {
	phase   int    // 0 not sent, 1 there, 2 acknowledged
	receipt string // of its newest delivery
	held    bool
	until   int64 // nobody may receive it before, ms
	count   int
	clock   int64 // of the last deed whose time is known
}

// step says what comes of a deed in a history in which deeds happen one after the other, and whether it may happen so.
// The promises: nobody receives a message before its delay or the lease of another has ended (G3), an old receipt
// changes nothing (G4), an acknowledged message is never given out again (G5).
func (s fate) step(d deed, r result) (bool, fate) {
	if r.ok && r.at > 0 {
		if r.at < s.clock {
			return false, s // the queue clock never goes back
		}
		s.clock = r.at
	}
	current := s.phase == 1 && d.receipt == s.receipt
	ends := r.at + d.span.Milliseconds()
	switch d.verb {
	case "send":
		if !r.ok {
			return true, s
		}
		ok := s.phase == 0
		s.phase, s.until = 1, ends
		return ok, s
	case "receive":
		ok := s.phase == 1 && r.at >= s.until && r.count == s.count+1
		s.receipt, s.held, s.until, s.count = d.receipt, true, ends, r.count
		return ok, s
	case "ack":
		if !r.ok {
			return s.phase == 1 && !current, s // refused only for the sake of somebody else
		}
		ok := s.phase == 2 || current
		s.phase = 2
		return ok, s
	}
	if !r.ok { // extend, return
		return !current || !s.held || r.latest >= s.until, s
	}
	ok := current && s.held && r.at < s.until
	s.held, s.until = d.verb == "extend", ends
	return ok, s
}

// promises is the model of a standard queue: a product of messages that have nothing to do with each other.
func promises() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byMessage := map[string][]porcupine.Operation{}
			for _, op := range history {
				m := op.Input.(deed).message
				byMessage[m] = append(byMessage[m], op)
			}
			parts := make([][]porcupine.Operation, 0, len(byMessage))
			for _, ops := range byMessage {
				parts = append(parts, ops)
			}
			return parts
		},
		Init: func() any { return fate{} },
		Step: func(state, input, output any) (bool, any) {
			return state.(fate).step(input.(deed), output.(result))
		},
	}
}

// history is what clients did and were told, in real time.
type history struct {
	mu    sync.Mutex
	ops   []porcupine.Operation
	began time.Time
}

func (h *history) now() int64 { return int64(time.Since(h.began)) }

// size returns how many operations there are.
func (h *history) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ops)
}

func (h *history) add(client int, call int64, d deed, r result) {
	h.record(client, call, h.now(), d, r)
}

func (h *history) record(client int, call, back int64, d deed, r result) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: d, Output: r, Call: call, Return: back})
}

// balance is the check of a whole queue that has been drained: what was acknowledged and never came out is lost, and
// what came out and was never sent is unexpected.
type balance struct{ sent, delivered, again, lost, unexpected int }

func (h *history) balance() (b balance) {
	sent, got := map[string]bool{}, map[string]int{}
	for _, op := range h.ops {
		switch d, r := op.Input.(deed), op.Output.(result); {
		case d.verb == "send" && r.ok:
			sent[d.message] = true
		case d.verb == "receive":
			got[d.message]++
		}
	}
	b.sent, b.delivered = len(sent), len(got)
	for m := range sent {
		if got[m] == 0 {
			b.lost++
		}
	}
	for m, n := range got {
		b.again += n - 1
		if !sent[m] {
			b.unexpected++
		}
	}
	return b
}

// judge fails the test unless the history keeps the promises, and describes it.
func (h *history) judge(t *testing.T) string {
	t.Helper()
	began := time.Now()
	verdict := porcupine.CheckOperationsTimeout(promises(), h.ops, 30*time.Second)
	if verdict != porcupine.Ok {
		t.Errorf("the history of %d operations is %s: some promise is broken", len(h.ops), verdict)
		h.explain(t)
	}
	b := h.balance()
	if b.lost > 0 || b.unexpected > 0 {
		t.Errorf("%d of %d messages are lost and %d were never sent", b.lost, b.sent, b.unexpected)
	}
	return fmt.Sprintf("%d operations checked in %s: %d messages sent, %d redelivered, lost %d, unexpected %d",
		len(h.ops), time.Since(began).Round(time.Millisecond), b.sent, b.again, b.lost, b.unexpected)
}

// explain logs the first message whose history is not legal.
func (h *history) explain(t *testing.T) {
	t.Helper()
	model := promises()
	for _, ops := range model.Partition(h.ops) {
		if porcupine.CheckOperations(model, ops) {
			continue
		}
		slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
		for _, op := range ops {
			t.Logf("client %d, %8.3f to %8.3f ms: %+v %+v", op.ClientId, float64(op.Call)/1e6, float64(op.Return)/1e6, op.Input, op.Output)
		}
		return
	}
}

// TestTheHistoryCheckerFindsPlantedFaults plays a queue of its own that breaks one promise now and then: the checker
// must see each kind of fault, and none where there is none.
func TestTheHistoryCheckerFindsPlantedFaults(t *testing.T) {
	t.Parallel()
	for fault, lost := range map[string]bool{
		"": false, "gives out what is held": false, "gives out a millisecond early": false, "gives out what was acknowledged": false,
		"an old receipt acknowledges": false, "an old receipt extends": false, "an old receipt returns": false,
		"extends an ended lease": false, "refuses a current ack": false, "counts wrong": false, "the clock goes back": false,
		"ignores a delay": false, "loses a message": true,
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			h := toyHistory(fault, rand.New(rand.NewPCG(1, 2)))
			legal := porcupine.CheckOperations(promises(), h.ops)
			if want := fault == "" || lost; legal != want {
				t.Errorf("%d operations: legal %v, want %v", len(h.ops), legal, want)
			}
			if b := h.balance(); (b.lost > 0) != lost || b.unexpected > 0 || b.sent < 100 {
				t.Errorf("balance: %+v", b)
			}
		})
	}
}

// toyHistory is the history of a plain queue with one fault. Eight clients take turns at random; their calls overlap in
// the history although the queue serves them one after the other.
func toyHistory(fault string, random *rand.Rand) *history {
	type message struct {
		name, receipt string
		held          bool
		until         int64
		count         int
		gone          bool
	}
	h := &history{}
	var queue []*message
	var receipts []deed
	now, real := int64(1000), int64(0)
	// planted says whether to commit the fault here, if it is this one.
	planted := func(name string) bool { return fault == name && random.IntN(10) == 0 }
	record := func(d deed, r result) {
		if planted("the clock goes back") {
			r.at -= 50
		}
		real += 1000
		r.latest = now + 1
		h.record(random.IntN(8), real-int64(random.IntN(3000)), real+int64(random.IntN(3000)), d, r)
	}
	span := func() time.Duration { return time.Duration(20+random.IntN(100)) * time.Millisecond }
	receive := func(m *message, lease time.Duration) {
		m.count++
		m.receipt = fmt.Sprint(m.name, "/", len(receipts))
		m.held, m.until = true, now+lease.Milliseconds()
		count := m.count
		if planted("counts wrong") {
			count++
		}
		record(deed{"receive", m.name, m.receipt, lease}, result{ok: true, at: now, count: count})
		receipts = append(receipts, deed{message: m.name, receipt: m.receipt})
	}
	find := func(name string) *message {
		for _, m := range queue {
			if m.name == name {
				return m
			}
		}
		return nil
	}
	for n := range 4000 {
		now += int64(random.IntN(5))
		switch k := random.IntN(10); {
		case k < 2:
			m := &message{name: fmt.Sprint("m", n), until: now}
			d := deed{"send", m.name, "", 0}
			if random.IntN(3) == 0 {
				d.span = span()
				m.until = now + d.span.Milliseconds()
				if fault == "ignores a delay" {
					m.until = now
				}
			}
			record(d, result{ok: true, at: now})
			if !planted("loses a message") {
				queue = append(queue, m)
			}
		case k < 6:
			for _, m := range queue {
				if m.gone && !planted("gives out what was acknowledged") {
					continue
				}
				due := m.until
				if fault == "gives out a millisecond early" {
					due--
				}
				if now >= due || !m.gone && planted("gives out what is held") {
					receive(m, span())
					break
				}
			}
		case len(receipts) > 0:
			d := receipts[max(0, len(receipts)-1-random.IntN(30))]
			m := find(d.message)
			current := !m.gone && m.receipt == d.receipt
			over := now >= m.until || !m.held
			r := result{at: now}
			switch random.IntN(4) {
			case 0, 1:
				d.verb, r.at = "ack", 0
				r.ok = (current || m.gone) && !planted("refuses a current ack") || !m.gone && planted("an old receipt acknowledges")
				m.gone = m.gone || r.ok
			case 2:
				d.verb, d.span = "extend", span()
				r.ok = current && (!over || m.held && planted("extends an ended lease")) || !current && !m.gone && m.held && planted("an old receipt extends")
				if r.ok {
					m.until = now + d.span.Milliseconds()
				}
			default:
				d.verb, d.span = "return", time.Duration(random.IntN(2))*span()
				r.ok = current && !over || !current && !m.gone && m.held && planted("an old receipt returns")
				if r.ok {
					m.held, m.until = false, now+d.span.Milliseconds()
				}
			}
			record(d, r)
		}
	}
	for range 2 { // drain
		now += 1000
		for _, m := range queue {
			if !m.gone {
				receive(m, time.Second)
				m.gone = true
				record(deed{"ack", m.name, m.receipt, 0}, result{ok: true})
			}
		}
	}
	return h
}

// told is what a client is told of a verb.
func told(verb queues.Verb, span time.Duration, out queues.Settled) result {
	r := result{ok: out.Err == nil, latest: time.Now().UnixMilli() + 1}
	switch {
	case out.Err != nil:
	case verb == queues.Extend:
		r.at = out.LeaseExpiresAt.Add(-span).UnixMilli()
	case verb == queues.Return:
		r.at = out.AvailableAt.Add(-span).UnixMilli()
	}
	return r
}
