package queues_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

// traces has a queue keep timelines for an hour.
func traces(s *queues.Settings) { s.TraceRetention = time.Hour }

// traced makes a queue of one of the kinds that keeps timelines for an hour.
func (b *bench) traced(tb testing.TB, kind string, change ...func(*queues.Settings)) string {
	tb.Helper()
	set := func(s *queues.Settings) {
		traces(s)
		if kind == "shards" {
			s.Shards = 3
		}
		for _, f := range change {
			f(s)
		}
	}
	if kind == "fifo" {
		return b.fifo(tb, set)
	}
	return b.queue(tb, set)
}

// kinds of queues.
var kinds = []string{"standard", "fifo", "shards"}

// as is a context of somebody's calls.
func as(tb testing.TB, key string) context.Context {
	return queues.By(tb.Context(), func() queues.Actor { return by(key) })
}

func by(key string) queues.Actor {
	return queues.Actor{Kind: queues.ByTenant, Key: key, Member: "usr_" + key, Address: "192.0.2.7"}
}

func (b *bench) timeline(tb testing.TB, queue string, id engine.ID) queues.Timeline {
	tb.Helper()
	line, err := b.Timeline(tb.Context(), b.tenant, queue, id)
	if err != nil {
		tb.Fatalf("timeline: %v", err)
	}
	return line
}

// life returns the events of a message's timeline, each with why, by whom that is not a tenant, and what was said.
func (b *bench) life(tb testing.TB, queue string, id engine.ID) string {
	tb.Helper()
	var events []string
	for _, s := range b.timeline(tb, queue, id).Steps {
		word := string(s.Event)
		for _, more := range []string{s.Reason, s.Actor.Name, s.Error} {
			if more != "" {
				word += ":" + more
			}
		}
		events = append(events, word)
	}
	return strings.Join(events, " ")
}

func (b *bench) wantLife(t *testing.T, queue, what string, id engine.ID, want string) {
	t.Helper()
	if got := b.life(t, queue, id); got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
	b.sound(t, queue)
}

func (b *bench) noLife(t *testing.T, queue, when string, id engine.ID) {
	t.Helper()
	if line, err := b.Timeline(t.Context(), b.tenant, queue, id); !errors.Is(err, queues.ErrNoTimeline) {
		t.Errorf("%s: got %+v, %v, want that nothing is known", when, line, err)
	}
}

// Each step says when it was, who did it and what there is to say of it, whichever servers made it, and also when the message
// is gone.
func TestTheLifeOfAMessageIsKept(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		for _, kind := range kinds {
			began := b.clock.Now()
			at := func(minutes int) time.Time { return began.Add(time.Duration(minutes) * time.Minute) }
			q := b.traced(t, kind, func(s *queues.Settings) { s.VisibilityTimeout = time.Minute })
			sent, err := b.Send(as(t, "producer"), b.tenant, q, queues.Outgoing{Body: []byte("secret"), GroupID: "g"})
			if err != nil {
				t.Fatal(err)
			}
			receive := func(s *bench) queues.Message {
				t.Helper()
				b.clock.Advance(time.Minute)
				list, err := s.Receive(as(t, "worker"), s.tenant, q, queues.ReceiveOptions{Consumer: "worker 7"})
				if err != nil || len(list) != 1 {
					t.Fatalf("%s: received %v, %v", kind, list, err)
				}
				return list[0]
			}
			settle := func(s *bench, one queues.Settlement) {
				t.Helper()
				if got, err := s.Settle(as(t, "worker"), s.tenant, q, []queues.Settlement{one}); err != nil || got[0].Err != nil {
					t.Fatalf("%s: %v, %v", kind, got, err)
				}
			}
			m := receive(b)
			settle(other, queues.Settlement{Verb: queues.Extend, ReceiptHandle: m.ReceiptHandle, For: time.Hour})
			settle(b, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle, For: time.Minute, Reason: "no|\npaper"})
			receive(other)
			b.clock.Advance(4 * time.Minute)
			settle(other, ackOf(receive(b)))
			want := []queues.Step{
				{At: at(0), Event: queues.EventSent, Actor: by("producer")},
				{At: at(1), Event: queues.EventReceived, Actor: by("worker"), Delivery: 1, LeaseExpiresAt: at(2), Consumer: "worker 7"},
				{At: at(1), Event: queues.EventLeaseExtended, Actor: by("worker"), Delivery: 1, LeaseExpiresAt: at(61)},
				{At: at(1), Event: queues.EventReturned, Actor: by("worker"), Delivery: 1, AvailableAt: at(2), Error: "no|\npaper"},
				{At: at(2), Event: queues.EventReceived, Actor: by("worker"), Delivery: 2, LeaseExpiresAt: at(3), Consumer: "worker 7"},
				{At: at(3), Event: queues.EventLeaseEnded, Delivery: 2},
				{At: at(7), Event: queues.EventReceived, Actor: by("worker"), Delivery: 3, LeaseExpiresAt: at(8), Consumer: "worker 7"},
				{At: at(7), Event: queues.EventAcknowledged, Actor: by("worker"), Delivery: 3},
			}
			if diff := cmp.Diff(queues.Timeline{Steps: want}, other.timeline(t, q, sent.ID)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", kind, diff)
			}
			b.healthy(t, q)
			b.clock.Set(at(7).Add(time.Hour - time.Millisecond))
			b.life(t, q, sent.ID)
			b.clock.Advance(time.Millisecond)
			b.noLife(t, q, kind+": an hour after the last step", sent.ID)
		}
	})
}

