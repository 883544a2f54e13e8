package queues_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/queues"
)

// sorts runs a test on a standard queue, on one with groups and on a FIFO queue. post sends a message, whose body must be
// its own in a FIFO queue; there it has no delay.
func (b *bench) sorts(t *testing.T, test func(t *testing.T, q string, post func(b *bench, body string, delay time.Duration))) {
	for _, sort := range []string{"standard", "groups", "fifo"} {
		t.Run(sort, func(t *testing.T) {
			q := ""
			if sort == "fifo" {
				q = b.fifo(t, nil)
			} else {
				q = b.queue(t, nil)
			}
			test(t, q, func(b *bench, body string, delay time.Duration) {
				t.Helper()
				m := queues.Outgoing{Body: []byte(body), Delay: &delay}
				if sort == "fifo" {
					m.Delay = nil
				}
				if sort != "standard" {
					m.GroupID = fmt.Sprint("group", names.Add(1)%7)
				}
				if _, err := b.Send(t.Context(), b.tenant, q, m); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// purging is a purge that a test takes from step to step, as a runner does.
type purging struct {
	work                tasks.Work
	looked, done, steps int64
}

func (b *bench) planPurge(tb testing.TB, queue string, older time.Duration) *purging {
	tb.Helper()
	n, err := b.PlanPurge(tb.Context(), b.tenant, queue, queues.PurgeOptions{OlderThan: older})
	if err != nil {
		tb.Fatalf("plan: %v", err)
	}
	id := "task_" + b.engine.NewID(0).String()
	return &purging{work: tasks.Work{Tenant: b.tenant.String(), Params: n.Params, Step: 1, Most: tasks.MaxItems, Until: b.clock.Now().Add(time.Hour),
		Task: tasks.Task{ID: id, Type: n.Type, Queue: queue, Progress: tasks.Progress{Total: n.Total}}}}
}

// step has a server make the next step. It reports whether that was the last one.
func (p *purging) step(tb testing.TB, b *bench) bool {
	tb.Helper()
	res, err := b.Purging().Step(tb.Context(), p.work)
	if err != nil {
		tb.Fatalf("step %d: %v", p.steps+1, err)
	}
	if res.Done > tasks.MaxItems || res.Looked > tasks.MaxItems || res.Done > int64(p.work.Most) {
		tb.Fatalf("a step did %d of %d messages, want at most %d", res.Done, res.Looked, p.work.Most)
	}
	p.work.State = res.State
	p.work.Step++
	p.looked, p.done, p.steps = p.looked+res.Looked, p.done+res.Done, p.steps+1
	return res.Finished
}

func (p *purging) run(tb testing.TB, b *bench) {
	tb.Helper()
	for !p.step(tb, b) {
		if p.steps > 10_000 {
			tb.Fatal("the purge does not end")
		}
	}
}

// sound fails the test unless the invariants of a queue hold.
func (b *bench) sound(tb testing.TB, queue string) {
	tb.Helper()
	r, err := b.Check(tb.Context(), b.tenant, queue)
	if err != nil || len(r.Violations) > 0 {
		tb.Errorf("the queue is not sound: %v, %v", r.Violations, err)
	}
}

// all returns the bodies of all messages of a queue, sorted.
func (b *bench) all(tb testing.TB, queue string) []string {
	tb.Helper()
	var out []string
	for cursor := ""; ; {
		page, err := b.Peek(tb.Context(), b.tenant, queue, queues.PeekOptions{Cursor: cursor, Limit: queues.MaxPeek})
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, bodies(page.Messages)...)
		if cursor = page.Next; cursor == "" {
			slices.Sort(out)
			return out
		}
	}
}

func TestAPurgeByAgeTakesWhatIsOldAndNotHeld(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		hour := time.Hour
		send := func(body string, delay time.Duration) {
			t.Helper()
			if _, err := b.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: []byte(body), Delay: &delay}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 4 {
			send(fmt.Sprint("old held ", i), 0)
		}
		if got := b.receive(t, q, 4); len(got) != 4 {
			t.Fatal("nothing to hold")
		} else { // one comes back, two are held for long, one until its time is over
			b.settle(t, q, queues.Settlement{ReceiptHandle: got[0].ReceiptHandle, Verb: queues.Return})
			b.settle(t, q, queues.Settlement{ReceiptHandle: got[1].ReceiptHandle, Verb: queues.Extend, For: 12 * hour},
				queues.Settlement{ReceiptHandle: got[2].ReceiptHandle, Verb: queues.Extend, For: 12 * hour})
		}
		for i := range 250 {
			send(fmt.Sprint("old ", i), 0)
			send(fmt.Sprint("old later ", i), 5*hour)
			send(fmt.Sprint("old due ", i), time.Minute)
		}
		b.clock.Advance(2 * hour)
		send("just old enough", 0)
		b.clock.Advance(hour)
		want := []string{"new", "new later", "old held 1", "old held 2"}
		send("new", 0)
		send("new later", 5*hour)
		for i := range 150 {
			want = append(want, fmt.Sprint("newer ", i))
			send(want[len(want)-1], 0)
		}
		p := b.planPurge(t, q, hour)
		if p.work.Task.Progress.Total != 2+750+1+2+150 {
			t.Errorf("total %d, want %d", p.work.Task.Progress.Total, 905)
		}
		p.run(t, b)
		slices.Sort(want)
		if diff := cmp.Diff(want, b.all(t, q)); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
		if p.done != 753 || p.looked < p.done || p.looked > 905 {
			t.Errorf("%d messages were deleted of %d that were looked at, want 753", p.done, p.looked)
		}
		st, err := b.Stats(t.Context(), b.tenant, q)
		if err != nil || st.Deleted != 753 {
			t.Errorf("the queue counts %d deleted, %v; want 753", st.Deleted, err)
		}
		b.sound(t, q)
	})
}

// In a FIFO queue the old messages of a group go although the first of them is held; what stays keeps its order, and a group
// whose first message was delayed or deleted is received from the next one on.
func TestAPurgeByAgeOfGroups(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		q := b.fifo(t, func(s *queues.Settings) { s.VisibilityTimeout = time.Hour })
		b.post(t, q, "a:a0")
		held := b.take(t, q, 1, "a0")
		var old []string
		for i := range 120 {
			old = append(old, fmt.Sprint("a:a", i+1), fmt.Sprint("b:b", i), fmt.Sprint("c", i, ":c", i))
		}
		for batch := range slices.Chunk(old, 100) {
			b.post(t, q, batch...)
		}
		b.clock.Advance(10 * time.Minute)
		b.post(t, q, "a:a new", "a:a newer", "b:b new", "d:d new", "b:b newer")
		p := b.planPurge(t, q, 5*time.Minute)
		if p.work.Task.Progress.Total != 365 {
			t.Errorf("total %d, want 365", p.work.Task.Progress.Total)
		}
		p.work.Most = 70
		for servers := []*bench{b, other}; !p.step(t, servers[p.steps%2]); {
		}
		if p.done != 360 || p.looked != 365 {
			t.Errorf("%d were deleted of %d that were looked at, want 360 of 365", p.done, p.looked)
		}
		if diff := cmp.Diff([]string{"a new", "a newer", "a0", "b new", "b newer", "d new"}, b.all(t, q)); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
		b.sound(t, q)
		got := bodies(b.receive(t, q, 10))
		slices.Sort(got)
		if diff := cmp.Diff([]string{"b new", "b newer", "d new"}, got); diff != "" {
			t.Errorf("received while the first one of a is held (-want +got):\n%s", diff)
		}
		b.ack(t, q, held...)
		b.take(t, q, 10, "a new", "a newer")

		// With a delay of the queue's own, which holds for all.
		q = b.fifo(t, func(s *queues.Settings) { s.Delay = 10 * time.Minute })
		b.post(t, q, "a:a0", "a:a1", "b:b0")
		b.clock.Advance(6 * time.Minute)
		b.post(t, q, "a:a2", "b:b1")
		p = b.planPurge(t, q, 5*time.Minute)
		p.run(t, b)
		if diff := cmp.Diff([]string{"a2", "b1"}, b.all(t, q)); diff != "" || p.done != 3 {
			t.Errorf("%d delayed messages were deleted; left (-want +got):\n%s", p.done, diff)
		}
		b.sound(t, q)
		b.clock.Advance(10 * time.Minute)
		got = bodies(b.receive(t, q, 10))
		slices.Sort(got)
		if diff := cmp.Diff([]string{"a2", "b1"}, got); diff != "" {
			t.Errorf("received once the delay is over (-want +got):\n%s", diff)
		}
	})
}

// A consumer that waits gets what stood behind the messages that were purged.
func TestAPurgeWakesWhoWaits(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, func(s *queues.Settings) { s.Delay = time.Hour })
		b.post(t, q, "a:old")
		noDelay := func(s queues.Settings) (queues.Settings, error) { s.Delay = 0; return s, nil }
		if _, err := b.Update(t.Context(), b.tenant, q, queues.Condition{}, noDelay); err != nil {
			t.Fatal(err)
		}
		b.clock.Advance(time.Minute)
		b.post(t, q, "a:new")
		if got := b.receive(t, q, 1); len(got) != 0 {
			t.Fatalf("got %v, want that the first message is delayed", bodies(got))
		}
		p := b.planPurge(t, q, time.Minute)
		waiting := b.wait(t.Context(), q, time.Minute)
		b.awaitParked(t, q, 1)
		p.run(t, b)
		(<-waiting).want(t, "new")
	})
}

