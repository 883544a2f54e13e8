package queues_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/queues"
)

// redriving is a redrive that a test takes from step to step, as a runner does.
type redriving struct {
	work                 tasks.Work
	looked, done, failed int64
	errors               []tasks.ItemError
}

func (b *bench) planRedrive(tb testing.TB, queue string, opt queues.RedriveOptions) *redriving {
	tb.Helper()
	n, err := b.PlanRedrive(tb.Context(), b.tenant, queue, opt)
	if err != nil {
		tb.Fatalf("plan: %v", err)
	}
	return &redriving{work: tasks.Work{Tenant: b.tenant.String(), Params: n.Params, Step: 1, Most: tasks.MaxItems, Until: b.clock.Now().Add(time.Hour),
		Task: tasks.Task{ID: "task_" + b.engine.NewID(0).String(), Type: n.Type, Queue: queue}}}
}

// step has a server make the next step. It reports whether that was the last one.
func (r *redriving) step(tb testing.TB, b *bench) bool {
	tb.Helper()
	res, err := b.Redriving().Step(tb.Context(), r.work)
	if err != nil {
		tb.Fatalf("step %d: %v", r.work.Step, err)
	}
	r.work.State = res.State
	r.work.Step++
	r.looked, r.done, r.failed, r.errors = r.looked+res.Looked, r.done+res.Done, r.failed+res.Failed, append(r.errors, res.Errors...)
	return res.Finished
}

func (r *redriving) run(tb testing.TB, b *bench) {
	tb.Helper()
	for !r.step(tb, b) {
		if r.work.Step > 10_000 {
			tb.Fatal("the redrive does not end")
		}
	}
}

// dead makes a queue with dead letters, and returns its name and that of its dead-letter queue. The messages are written
// as "group:body".
func (b *bench) dead(tb testing.TB, change func(*queues.Settings), messages ...string) (q, dead string) {
	tb.Helper()
	q, dead = b.redriven(tb, 1, change)
	b.kill(tb, q, messages...)
	return q, dead
}

// kill sends messages to a queue and has them all become dead letters.
func (b *bench) kill(tb testing.TB, q string, messages ...string) {
	tb.Helper()
	b.post(tb, q, messages...)
	for {
		list := b.receive(tb, q, 100)
		if len(list) == 0 {
			break
		}
		give := make([]queues.Settlement, len(list))
		for i, m := range list {
			give[i] = queues.Settlement{Verb: queues.DeadLetter, ReceiptHandle: m.ReceiptHandle, Reason: "because of " + m.Body}
		}
		b.settle(tb, q, give...)
	}
	b.arrived(tb, q)
}

func TestQ133_ARedriveTakesEachMessageBackToItsOwnQueue(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, change := range []func(*queues.Settings){nil, fifoSettings} {
			one, dead := b.dead(t, change, "g:1", "g:2", "h:3")
			two, _ := b.redriven(t, 1, change)
			if _, err := b.Update(t.Context(), b.tenant, two, queues.Condition{}, func(s queues.Settings) (queues.Settings, error) {
				s.Redrive.DeadLetterQueue = dead
				return s, nil
			}); err != nil {
				t.Fatal(err)
			}
			b.kill(t, two, "g:4", "g:5")
			here := queues.Outgoing{Body: []byte("sent here"), GroupID: "g"}
			if change != nil {
				here.DeduplicationID = "here"
			}
			if err := b.one(t, dead, here); err != nil {
				t.Fatal(err)
			}
			r := b.planRedrive(t, dead, queues.RedriveOptions{})
			r.run(t, b)
			if r.done != 5 || r.failed != 1 || r.looked != 6 || len(r.errors) != 1 || r.errors[0].Code != "no_source_queue" {
				t.Errorf("looked at %d, moved %d, failed %d: %+v", r.looked, r.done, r.failed, r.errors)
			}
			for q, want := range map[string][]string{one: {"1", "2", "3"}, two: {"4", "5"}, dead: {"sent here"}} {
				got := bodies(b.receive(t, q, 10))
				slices.Sort(got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("in %s (-want +got):\n%s", q, diff)
				}
				b.healthy(t, q)
			}
		}
	})
}