// Calls of many travel together, and each step is of the one who took it.
func TestWhoTookAStepIsKnownOfJoinedCalls(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, kind := range kinds {
			q := b.traced(t, kind)
			const many = 24
			var mu sync.Mutex
			want := map[engine.ID]string{} // who sent, received and acknowledged it
			each := func(f func(i int) (engine.ID, error)) {
				t.Helper()
				var wg sync.WaitGroup
				for i := range many {
					wg.Go(func() {
						id, err := f(i)
						if err != nil {
							t.Error(err)
						}
						mu.Lock()
						want[id] += fmt.Sprintf("key%d ", i)
						mu.Unlock()
					})
				}
				wg.Wait()
			}
			each(func(i int) (engine.ID, error) {
				sent, err := b.Send(as(t, fmt.Sprint("key", i)), b.tenant, q, queues.Outgoing{Body: fmt.Append(nil, i), GroupID: fmt.Sprint("g", i)})
				return sent.ID, err
			})
			got := make([]queues.Message, many)
			each(func(i int) (engine.ID, error) {
				list, err := b.Receive(as(t, fmt.Sprint("key", i)), b.tenant, q, queues.ReceiveOptions{})
				if err != nil || len(list) != 1 {
					return engine.ID{}, fmt.Errorf("received %d: %w", len(list), err)
				}
				got[i] = list[0]
				return list[0].ID, nil
			})
			each(func(i int) (engine.ID, error) {
				m := got[(i+1)%many]
				done, err := b.Settle(as(t, fmt.Sprint("key", i)), b.tenant, q, []queues.Settlement{ackOf(m)})
				return m.ID, errors.Join(err, done[0].Err)
			})
			if len(want) != many {
				t.Fatalf("%s: %d messages, want %d", kind, len(want), many)
			}
			for id, keys := range want {
				who := ""
				for _, s := range b.timeline(t, q, id).Steps {
					who += s.Actor.Key + " "
				}
				if who != keys {
					t.Errorf("%s: got %q, want %q", kind, who, keys)
				}
			}
			b.healthy(t, q)
		}
	})
}