// A step that is done twice, on this server or another one, has its effect once and answers the same.
func TestG11_AStepOfAPurgeHasItsEffectOnce(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		b.sorts(t, func(t *testing.T, q string, post func(*bench, string, time.Duration)) {
			for i := range 730 {
				post(b, fmt.Sprint(i), 0)
			}
			b.clock.Advance(time.Minute)
			p := b.planPurge(t, q, time.Minute)
			rng := rand.New(rand.NewPCG(1, 2))
			var works []tasks.Work // all that were ever asked for
			for over := false; !over; {
				p.work.Most = 1 + rng.IntN(tasks.MaxItems)
				works = append(works, p.work)
				first, err := b.Purging().Step(t.Context(), p.work)
				if err != nil {
					t.Fatal(err)
				}
				if rng.IntN(2) == 0 { // it died before it saved; meanwhile others send
					post(b, fmt.Sprint("new", names.Add(1)), 0)
				}
				if rng.IntN(5) == 0 { // or somebody asked for its end
					p.work.Most = 0
				}
				again, err := other.Purging().Step(t.Context(), p.work)
				if diff := cmp.Diff(first, again); diff != "" || err != nil {
					t.Fatalf("the same step again: %v (-first +again):\n%s", err, diff)
				}
				p.work.State, over = again.State, again.Finished
				p.work.Step++
				p.done += again.Done
				// What a server does that sleeps through a later step.
				late := works[rng.IntN(len(works))]
				if late.Step != works[len(works)-1].Step {
					if _, err := b.Purging().Step(t.Context(), late); !errors.Is(err, engine.ErrUnknown) {
						t.Fatalf("a late step: got %v, want %v", err, engine.ErrUnknown)
					}
				}
			}
			st, err := b.Stats(t.Context(), b.tenant, q)
			if err != nil || p.done != 730 || st.Deleted != 730 {
				t.Errorf("%d deleted by the purge, %d by the queue, %v; want 730", p.done, st.Deleted, err)
			}
			for _, m := range b.all(t, q) {
				if !strings.HasPrefix(m, "new") {
					t.Errorf("%q is left", m)
				}
			}
			b.sound(t, q)
			t.Logf("%d steps", len(works))
		})
	})
}