func TestQ134_AMessageThatWasMovedIsNew(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, change := range []func(*queues.Settings){nil, fifoSettings} {
			q, dead := b.dead(t, change, "g:bad")
			old := b.peek(t, dead, queues.PeekOptions{}).Messages[0]
			b.clock.Advance(time.Hour)
			b.planRedrive(t, dead, queues.RedriveOptions{}).run(t, b)
			got := b.take1(t, q, "bad")
			want := queues.Message{ID: got.ID, Body: "bad", GroupID: "g", State: queues.InFlight, SentAt: b.clock.Now(), ReceiveCount: 1, FirstReceivedAt: b.clock.Now(),
				LeaseExpiresAt: b.clock.Now().Add(30 * time.Second), ReceiptHandle: got.ReceiptHandle, SequenceNumber: got.SequenceNumber, DeduplicationID: got.DeduplicationID,
				Origin: &queues.Origin{Queue: dead, Reason: queues.Moved, At: b.clock.Now(), ID: old.ID}}
			if diff := cmp.Diff(want, got); diff != "" || got.ID == old.ID {
				t.Errorf("moved as %s, was %s (-want +got):\n%s", got.ID, old.ID, diff)
			}
			// It may be received as often again.
			b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: got.ReceiptHandle})
			b.take(t, q, 1)
			b.arrived(t, q)
			if again := b.take1(t, dead, "bad"); again.Origin.Queue != q || again.Origin.Receives != 1 {
				t.Errorf("dead again from %+v", again.Origin)
			}
		}
	})
}

func TestARedriveMovesWhatItIsAskedFor(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, dead := b.dead(t, nil, "a:1", "a:2", "b:3", "b:4", "b:5")
		other := b.queue(t, nil)
		filter := func(text string) *queues.Filter {
			f, err := queues.ParseFilter(text)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		r := b.planRedrive(t, dead, queues.RedriveOptions{To: other, Filter: filter("group:b reason:*because*of*4")})
		r.run(t, b)
		if got := bodies(b.receive(t, other, 10)); !slices.Equal(got, []string{"4"}) || r.looked != 5 {
			t.Errorf("with a filter: moved %q, looked at %d", got, r.looked)
		}
		if n, looked, complete, err := b.CountMatching(t.Context(), b.tenant, dead, filter("group:b")); n != 2 || looked != 4 || !complete || err != nil {
			t.Errorf("matching %d of %d, %t, %v; want 2 of 4", n, looked, complete, err)
		}
		held := b.take(t, dead, 1, "1")[0]
		left := b.peek(t, dead, queues.PeekOptions{State: queues.Available}).Messages
		r = b.planRedrive(t, dead, queues.RedriveOptions{IDs: []engine.ID{left[0].ID, held.ID, b.engine.NewID(0)}})
		for r.work.Most = 1; !r.step(t, b); {
		}
		codes := []string{}
		for _, e := range r.errors {
			codes = append(codes, e.Code)
		}
		if diff := cmp.Diff([]string{"message_in_flight", "message_not_found"}, codes); diff != "" || r.done != 1 {
			t.Errorf("by ids: moved %d (-want +got):\n%s", r.done, diff)
		}
		b.take(t, q, 10, left[0].Body)

		for to, pointer := range map[string]string{dead: "/to", "x.fifo": "/to", "nothing": "/to"} {
			_, err := b.PlanRedrive(t.Context(), b.tenant, dead, queues.RedriveOptions{To: to})
			refusedWith(t, err, "validation_failed", pointer)
		}
		_, err := b.PlanRedrive(t.Context(), b.tenant, dead, queues.RedriveOptions{IDs: make([]engine.ID, queues.MaxRedriveIDs+1)})
		refusedWith(t, err, "validation_failed", "/message_ids")
		if _, err := b.PlanRedrive(t.Context(), b.tenant, "nothing", queues.RedriveOptions{}); !errors.Is(err, queues.ErrQueueNotFound) {
			t.Errorf("of a queue that is not there: %v", err)
		}
	})
}

// What comes back while a redrive goes on is not moved a second time by it.
func TestARedriveMovesAMessageOnce(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, dead := b.dead(t, nil, "g:1", "g:2", "g:3")
		r := b.planRedrive(t, dead, queues.RedriveOptions{})
		for r.work.Most = 1; ; {
			b.clock.Advance(time.Second)
			over := r.step(t, b)
			for _, m := range b.receive(t, q, 10) {
				b.settle(t, q, queues.Settlement{Verb: queues.DeadLetter, ReceiptHandle: m.ReceiptHandle})
			}
			b.arrived(t, q)
			if over {
				break
			}
			if r.work.Step > 20 {
				t.Fatal("the redrive does not end")
			}
		}
		if n := b.counts(t, dead); r.done != 3 || n[0] != 3 {
			t.Errorf("moved %d, and %d are dead again; want 3 and 3", r.done, n[0])
		}
	})
}