// Whatever takes a message out of its queue is the last step of its life.
func TestEveryEndIsKept(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, kind := range kinds {
			q := b.traced(t, kind, func(s *queues.Settings) {
				s.Retention, s.VisibilityTimeout = 10*time.Minute, time.Minute
			})
			send := func(change func(*queues.Outgoing)) engine.ID {
				t.Helper()
				m := queues.Outgoing{Body: fmt.Append(nil, names.Add(1)), GroupID: fmt.Sprint("g", names.Add(1))}
				if change != nil {
					change(&m)
				}
				sent, err := b.Send(t.Context(), b.tenant, q, m)
				if err != nil {
					t.Fatal(err)
				}
				return sent.ID
			}
			plain := func() engine.ID { return send(nil) }
			for what, c := range map[string]struct {
				make func() engine.ID
				end  func(id engine.ID)
				want string
			}{
				"ack":          {plain, func(engine.ID) { b.settle(t, q, ackOf(b.receive(t, q, 1)[0])) }, "sent received acknowledged"},
				"at most once": {plain, func(engine.ID) { b.takeOnce(t, q, 1) }, "sent received acknowledged"},
				"delete": {plain, func(id engine.ID) {
					if err := b.DeleteMessage(t.Context(), b.tenant, q, id); err != nil {
						t.Error(err)
					}
				}, "sent deleted"},
				"purge": {plain, func(engine.ID) {
					b.clock.Advance(time.Second)
					if _, err := b.Purge(as(t, "cleaner"), b.tenant, q); err != nil {
						t.Error(err)
					}
				}, "sent purged"},
				"purge of what is held": {plain, func(engine.ID) {
					b.receive(t, q, 1)
					if _, err := b.Purge(t.Context(), b.tenant, q); err != nil {
						t.Error(err)
					}
				}, "sent received purged"},
				"its own end": {func() engine.ID { return send(func(m *queues.Outgoing) { m.TTL = time.Minute }) },
					func(engine.ID) { b.clock.Advance(time.Minute) }, "sent expired:ttl"},
				"its own end while held": {func() engine.ID { return send(func(m *queues.Outgoing) { m.TTL = time.Minute }) }, func(engine.ID) {
					m := b.receive(t, q, 1)[0]
					b.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: m.ReceiptHandle, For: time.Hour})
					b.clock.Advance(2 * time.Minute)
					b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle, Reason: "late"})
				}, "sent received lease_extended returned:late expired:ttl"},
				"its own end, and its lease": {func() engine.ID { return send(func(m *queues.Outgoing) { m.TTL = 30 * time.Second }) }, func(engine.ID) {
					b.receive(t, q, 1)
					b.clock.Advance(45 * time.Second)
					b.counts(t, q)
					b.clock.Advance(time.Minute)
				}, "sent received lease_ended expired:ttl"},
				"retention": {plain, func(engine.ID) { b.clock.Advance(10 * time.Minute) }, "sent expired:retention"},
				"retention, found by a receive": {plain, func(engine.ID) {
					b.clock.Advance(10 * time.Minute)
					b.receive(t, q, 1)
				}, "sent expired:retention"},
				"retention, found by a delete": {plain, func(id engine.ID) {
					b.clock.Advance(10 * time.Minute)
					_ = b.DeleteMessage(t.Context(), b.tenant, q, id) // it is not there
				}, "sent expired:retention"},
			} {
				id := c.make()
				c.end(id)
				b.wantLife(t, q, kind+", "+what, id, c.want)
				if got := b.counts(t, q); got != [3]int64{} {
					t.Fatalf("%s, %s: left %v", kind, what, got)
				}
			}
			id := plain()
			p := b.planPurge(t, q, 0)
			p.run(t, b)
			b.wantLife(t, q, kind+", a task", id, "sent purged:"+p.work.Task.ID)
			line := b.timeline(t, q, id)
			if last := line.Steps[len(line.Steps)-1]; last.Actor.Kind != queues.ByTask {
				t.Errorf("%s: purged by %+v", kind, last.Actor)
			}
		}
	})
}