// After the end of its lease a server deletes nothing, not even when the task is over and its trace is gone.
func TestG11_ALatePurgeDeletesNothing(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		for range 150 {
			b.send(t, q, "m")
		}
		b.clock.Advance(time.Minute)
		p := b.planPurge(t, q, time.Second)
		p.step(t, b)
		for range 2 { // it may be repeated
			if err := b.Purging().End(t.Context(), p.work); err != nil {
				t.Fatal(err)
			}
		}
		fields, err := b.engine.Single().HKeys(t.Context(), b.Keys(b.tenant, q)["h"]).Result()
		if err != nil || slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, "T") }) {
			t.Errorf("the head has %q, %v; want no trace of the task", fields, err)
		}
		b.clock.Advance(time.Hour + time.Second)
		if _, err := b.Purging().Step(t.Context(), p.work); !errors.Is(err, engine.ErrUnknown) {
			t.Errorf("after the lease: got %v, want %v", err, engine.ErrUnknown)
		}
		if got := b.counts(t, q); got != [3]int64{50, 0, 0} {
			t.Errorf("the queue has %v, want 50 available", got)
		}
	})
}

// A queue that is deleted, or made anew under its name, is not touched any more, on whichever server.
func TestAPurgeLeavesANewQueueOfThatNameAlone(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		q := b.queue(t, nil)
		for range 150 {
			b.send(t, q, "m")
		}
		b.clock.Advance(time.Minute)
		p := b.planPurge(t, q, time.Second)
		p.step(t, b)
		if err := other.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		for _, again := range []bool{false, true} {
			if again {
				if _, _, err := other.Put(t.Context(), b.tenant, q, queues.DefaultSettings(), queues.Condition{}); err != nil {
					t.Fatal(err)
				}
				other.send(t, q, "new")
				b.clock.Advance(time.Minute)
			}
			for _, s := range []*bench{b, other} {
				if _, err := s.Purging().Step(t.Context(), p.work); !errors.Is(err, queues.ErrQueueNotFound) {
					t.Errorf("made anew %v: got %v, want %v", again, err, queues.ErrQueueNotFound)
				}
				if err := s.Purging().End(t.Context(), p.work); err != nil {
					t.Errorf("made anew %v: end: %v", again, err)
				}
			}
		}
		if got := b.counts(t, q); got != [3]int64{1, 0, 0} {
			t.Errorf("the new queue has %v, want its message", got)
		}
		if _, err := b.PlanPurge(t.Context(), b.tenant, "nothing", queues.PurgeOptions{OlderThan: time.Second}); !errors.Is(err, queues.ErrQueueNotFound) {
			t.Errorf("plan for no queue: got %v, want %v", err, queues.ErrQueueNotFound)
		}
	})
}