// A FIFO group keeps its order: nothing is moved past a message that somebody holds.
func TestARedriveKeepsTheOrderOfAGroup(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, dead := b.dead(t, fifoSettings, "g:1", "g:2", "h:3", "g:4")
		held := b.take1(t, dead, "1")
		r := b.planRedrive(t, dead, queues.RedriveOptions{})
		r.run(t, b)
		b.take(t, q, 10, "3")
		b.settle(t, dead, queues.Settlement{Verb: queues.Return, ReceiptHandle: held.ReceiptHandle})
		b.planRedrive(t, dead, queues.RedriveOptions{}).run(t, b)
		b.take(t, q, 10, "1", "2", "4")
	})
}

// What was held stands in its place again, also when nobody has looked since its lease ended, and what is delayed is not
// passed by those behind it.
func TestARedriveMovesAGroupInItsOrderWhateverWasHeld(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, dead := b.dead(t, fifoSettings, "g:1", "g:2", "g:3")
		held := b.take(t, dead, 2, "1", "2")
		b.settle(t, dead, queues.Settlement{Verb: queues.Return, ReceiptHandle: held[0].ReceiptHandle})
		r := b.planRedrive(t, dead, queues.RedriveOptions{})
		b.clock.Advance(time.Minute) // the lease of "2" ends
		r.run(t, b)
		b.ack(t, q, b.take(t, q, 10, "1", "2", "3")...)

		b.kill(t, q, "h:4", "h:5")
		first := b.take1(t, dead, "4")
		b.settle(t, dead, queues.Settlement{Verb: queues.Return, ReceiptHandle: first.ReceiptHandle, For: time.Minute})
		for _, m := range b.list(t, dead) {
			if m.Body == first.Body {
				continue
			}
			if _, err := b.Redrive(t.Context(), b.tenant, dead, m.ID, "", nil); !errors.Is(err, queues.ErrHeld) {
				t.Errorf("behind one that is delayed: %v", err)
			}
		}
		r = b.planRedrive(t, dead, queues.RedriveOptions{})
		if r.run(t, b); r.done != 0 {
			t.Errorf("moved %d past one that is delayed", r.done)
		}
		b.clock.Advance(time.Minute)
		b.planRedrive(t, dead, queues.RedriveOptions{}).run(t, b)
		b.take(t, q, 10, "4", "5")
		b.healthy(t, dead)
	})
}

// What a redrive with a filter passes is what the documentation says: what does not match, and what is held where an earlier one of
// the group is available. Without a filter it passes neither.
func TestARedriveWithAFilterPassesWhatDoesNotMatch(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, dead := b.dead(t, fifoSettings, "g:1", "g:2", "g:3", "g:4")
		held := b.take(t, dead, 2, "1", "2")
		four, err := queues.ParseFilter("reason:*because*of*4")
		if err != nil {
			t.Fatal(err)
		}
		r := b.planRedrive(t, dead, queues.RedriveOptions{Filter: four})
		if r.run(t, b); r.done != 0 {
			t.Errorf("moved %d past the first of a group, which is held", r.done)
		}
		b.settle(t, dead, queues.Settlement{Verb: queues.Return, ReceiptHandle: held[0].ReceiptHandle})
		b.planRedrive(t, dead, queues.RedriveOptions{Filter: four}).run(t, b)
		b.ack(t, q, b.take(t, q, 10, "4")...)
		b.planRedrive(t, dead, queues.RedriveOptions{}).run(t, b)
		b.ack(t, q, b.take(t, q, 10, "1")...)
		b.settle(t, dead, queues.Settlement{Verb: queues.Return, ReceiptHandle: held[1].ReceiptHandle})
		b.planRedrive(t, dead, queues.RedriveOptions{}).run(t, b)
		b.take(t, q, 10, "2", "3")
		b.healthy(t, dead)
	})
}