// What a full queue pushes out, what is delayed, and what comes back because its consumer has gone.
func TestOtherStepsAreKept(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.traced(t, "standard", capped(1, 0, queues.DropOldest))
		first := b.send(t, q, "first").ID
		b.send(t, q, "second")
		b.wantLife(t, q, "dropped", first, "sent dropped")

		q = b.traced(t, "standard", func(s *queues.Settings) {
			s.Retry = queues.Retry{Backoff: queues.FixedBackoff, Delay: time.Minute, MaxDelay: time.Hour}
		})
		late := b.delayed(t, q, "late", time.Hour)
		b.redelay(t, q, late.ID, queues.Due{After: time.Minute})
		b.clock.Advance(time.Minute)
		m := b.take1(t, q, "late")
		b.Unreceive(t.Context(), b.tenant, q, []queues.Message{m})
		m = b.take1(t, q, "late")
		b.settle(t, q, queues.Settlement{Verb: queues.Fail, ReceiptHandle: m.ReceiptHandle})
		b.clock.Advance(time.Minute)
		b.take1(t, q, "late")
		b.clock.Advance(queues.DefaultSettings().VisibilityTimeout)
		b.wantLife(t, q, "delayed", late.ID, "sent rescheduled received put_back received returned received lease_ended")
		steps := b.timeline(t, q, late.ID).Steps
		var got []time.Duration
		for _, s := range steps {
			if !s.AvailableAt.IsZero() {
				got = append(got, s.AvailableAt.Sub(start))
			}
		}
		if diff := cmp.Diff([]time.Duration{time.Hour, time.Minute, 2 * time.Minute, 3*time.Minute + 30*time.Second}, got); diff != "" {
			t.Errorf("when it was to be available (-want +got):\n%s", diff)
		}

		if _, err := b.SendBatch(as(t, "one"), b.tenant, q, []queues.Outgoing{{Body: []byte("m"), IdempotencyKey: "k"}}, false); err != nil {
			t.Fatal(err)
		}
		again, err := b.Send(as(t, "two"), b.tenant, q, queues.Outgoing{Body: []byte("m"), IdempotencyKey: "k"})
		if err != nil || !again.Replayed {
			t.Fatalf("got %+v, %v", again, err)
		}
		b.wantLife(t, q, "sent twice with one key", again.ID, "sent")

		b.schedule(t, q, "hourly", queues.ScheduleSettings{Every: time.Hour, Missed: queues.MissedSkip, Message: queues.Outgoing{Body: []byte("tick")}})
		b.clock.Advance(time.Hour)
		b.tick(t)
		for _, m := range b.list(t, q) {
			if m.Body == "tick" {
				b.wantLife(t, q, "of a schedule", m.ID, "sent:hourly")
			}
		}
	})
}

// A message is followed from queue to queue: each says where it went, or where it came from.
func TestALifeGoesThroughSeveralQueues(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, kind := range kinds {
			change := func(s *queues.Settings) {
				traces(s)
				switch kind {
				case "fifo":
					fifoSettings(s)
				case "shards":
					s.Shards = 3
				}
			}
			q, dead := b.redriven(t, 1, change)
			if err := b.alter(t, dead, traces); err != nil {
				t.Fatal(err)
			}
			sent := b.post(t, q, "g:rejected", "h:failed")
			m := append(b.receive(t, q, 1), b.receive(t, q, 1)...)
			slices.SortFunc(m, func(x, y queues.Message) int { return -strings.Compare(x.Body, y.Body) })
			b.settle(t, q, queues.Settlement{Verb: queues.DeadLetter, ReceiptHandle: m[0].ReceiptHandle, Reason: "no such customer"},
				queues.Settlement{Verb: queues.Return, ReceiptHandle: m[1].ReceiptHandle})
			b.receive(t, q, 1)
			b.arrived(t, q)
			b.wantLife(t, q, kind+": given up", sent[0].ID, "sent received dead_lettered:rejected:no such customer")
			b.wantLife(t, q, kind+": received too often", sent[1].ID, "sent received returned dead_lettered:max_receives")
			b.wantLife(t, dead, kind+": there", sent[0].ID, "arrived:rejected")

			moved, err := b.Redrive(as(t, "mender"), b.tenant, dead, sent[0].ID, "", func(m *queues.Outgoing) { m.Body = []byte("mended") })
			if err != nil {
				t.Fatal(err)
			}
			now := b.clock.Now()
			want := queues.Step{At: now, Event: queues.EventMoved, Actor: by("mender"), Queue: q, Message: moved.ID, Edited: true}
			if diff := cmp.Diff(want, b.timeline(t, dead, sent[0].ID).Steps[1]); diff != "" {
				t.Errorf("%s: moved (-want +got):\n%s", kind, diff)
			}
			came := queues.Step{At: now, Event: queues.EventArrived, Queue: dead, Message: sent[0].ID, Reason: "moved"}
			if diff := cmp.Diff([]queues.Step{came}, b.timeline(t, q, moved.ID).Steps); diff != "" {
				t.Errorf("%s: back (-want +got):\n%s", kind, diff)
			}
			b.planRedrive(t, dead, queues.RedriveOptions{}).run(t, b)
			if got := b.life(t, dead, sent[1].ID); !strings.HasPrefix(got, "arrived:max_receives moved:task_") {
				t.Errorf("%s: moved by a task: %q", kind, got)
			}
			b.healthy(t, q)
			b.healthy(t, dead)
		}

		full, dead := b.redriven(t, 5, func(s *queues.Settings) { traces(s); capped(1, 0, queues.DeadLetterOldest)(s) })
		first := b.send(t, full, "first").ID
		b.send(t, full, "second")
		b.wantLife(t, full, "pushed out", first, "sent dead_lettered:overflow")
		b.arrived(t, full)
		b.noLife(t, dead, "a queue that keeps none", first)

		from, to := b.forwarding(t, traces)
		if err := b.alter(t, to, traces); err != nil {
			t.Fatal(err)
		}
		id := b.send(t, from, "m").ID
		b.arrived(t, from)
		b.wantLife(t, from, "forwarded", id, "sent forwarded")
		b.wantLife(t, to, "forwarded there", id, "arrived")
		if s := b.timeline(t, from, id).Steps[1]; s.Queue != to {
			t.Errorf("forwarded to %q", s.Queue)
		}

		// Without a queue to which it could go a message comes back.
		lost, dead := b.redriven(t, 1, traces)
		id = b.send(t, lost, "m").ID
		if err := b.Delete(t.Context(), b.tenant, dead, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		b.settle(t, lost, queues.Settlement{Verb: queues.DeadLetter, ReceiptHandle: b.receive(t, lost, 1)[0].ReceiptHandle})
		b.arrived(t, lost)
		b.wantLife(t, lost, "back", id, "sent received dead_lettered:rejected came_back")
	})
}