// Consumers and senders are at work while the purge goes on: what it deletes, what they acknowledge and what is left is
// all there was, and nothing old is left that nobody ever held.
func TestAPurgeAmongConsumers(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		rng := rand.New(rand.NewPCG(3, 4))
		for round := range 3 {
			b.sorts(t, func(t *testing.T, q string, post func(*bench, string, time.Duration)) {
				old, touched := map[string]bool{}, map[string]bool{}
				for i := range 200 {
					delay := time.Duration(rng.IntN(3)) * 20 * time.Minute
					body := fmt.Sprint("old", i)
					post(b, body, delay)
					old[body] = true
				}
				b.clock.Advance(10 * time.Minute)
				p := b.planPurge(t, q, time.Minute)
				p.work.Until = b.clock.Now().Add(24 * time.Hour)
				var held []queues.Message
				acked, sent := int64(0), 0
				for over := false; !over; {
					p.work.Most = 1 + rng.IntN(60)
					for range rng.IntN(4) {
						switch rng.IntN(5) {
						case 0, 1:
							got := other.receive(t, q, 1+rng.IntN(20))
							held = append(held, got...)
							for _, m := range got {
								touched[m.Body] = true
							}
						case 2:
							post(b, fmt.Sprint("new", names.Add(1)), 0)
							sent++
						case 3:
							for _, m := range held[:len(held)/2] {
								verb := []queues.Verb{queues.Ack, queues.Return}[rng.IntN(2)]
								out := other.settle(t, q, queues.Settlement{ReceiptHandle: m.ReceiptHandle, Verb: verb})
								if verb == queues.Ack && out[0].Err == nil {
									acked++
								}
							}
							held = held[len(held)/2:]
						case 4:
							b.clock.Advance(time.Duration(rng.IntN(10)) * time.Minute)
						}
					}
					over = p.step(t, []*bench{b, other}[rng.IntN(2)])
				}
				left := map[string]bool{}
				for _, body := range b.all(t, q) {
					if strings.HasPrefix(body, "new") {
						continue
					}
					if left[body] || !old[body] {
						t.Errorf("round %d: %q is there twice or was never sent", round, body)
					}
					left[body] = true
				}
				for body := range left {
					if !touched[body] {
						t.Errorf("round %d: %q was never held and is left", round, body)
					}
				}
				st, err := b.Stats(t.Context(), b.tenant, q)
				if total := st.Available + st.InFlight + st.Delayed; err != nil || total+st.Deleted != int64(200+sent) || st.Deleted < p.done {
					t.Errorf("round %d: %+v, %v; %d were sent, the purge deleted %d and %d were acknowledged", round, st, err, 200+sent, p.done, acked)
				}
				if st.Deleted-p.done != acked {
					t.Errorf("round %d: %d deleted, of which %d by the purge; %d were acknowledged", round, st.Deleted, p.done, acked)
				}
				b.sound(t, q)
			})
		}
	})
}