func TestOneMessageIsEditedAndMoved(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, change := range []func(*queues.Settings){nil, fifoSettings} {
			q, dead := b.dead(t, change, "g:bad", "g:other")
			ids := map[string]engine.ID{}
			for _, m := range b.peek(t, dead, queues.PeekOptions{}).Messages {
				ids[m.Body] = m.ID
			}
			moved, err := b.Redrive(t.Context(), b.tenant, dead, ids["bad"], "", func(m *queues.Outgoing) { m.Body = []byte("good") })
			if err != nil || moved.Queue != q {
				t.Fatalf("moved to %+v, %v", moved, err)
			}
			got := b.take1(t, q, "good")
			if got.ID != moved.ID || got.Origin == nil || got.Origin.ID != ids["bad"] || got.Origin.Queue != dead || got.GroupID != "g" {
				t.Errorf("arrived as %+v from %+v", got, got.Origin)
			}
			if _, err := b.Redrive(t.Context(), b.tenant, dead, ids["bad"], "", nil); !errors.Is(err, queues.ErrMessageNotFound) {
				t.Errorf("moved again: %v", err)
			}
			held := b.take1(t, dead, "other")
			if _, err := b.Redrive(t.Context(), b.tenant, dead, ids["other"], "", nil); !errors.Is(err, queues.ErrHeld) {
				t.Errorf("a message that somebody holds: %v", err)
			}
			b.settle(t, dead, queues.Settlement{Verb: queues.Return, ReceiptHandle: held.ReceiptHandle})
			if _, err := b.Redrive(t.Context(), b.tenant, dead, ids["other"], "", func(m *queues.Outgoing) { m.Body = make([]byte, queues.MaxMessageSize+1) }); !errors.Is(err, queues.ErrMessageTooLarge) {
				t.Errorf("too large: %v", err)
			}
			if n := b.counts(t, dead); n != [3]int64{1} {
				t.Errorf("after refusals the queue has %v", n)
			}
			b.healthy(t, q)
			b.healthy(t, dead)
		}
		plain := b.queue(t, nil)
		sent := b.send(t, plain, "m")
		if _, err := b.Redrive(t.Context(), b.tenant, plain, sent.ID, "", nil); !errors.Is(err, queues.ErrNoOrigin) {
			t.Errorf("back to nowhere: %v", err)
		}
	})
}

// A message that was moved to a queue which forwards to the one it left is there already.
func TestAMessageIsNotMovedToWhereItIs(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, change := range []func(*queues.Settings){nil, fifoSettings} {
			front, q := b.forwarding(t, change)
			b.post(t, q, "g:m")
			moved, err := b.Redrive(t.Context(), b.tenant, q, b.list(t, q)[0].ID, front, nil)
			if err != nil {
				t.Fatal(err)
			}
			b.arrived(t, q)
			b.arrived(t, front)
			before := b.list(t, q)
			if len(before) != 1 || before[0].ID != moved.ID || before[0].Origin == nil || before[0].Origin.Queue != q {
				t.Fatalf("came round as %+v, want %s from %s", before, moved.ID, q)
			}
			if got, err := b.Redrive(t.Context(), b.tenant, q, moved.ID, "", nil); !errors.Is(err, queues.ErrNoOrigin) {
				t.Errorf("moved back to where it is: %+v, %v", got, err)
			}
			r := b.planRedrive(t, q, queues.RedriveOptions{})
			r.run(t, b)
			if r.done != 0 || r.failed != 1 || len(r.errors) != 1 || r.errors[0].Code != "no_source_queue" {
				t.Errorf("a redrive: moved %d, failed %d: %+v", r.done, r.failed, r.errors)
			}
			if diff := cmp.Diff(before, b.list(t, q)); diff != "" {
				t.Errorf("after that (-want +got):\n%s", diff)
			}
			b.healthy(t, q)
		}
	})
}