func TestTimelinesHaveBounds(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.traced(t, "standard", func(s *queues.Settings) { s.Retention = queues.MaxRetention })
		id := b.send(t, q, "poison").ID
		b.fail(t, q, "poison", 60)
		line := b.timeline(t, q, id)
		last := line.Steps[len(line.Steps)-1]
		if len(line.Steps) != 100 || line.LeftOut != 21 || line.Steps[0].Event != queues.EventSent || line.Steps[1].Delivery != 11 || last.Delivery != 60 {
			t.Errorf("got %d steps, %d left out, from %+v, %+v to %+v; want the first, and the last 99 of 121", len(line.Steps), line.LeftOut, line.Steps[0], line.Steps[1], last)
		}
		for range 200 {
			m := b.take1(t, q, "poison")
			b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle, Reason: strings.Repeat("ä", 500)})
		}
		line = b.timeline(t, q, id)
		if got := line.Steps[len(line.Steps)-1].Error; got != strings.Repeat("ä", 128) {
			t.Errorf("an error of 1,000 bytes: got %d", len(got))
		}
		b.healthy(t, q)

		// As long as the message is there its timeline is.
		b.clock.Advance(24 * time.Hour)
		b.send(t, q, "another day")
		b.counts(t, q)
		b.life(t, q, id)
		b.clock.Advance(24 * time.Hour)
		b.settle(t, q, ackOf(b.take1(t, q, "poison")))
		b.clock.Advance(time.Hour)
		b.noLife(t, q, "an hour after its ack", id)
		// Nobody needs to use the queue for it to go.
		b.counts(t, q)
		lives, _ := b.TimelineKeys(b.tenant, q)
		if n := b.engine.Single().HLen(t.Context(), lives).Val(); n != 2 {
			t.Errorf("%d timelines are kept, want that of the message that is there", n-1)
		}
	})
}