// A server begins, another one goes on after a death at any point, and the count is exact. The other tenant has a queue
// of the same name.
func TestG11_APurgeIsFinishedByAnyServer(t *testing.T) {
	test := func(t *testing.T, opt engine.Options) {
		t.Parallel()
		b := newBench(t, opt)
		stranger, other := newBench(t, opt), b.another(t)
		for round := range 3 {
			name := fmt.Sprint("orders", round)
			for _, s := range []*bench{b, stranger} {
				if _, _, err := s.Put(t.Context(), s.tenant, name, queues.DefaultSettings(), queues.Condition{}); err != nil {
					t.Fatal(err)
				}
				for i := range 434 {
					s.send(t, name, fmt.Sprint(i))
				}
			}
			b.clock.Advance(time.Hour)
			store := tasks.New(b.engine, b.clock)
			n, err := b.PlanPurge(t.Context(), b.tenant, name, queues.PurgeOptions{OlderThan: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			// The step that takes effect is the last one that this server is heard of.
			steps := 0
			dying := func(ctx context.Context, w tasks.Work) (tasks.Result, error) {
				if steps > round {
					return tasks.Result{}, engine.ErrUnavailable
				}
				if steps++; steps <= round {
					return b.Purging().Step(ctx, w)
				}
				_, _ = b.Purging().Step(ctx, w)
				return tasks.Result{}, engine.ErrUnavailable
			}
			task, err := store.Start(t.Context(), b.tenant.String(), n)
			if err != nil {
				t.Fatal(err)
			}
			serve := func(s *bench, kind tasks.Kind, enough func(tasks.Task) bool) tasks.Task {
				t.Helper()
				r := tasks.NewRunner(tasks.Config{Store: tasks.New(s.engine, b.clock), Kinds: map[string]tasks.Kind{queues.PurgeTask: kind}, Clock: b.clock})
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan struct{})
				go func() {
					defer close(done)
					_ = r.Run(ctx)
				}()
				var got tasks.Task
				until(t, func() bool {
					if got, err = store.Get(t.Context(), b.tenant.String(), task.ID); err != nil {
						t.Fatal(err)
					}
					return enough(got)
				})
				cancel()
				<-done
				return got
			}
			serve(b, tasks.Kind{Step: dying}, func(tasks.Task) bool { return b.counts(t, name)[0] == int64(434-100*(round+1)) })
			b.clock.Advance(time.Minute)
			got := serve(other, other.Purging(), func(got tasks.Task) bool { return got.Status == tasks.Succeeded })
			if p := got.Progress; p.Done != 434 || p.Looked != 434 || p.Total != 434 {
				t.Errorf("after a death in step %d: %+v, want 434 done", round+1, p)
			}
			if got := b.counts(t, name); got != [3]int64{} {
				t.Errorf("the queue has %v", got)
			}
			if got := stranger.counts(t, name); got != [3]int64{434, 0, 0} {
				t.Errorf("the other tenant's queue has %v", got)
			}
			if list, _, err := store.List(t.Context(), stranger.tenant.String(), tasks.Filter{}, 10, ""); err != nil || len(list) != 0 {
				t.Errorf("the other tenant sees %v, %v", list, err)
			}
			b.sound(t, name)
		}
	}
	t.Parallel()
	// Runners work for all tenants by their own clock, so they have a Redis of their own.
	t.Run("redis", func(t *testing.T) { test(t, engine.Options{URL: redistest.Start(t, redistest.Options{}).URL()}) })
	t.Run("memory", func(t *testing.T) { test(t, engine.Options{URL: redistest.Memory(t), Memory: true}) })
}