// TestG11_ARedriveIsKilledAnywhere stops servers between the steps of a redrive, has steps repeated, and consumers take
// what has arrived meanwhile.
func TestG11_ARedriveIsKilledAnywhere(t *testing.T) {
	test := func(t *testing.T, b *bench) {
		servers := []*bench{b, b.another(t)}
		kills := 0
		for seed, change := range []func(*queues.Settings){nil, fifoSettings} {
			r := rand.New(rand.NewPCG(uint64(seed), 11))
			var messages, want, got []string
			for i := range 150 {
				body := fmt.Sprintf("%03d", i)
				want = append(want, body)
				messages = append(messages, fmt.Sprintf("g%d:%s", i%5, body))
			}
			q, dead := b.dead(t, change, messages...)
			run := b.planRedrive(t, dead, queues.RedriveOptions{})
			run.work.Most = 10
			for over := false; !over; {
				s := servers[r.IntN(2)]
				where := []string{"", "carrying", "brought"}[r.IntN(3)]
				s.SetStep(func(done string) error {
					if done == where {
						return errCrash
					}
					return nil
				})
				if r.IntN(3) == 0 { // what it did was not saved
					before := *run
					run.step(t, s)
					run.work.State, run.work.Step = before.work.State, before.work.Step
					run.looked, run.done, run.failed = before.looked, before.done, before.failed
					kills++
				}
				over = run.step(t, s)
				s.SetStep(func(string) error { return nil })
				for _, m := range b.receive(t, q, 1+r.IntN(20)) {
					got = append(got, m.Body)
					b.ack(t, q, m)
				}
			}
			for _, s := range servers {
				s.arrived(t, dead)
			}
			for list := b.receive(t, q, 100); len(list) > 0; list = b.receive(t, q, 100) {
				got = append(got, bodies(list)...)
				b.ack(t, q, list...)
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" || run.done != 150 || run.failed != 0 {
				t.Errorf("moved %d, failed %d (-want +got):\n%s", run.done, run.failed, diff)
			}
			if err := b.Redriving().End(t.Context(), run.work); err != nil {
				t.Errorf("end: %v", err)
			}
			b.healthy(t, q)
			b.healthy(t, dead)
		}
		t.Logf("300 moves, %d repeated steps, drift 0", kills)
	}
	engines(t, test)
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		test(t, newBench(t, engine.Options{URL: clusterURL(redistest.Cluster(t, 3, 0))}))
	})
}

func TestARedriveEndsWithItsQueues(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.queue(t, nil)
		_, dead := b.dead(t, nil, "g:1")
		r := b.planRedrive(t, dead, queues.RedriveOptions{To: other})
		if err := b.Delete(t.Context(), b.tenant, other, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		b.ForgetDesks()
		if _, err := b.Redriving().Step(t.Context(), r.work); err == nil || !strings.Contains(err.Error(), other) {
			t.Errorf("without its destination: %v", err)
		}
		if n := b.counts(t, dead); n != [3]int64{1} {
			t.Errorf("after that the queue has %v", n)
		}
		r = b.planRedrive(t, dead, queues.RedriveOptions{})
		if err := b.Delete(t.Context(), b.tenant, dead, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Redriving().Step(t.Context(), r.work); !errors.Is(err, queues.ErrQueueNotFound) {
			t.Errorf("without its queue: %v", err)
		}
		if err := b.Redriving().End(t.Context(), r.work); err != nil {
			t.Errorf("end: %v", err)
		}
	})
}

// interrupted is a context that has something happen once, the n-th time that somebody asks whether it has ended.
type interrupted struct {
	context.Context //nolint:containedctx // it is one
	left            atomic.Int64
	f               func()
}

func (c *interrupted) Err() error {
	if c.left.Add(-1) == 0 {
		c.f()
	}
	return c.Context.Err()
}

// The queue is deleted and made anew while it is counted, at whichever moment: the count is of one of them.
func TestACountIsOfOneQueue(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		all, err := queues.ParseFilter("receives<100")
		if err != nil {
			t.Fatal(err)
		}
		many := make([]queues.Outgoing, 2*queues.MaxPeek+1)
		for i := range many {
			many[i] = queues.Outgoing{Body: []byte("x")}
		}
		anew := 0
		for at := int64(1); at <= 12; at++ {
			q := b.queue(t, nil)
			if _, err := b.SendBatch(t.Context(), b.tenant, q, many, false); err != nil {
				t.Fatal(err)
			}
			ctx := &interrupted{Context: t.Context(), f: func() {
				if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
					t.Error(err)
				}
				if _, _, err := b.Put(t.Context(), b.tenant, q, queues.DefaultSettings(), queues.Condition{}); err != nil {
					t.Error(err)
				}
				b.send(t, q, "y")
			}}
			ctx.left.Store(at)
			n, looked, complete, err := b.CountMatching(ctx, b.tenant, q, all)
			if err != nil || n != looked || !complete || n != len(many) && n != 1 {
				t.Errorf("made anew at %d: %d of %d match, complete %t, %v", at, n, looked, complete, err)
			}
			if n == 1 {
				anew++
			}
		}
		if anew == 0 {
			t.Error("no count saw the new queue")
		}
	})
}