// Where there is no room the timelines go to which nothing was added for the longest time, and that is said.
func TestTheOldestTimelinesMakeRoom(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		b.SetTimelineRoom(10_000)
		q := b.traced(t, "standard")
		var ids []engine.ID
		for range 100 {
			b.clock.Advance(time.Second)
			ids = append(ids, b.send(t, q, "m").ID)
		}
		b.settle(t, q, ackOf(b.receive(t, q, 1)[0])) // the first has a step more, and is the newest
		known := 0
		for _, id := range ids {
			if _, err := b.Timeline(t.Context(), b.tenant, q, id); err == nil {
				known++
			} else if e, ok := errors.AsType[*errs.Error](err); !ok || e.Code != "timeline_not_found" || !strings.Contains(e.Message, "were dropped") {
				t.Fatalf("got %v", err)
			}
		}
		if known < 20 || known > 70 {
			t.Errorf("%d timelines are known", known)
		}
		b.life(t, q, ids[99])
		b.life(t, q, ids[0])
		b.noLife(t, q, "the second", ids[1])
		lives, _ := b.TimelineKeys(b.tenant, q)
		var used int
		if _, err := fmt.Sscanf(b.engine.Single().HGet(t.Context(), lives, "").Val(), "%d,", &used); err != nil || used > 10_000 {
			t.Errorf("%d bytes are in use, %v", used, err)
		}
		b.healthy(t, q)
	})
}

func TestTimelinesAreKeptFromWhenOnSomebodyAsks(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		for _, shards := range []int{1, 3} {
			q := b.sharded(t, shards)
			before := b.send(t, q, "before").ID
			b.noLife(t, q, "a queue that keeps none", before)
			b.healthy(t, q)
			keys := len(b.left(t))
			if err := b.alter(t, q, traces); err != nil {
				t.Fatal(err)
			}
			if n := len(b.left(t)); n != keys+2*shards {
				t.Errorf("%d shards: %d keys more, want two of each shard before the first step", shards, n-keys)
			}
			b.noLife(t, q, "what was sent before", before)
			id := other.send(t, q, "m").ID
			other.wantLife(t, q, "the other server knows", id, "sent")
			for range 2 {
				b.settle(t, q, ackOf(b.receive(t, q, 1)[0]))
			}
			b.wantLife(t, q, "what was sent before", before, "received acknowledged")
			refusedWith(t, b.alter(t, q, func(s *queues.Settings) { s.TraceRetention = queues.MaxTraceRetention + time.Second }), "validation_failed", "/trace_retention")
			refusedWith(t, b.alter(t, q, func(s *queues.Settings) { s.TraceRetention = -time.Second }), "validation_failed", "/trace_retention")
			b.life(t, q, id)

			if err := other.alter(t, q, func(s *queues.Settings) { s.TraceRetention = 0 }); err != nil {
				t.Fatal(err)
			}
			b.noLife(t, q, "no more", id)
			if n := len(b.left(t)); n != keys {
				t.Errorf("%d shards: %d keys are left of timelines", shards, n-keys)
			}
			b.healthy(t, q)
			if err := b.alter(t, q, traces); err != nil {
				t.Fatal(err)
			}
			b.noLife(t, q, "from before it was off", id)
			b.send(t, q, "m")
			if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
				t.Fatal(err)
			}
			if left := b.left(t); len(left) != 0 {
				t.Errorf("%d shards: a deleted queue leaves %v", shards, left)
			}
		}
		// What a server has left that died in between, or that does not know timelines, the walk through all queues removes.
		q := b.traced(t, "standard")
		b.send(t, q, "m")
		lives, _ := b.TimelineKeys(b.tenant, q)
		b.alterAs(t, q, func(s *queues.Settings) { s.TraceRetention = 0 }, "configured")
		if err := b.Sweep(t.Context(), b.tenant); err != nil {
			t.Fatal(err)
		}
		if n := b.engine.Single().Exists(t.Context(), lives).Val(); n != 0 {
			t.Error("timelines of a queue that keeps none are left")
		}
	})
}

// alterAs changes settings of a queue by a server that dies at a step.
func (b *bench) alterAs(tb testing.TB, q string, change func(*queues.Settings), step string) {
	tb.Helper()
	died := errors.New("the server died")
	b.SetStep(func(done string) error {
		if done == step {
			return died
		}
		return nil
	})
	defer b.SetStep(func(string) error { return nil })
	if err := b.alter(tb, q, change); !errors.Is(err, died) {
		tb.Fatalf("got %v", err)
	}
}

// Another tenant's queue of the same name knows nothing of it, and neither does another queue.
func TestTimelinesBelongToTheirQueue(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		stranger := newBench(t, b.opt)
		q, neighbour := b.traced(t, "standard"), b.traced(t, "standard")
		set := queues.DefaultSettings()
		traces(&set)
		if _, _, err := stranger.Put(t.Context(), stranger.tenant, q, set, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		id := b.send(t, q, "m").ID
		b.life(t, q, id)
		b.noLife(t, neighbour, "another queue", id)
		stranger.noLife(t, q, "another tenant", id)
		b.noLife(t, q, "no id of this queue", b.engine.NewID(0))
		if _, err := b.Timeline(t.Context(), b.tenant, "none", id); !errors.Is(err, queues.ErrQueueNotFound) {
			t.Errorf("no such queue: got %v", err)
		}
	})
}

// A call whose reply was lost is made again, and is one step.
func TestARepeatedCallIsOneStep(t *testing.T) {
	t.Parallel()
	l := newLossy(t)
	q := l.well.queue(t, traces)
	l.send(t, q, "warm") // the scripts are known
	l.settle(t, q, ackOf(l.receive(t, q, 1)[0]))
	var id engine.ID
	l.lose(t, func() { id = l.send(t, q, "m").ID })
	var m queues.Message
	l.lose(t, func() { m = l.receive(t, q, 1)[0] })
	l.lose(t, func() { l.settle(t, q, ackOf(m)) })
	l.well.wantLife(t, q, "each reply was lost", id, "sent received acknowledged")
}

// The death of Redis forgets no step.
func TestTimelinesOutliveARestartOfRedis(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, redistest.Options{})
	b := newBench(t, engine.Options{URL: r.URL()})
	q := b.traced(t, "standard")
	gone, here := b.send(t, q, "gone").ID, b.send(t, q, "here").ID
	b.settle(t, q, ackOf(b.take1(t, q, "gone")))
	r.Kill9()
	r.Restart()
	other := b.another(t)
	other.wantLife(t, q, "gone", gone, "sent received acknowledged")
	other.wantLife(t, q, "here", here, "sent")
}

// A check finds timelines that say something else than what is.
func TestCheckFindsWrongTimelines(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, c := range []struct {
			want   string
			damage func(r redis.UniversalClient, lives, steps, here, gone string) error
		}{
			{"is here; the last step of its timeline is acknowledged", func(r redis.UniversalClient, lives, _, here, gone string) error {
				return r.HSet(context.Background(), lives, here, r.HGet(context.Background(), lives, gone).Val()).Err()
			}},
			{"does not say why", func(r redis.UniversalClient, lives, _, here, gone string) error {
				return r.HSet(context.Background(), lives, gone, r.HGet(context.Background(), lives, here).Val()).Err()
			}},
			{"the sentinel says 1", func(r redis.UniversalClient, lives, _, _, _ string) error {
				return r.HSet(context.Background(), lives, "", "1,0").Err()
			}},
			{"of which nothing is kept", func(r redis.UniversalClient, lives, _, here, _ string) error {
				return r.HDel(context.Background(), lives, here).Err()
			}},
			{"2 timelines, and 1 times", func(r redis.UniversalClient, _, steps, here, _ string) error {
				return r.ZRem(context.Background(), steps, here).Err()
			}},
			{"The key steps lacks its sentinel", func(r redis.UniversalClient, _, steps, _, _ string) error {
				return r.ZRem(context.Background(), steps, "").Err()
			}},
			{"The key lives lacks its sentinel", func(r redis.UniversalClient, lives, _, _, _ string) error {
				return r.HDel(context.Background(), lives, "").Err()
			}},
		} {
			q := b.traced(t, "standard")
			gone, here := b.send(t, q, "gone").ID, b.send(t, q, "here").ID
			b.settle(t, q, ackOf(b.take1(t, q, "gone")))
			b.healthy(t, q)
			lives, steps := b.TimelineKeys(b.tenant, q)
			if err := c.damage(b.engine.Single(), lives, steps, string(here[:]), string(gone[:])); err != nil {
				t.Fatal(err)
			}
			r, err := b.Check(t.Context(), b.tenant, q)
			if err != nil || !strings.Contains(strings.Join(r.Violations, "\n"), c.want) {
				t.Errorf("got %q, %v, want one with %q", r.Violations, err, c.want)
			}
		}
	})
}
