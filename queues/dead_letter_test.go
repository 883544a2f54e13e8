package queues_test

import (
	"bytes"
	"context"
	"crypto/sha256"
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
	"github.com/sluicemq/sluice/queues"
)

// redriven makes a queue with a dead-letter queue, and returns their names.
func (b *bench) redriven(tb testing.TB, most int, change func(*queues.Settings)) (q, dead string) {
	tb.Helper()
	suffix := ""
	set := queues.DefaultSettings()
	if change != nil {
		change(&set)
	}
	if set.IsFIFO() {
		suffix = ".fifo"
	}
	n := names.Add(1)
	q, dead = fmt.Sprintf("q%d%s", n, suffix), fmt.Sprintf("q%d-dlq%s", n, suffix)
	set.Redrive = queues.Redrive{DeadLetterQueue: dead, MaxReceives: most}
	if _, _, err := b.Put(tb.Context(), b.tenant, q, set, queues.Condition{}); err != nil {
		tb.Fatalf("create queue: %v", err)
	}
	return q, dead
}

func fifoSettings(s *queues.Settings) { s.FIFO.ContentBased = true }

// arrived brings what is on its way to other queues there.
func (b *bench) arrived(tb testing.TB, q string) {
	tb.Helper()
	until(tb, func() bool {
		b.Carry(tb, b.tenant, q)
		st, err := b.Stats(tb.Context(), b.tenant, q)
		return err == nil && st.Moving == 0
	})
}

// fail receives a message n times and returns it each time.
func (b *bench) fail(tb testing.TB, q, body string, n int) (last queues.Message) {
	tb.Helper()
	for range n {
		last = b.take1(tb, q, body)
		b.settle(tb, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: last.ReceiptHandle})
	}
	return last
}

func (b *bench) take1(tb testing.TB, q, body string) queues.Message {
	tb.Helper()
	got := b.receive(tb, q, 1)
	if len(got) != 1 || got[0].Body != body {
		tb.Fatalf("received %q, want %q", bodies(got), body)
	}
	return got[0]
}

func TestQ123_AMessageLeavesWhenItWasReceivedAsOftenAsItMayBe(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, change := range []func(*queues.Settings){nil, fifoSettings} {
			for _, most := range []int{1, 3} {
				q, dead := b.redriven(t, most, change)
				b.post(t, q, "g:bad", "h:good")
				timeouts := most - most/2
				for i := range most {
					got := b.receive(t, q, 2)
					if len(got) != 2 {
						t.Fatalf("receive %d of %d found %q, want both", i+1, most, bodies(got))
					}
					for _, m := range got {
						switch {
						case m.Body == "good":
							b.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: m.ReceiptHandle, For: time.Second})
						case i < timeouts:
							b.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: m.ReceiptHandle, For: time.Second})
						default:
							b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle})
						}
					}
					b.clock.Advance(time.Second)
					if n := b.counts(t, dead); n != [3]int64{} {
						t.Errorf("after %d of %d receives the dead-letter queue has %v", i+1, most, n)
					}
				}
				if got := b.receive(t, q, 2); len(got) != 0 {
					t.Errorf("receive %d found %q, want nothing", most+1, bodies(got))
				}
				b.arrived(t, q)
				st, err := b.Stats(t.Context(), b.tenant, q)
				if err != nil || st.DeadLettered != 2 || st.Available+st.InFlight != 0 {
					t.Errorf("the queue has %+v, %v; want 2 dead letters and nothing else", st, err)
				}
				if n := b.counts(t, dead); n != [3]int64{2} {
					t.Errorf("the dead-letter queue has %v, want two messages", n)
				}
				b.healthy(t, q)
				b.healthy(t, dead)
			}
		}
	})
}

func TestQ124_ADeadLetterKeepsWhatItIs(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, change := range []func(*queues.Settings){nil, fifoSettings} {
			q, dead := b.redriven(t, 1, change)
			out := queues.Outgoing{Body: []byte("bad"), ContentType: "text/x", GroupID: "g", TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
				Attributes: []queues.Attribute{{Name: "n", Type: "Number", Value: "7"}}}
			sent, err := b.Send(t.Context(), b.tenant, q, out)
			if err != nil {
				t.Fatal(err)
			}
			first := b.clock.Now()
			b.clock.Advance(time.Minute)
			m := b.take1(t, q, "bad")
			received := b.clock.Now()
			b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle, Reason: "the bank,1|is\x00 closed\n"})
			b.clock.Advance(time.Minute)
			b.take(t, q, 1)
			left := b.clock.Now()
			b.arrived(t, q)
			for _, look := range []func() queues.Message{
				func() queues.Message { return b.peek(t, dead, queues.PeekOptions{}).Messages[0] },
				func() queues.Message { return b.take1(t, dead, "bad") },
			} {
				got := look()
				want := queues.Message{
					ID: sent.ID, Body: "bad", ContentType: "text/x", GroupID: "g", TraceParent: out.TraceParent, Attributes: out.Attributes,
					SentAt: first, ReceiveCount: 1, FirstReceivedAt: received, State: queues.Available,
					Origin: &queues.Origin{Queue: q, Reason: queues.MaxReceives, Error: "the bank,1|is\x00 closed\n", At: left, ID: sent.ID, Receives: 1, FirstReceivedAt: received},
				}
				if got.ReceiptHandle != "" {
					want.ReceiveCount, want.State = 2, queues.InFlight
					want.ReceiptHandle, want.LeaseExpiresAt = got.ReceiptHandle, got.LeaseExpiresAt
				}
				if change != nil {
					want.SequenceNumber, want.DeduplicationID = got.SequenceNumber, sent.ID.String()
					if got.SequenceNumber == "" {
						t.Error("a dead letter of a FIFO queue has no sequence number")
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("in the dead-letter queue (-want +got):\n%s", diff)
				}
			}
		}
	})
}

func TestQ125_TheAgeOfADeadLetterCountsFromItsSendAndInAFIFOQueueFromItsMove(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, fifo := range []bool{false, true} {
			q, dead := b.redriven(t, 1, func(s *queues.Settings) {
				s.Retention = time.Hour
				s.FIFO.ContentBased = fifo
			})
			if _, err := b.Update(t.Context(), b.tenant, dead, queues.Condition{}, func(s queues.Settings) (queues.Settings, error) {
				s.Retention = 2 * time.Hour
				return s, nil
			}); err != nil {
				t.Fatal(err)
			}
			b.post(t, q, "g:bad")
			b.clock.Advance(50 * time.Minute)
			b.fail(t, q, "bad", 1)
			b.take(t, q, 1)
			b.arrived(t, q)
			end := 70 * time.Minute // of two hours 50 minutes were over
			if fifo {
				end = 2 * time.Hour
			}
			b.clock.Advance(end - time.Millisecond)
			if n := b.counts(t, dead); n[0] != 1 {
				t.Errorf("FIFO %t: a millisecond before its end the dead letter is gone", fifo)
			}
			b.clock.Advance(time.Millisecond)
			if got := b.receive(t, dead, 1); len(got) != 0 {
				t.Errorf("FIFO %t: the dead letter was received at its end", fifo)
			}
			if n := b.counts(t, dead); n[0] != 0 {
				t.Errorf("FIFO %t: at its end the dead letter is counted", fifo)
			}
			b.healthy(t, dead)
		}
	})
}

func TestQ126_TwoDeadLettersWithOneDeduplicationIDBothArrive(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, dead := b.redriven(t, 1, func(s *queues.Settings) { s.FIFO.Window = 20 * time.Second })
		for range 2 {
			if err := b.one(t, q, queues.Outgoing{Body: []byte("bad"), GroupID: "g", DeduplicationID: "same"}); err != nil {
				t.Fatal(err)
			}
			b.fail(t, q, "bad", 1)
			b.take(t, q, 1)
			b.clock.Advance(21 * time.Second)
		}
		b.arrived(t, q)
		got := b.take(t, dead, 10, "bad", "bad")
		if got[0].GroupID != "g" || got[0].DeduplicationID == got[1].DeduplicationID || got[0].SequenceNumber >= got[1].SequenceNumber {
			t.Errorf("arrived as %+v and %+v; want one group, two deduplication ids and growing numbers", got[0], got[1])
		}
	})
}

// The digest of a group may hold any byte, also those that separate things in the scripts.
func TestMessagesOfAnyGroupArrive(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, dead := b.redriven(t, 1, fifoSettings)
		count := 0
		for i := 0; count < 20; i++ {
			group := fmt.Sprint("g", i)
			if sum := sha256.Sum256([]byte(group)); bytes.ContainsAny(sum[:8], ",|\n\x00") {
				b.post(t, q, fmt.Sprintf("%s:%d", group, i))
				count++
			}
		}
		for _, m := range b.receive(t, q, count) {
			b.settle(t, q, queues.Settlement{Verb: queues.DeadLetter, ReceiptHandle: m.ReceiptHandle})
		}
		b.arrived(t, q)
		if n := b.counts(t, dead); n[0] != int64(count) {
			t.Errorf("%d messages arrived, want %d", n[0], count)
		}
	})
}

func TestQ127_AQueueThatNamedItsDeadLetterQueueKeepsIt(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, dead := b.redriven(t, 1, nil)
		allow := func(a queues.RedriveAllow) {
			if _, err := b.Update(t.Context(), b.tenant, dead, queues.Condition{}, func(s queues.Settings) (queues.Settings, error) {
				s.RedriveAllow = a
				return s, nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		other := b.queue(t, nil)
		name := func(q string, change func(*queues.Settings)) error {
			_, err := b.Update(t.Context(), b.tenant, q, queues.Condition{}, func(s queues.Settings) (queues.Settings, error) {
				s.Redrive = queues.Redrive{DeadLetterQueue: dead, MaxReceives: 1}
				if change != nil {
					change(&s)
				}
				return s, nil
			})
			return err
		}
		for _, a := range []queues.RedriveAllow{{None: true}, {Sources: []string{q}}} {
			allow(a)
			refusedWith(t, name(other, nil), "validation_failed", "/redrive/dead_letter_queue")
			if err := name(q, func(s *queues.Settings) { s.Redrive.MaxReceives++ }); err != nil {
				t.Errorf("a queue that names the same one as before: %v", err)
			}
		}
		allow(queues.RedriveAllow{Sources: []string{q, other}})
		if err := name(other, nil); err != nil {
			t.Errorf("a queue that may: %v", err)
		}
		allow(queues.RedriveAllow{None: true})
		b.send(t, other, "bad")
		b.fail(t, other, "bad", 1)
		b.take(t, other, 1)
		b.arrived(t, other)
		b.take(t, dead, 10, "bad")
	})
}

func TestQ128_WithoutItsDeadLetterQueueAQueueKeepsItsMessages(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, change := range []func(*queues.Settings){nil, fifoSettings} {
			q, dead := b.redriven(t, 1, change)
			if err := b.Delete(t.Context(), b.tenant, dead, queues.Condition{}); err != nil {
				t.Fatal(err)
			}
			b.post(t, q, "g:bad", "g:next")
			b.fail(t, q, "bad", 1)
			got := b.receive(t, q, 1) // takes "bad" out, and finds nowhere to bring it
			for _, m := range got {
				b.ack(t, q, m) // "next", where nothing waits for "bad"
			}
			b.arrived(t, q)
			m := b.take1(t, q, "bad")
			if m.ReceiveCount != 2 {
				t.Errorf("received for the %d. time, want 2", m.ReceiveCount)
			}
			set, err := b.Get(t.Context(), b.tenant, q)
			if err != nil || set.Settings.Redrive.DeadLetterQueue != dead {
				t.Errorf("the redrive policy is %+v, %v; want it as it was", set.Settings.Redrive, err)
			}
			b.healthy(t, q)
			b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle})
			st, err := b.Stats(t.Context(), b.tenant, q)
			if err != nil || st.DeadLettered != 0 {
				t.Errorf("the queue counts %d dead letters, %v; want none", st.DeadLettered, err)
			}
			// Once it is there again messages leave again.
			if _, _, err := b.Put(t.Context(), b.tenant, dead, queues.DefaultSettings().For(dead), queues.Condition{}); err != nil {
				t.Fatal(err)
			}
			b.clock.Advance(time.Minute)
			for range 3 {
				for _, m := range b.receive(t, q, 10) {
					b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle})
				}
				b.arrived(t, q)
			}
			if n := b.counts(t, dead); n[0] == 0 {
				t.Error("the dead-letter queue is there again, and nothing came")
			}
			b.healthy(t, q)
			b.healthy(t, dead)
		}
	})
}

func TestQ129_AReceiveThatOnlyFindsDeadLettersWaitsOn(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, _ := b.redriven(t, 1, nil)
		b.send(t, q, "bad")
		b.fail(t, q, "bad", 1)
		got := b.wait(t.Context(), q, 0)
		b.awaitParked(t, q, 1)
		b.arrived(t, q)
		b.send(t, q, "good")
		(<-got).want(t, "good")
	})
}

func TestAConsumerGivesAMessageUp(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, change := range []func(*queues.Settings){nil, fifoSettings} {
			q, dead := b.redriven(t, 5, change)
			b.post(t, q, "g:bad", "g:good")
			m := b.take1(t, q, "bad")
			give := queues.Settlement{Verb: queues.DeadLetter, ReceiptHandle: m.ReceiptHandle, Reason: "no such customer"}
			if err := b.settle(t, q, give)[0].Err; err != nil {
				t.Fatal(err)
			}
			if err := b.settle(t, q, give)[0].Err; !errors.Is(err, queues.ErrReceiptExpired) {
				t.Errorf("given up again: %v, want that the receipt is over", err)
			}
			if err := b.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle})[0].Err; err != nil {
				t.Errorf("acknowledged after that: %v", err) // it is gone, which is what an ack is for
			}
			b.arrived(t, q)
			b.take1(t, q, "good")
			got := b.take1(t, dead, "bad")
			if o := got.Origin; o == nil || o.Reason != queues.Rejected || o.Error != "no such customer" || o.Queue != q || got.ReceiveCount != 2 {
				t.Errorf("arrived as %+v from %+v", got, o)
			}
			b.healthy(t, q)
			b.healthy(t, dead)

			plain := b.queue(t, nil)
			b.send(t, plain, "bad")
			give.ReceiptHandle = b.take1(t, plain, "bad").ReceiptHandle
			if err := b.settle(t, plain, give)[0].Err; !errors.Is(err, queues.ErrNoDeadLetterQueue) {
				t.Errorf("given up without a dead-letter queue: %v", err)
			}
			if n := b.counts(t, plain); n != [3]int64{0, 1, 0} {
				t.Errorf("a message that cannot be given up: %v, want it in flight", n)
			}
			give.Reason = strings.Repeat("x", queues.MaxReason+1)
			refusedWith(t, b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle, Reason: give.Reason})[0].Err, "validation_failed", "/reason")
			give.Reason = "\xff"
			refusedWith(t, b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle, Reason: give.Reason})[0].Err, "validation_failed", "/reason")
		}
	})
}

// A script reads half a MiB: what a call gives up beyond that goes with the next one.
func TestManyLargeMessagesAreGivenUpAtOnce(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, dead := b.redriven(t, 5, nil)
		var list []queues.Settlement
		for i := range 8 {
			b.send(t, q, string(bytes.Repeat([]byte{byte('a' + i)}, 200<<10)))
		}
		for len(list) < 8 {
			for _, m := range b.receive(t, q, 8) {
				list = append(list, queues.Settlement{Verb: queues.DeadLetter, ReceiptHandle: m.ReceiptHandle})
			}
		}
		for i, done := range b.settle(t, q, list...) {
			if done.Err != nil {
				t.Errorf("message %d: %v", i, done.Err)
			}
		}
		b.arrived(t, q)
		if n := b.counts(t, dead); n[0] != 8 {
			t.Errorf("%d messages arrived, want 8", n[0])
		}
		b.healthy(t, q)
	})
}

// TestG10_ATransferSurvivesACrashAfterEachStep stops a server after each step of the way to the dead-letter queue; another
// one goes on, also when a consumer was faster.
func TestG10_ATransferSurvivesACrashAfterEachStep(t *testing.T) {
	test := func(t *testing.T, b *bench) {
		other := b.another(t)
		moves := 0
		for _, change := range []func(*queues.Settings){nil, fifoSettings} {
			for _, step := range []string{"left", "carried", "arrived"} {
				for _, deleted := range []bool{false, true} {
					q, dead := b.redriven(t, 1, change)
					b.post(t, q, "g:1", "h:2", "i:3")
					for _, m := range b.receive(t, q, 3) {
						b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle})
					}
					b.SetStep(func(done string) error {
						if step == "left" && done == "carrying" || step == "carried" && done == "brought" {
							return errCrash
						}
						return nil
					})
					b.take(t, q, 3)
					for range 3 {
						b.Carry(t, b.tenant, q)
					}
					var got []string
					take := func() {
						for _, m := range other.receive(t, dead, 10) {
							got = append(got, m.Body)
							other.ack(t, dead, m)
						}
					}
					if deleted {
						take()
						if step != "left" && len(got) != 3 {
							t.Fatalf("after %s the dead-letter queue gave %q", step, got)
						}
					}
					other.arrived(t, q)
					b.SetStep(func(string) error { return nil })
					b.arrived(t, q)
					take()
					slices.Sort(got)
					if diff := cmp.Diff([]string{"1", "2", "3"}, got); diff != "" {
						t.Errorf("a crash after %s, deleted in between %t (-want +got):\n%s", step, deleted, diff)
					}
					moves += 3
					other.healthy(t, q)
					other.healthy(t, dead)
				}
			}
		}
		t.Logf("%d moves, lost 0, doubled 0", moves)
	}
	engines(t, test)
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		test(t, newBench(t, engine.Options{URL: clusterURL(redistest.Cluster(t, 3, 0))}))
	})
}

// TestG10_ServersCarryTogether has servers fail, give up and carry messages at the same time.
func TestG10_ServersCarryTogether(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, change := range []func(*queues.Settings){nil, fifoSettings} {
			servers := []*bench{b, b.another(t), b.another(t)}
			q, dead := b.redriven(t, 2, change)
			const count = 200
			var want []string
			for i := range count {
				body := fmt.Sprintf("%03d", i)
				want = append(want, body)
				b.post(t, q, fmt.Sprintf("g%d:%s", i%7, body))
			}
			done := make(chan error, len(servers))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for n, s := range servers {
				go func() {
					r := rand.New(rand.NewPCG(uint64(n), 7))
					for {
						st, err := s.Stats(ctx, s.tenant, q)
						if err != nil || st.Available+st.InFlight+st.Delayed+st.Moving == 0 {
							done <- err
							return
						}
						list, err := s.Receive(ctx, s.tenant, q, queues.ReceiveOptions{Max: 1 + r.IntN(20)})
						if err != nil {
							done <- err
							return
						}
						verbs := make([]queues.Settlement, len(list))
						for i, m := range list {
							verbs[i] = queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle}
							if r.IntN(2) == 0 {
								verbs[i].Verb = queues.DeadLetter
							}
						}
						if _, err := s.Settle(ctx, s.tenant, q, verbs); err != nil {
							done <- err
							return
						}
						s.Carry(t, s.tenant, q)
					}
				}()
			}
			for range servers {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for {
				list := b.receive(t, dead, 100)
				if len(list) == 0 {
					break
				}
				got = append(got, bodies(list)...)
				b.ack(t, dead, list...)
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("arrived (-want +got):\n%s", diff)
			}
			b.healthy(t, q)
			b.healthy(t, dead)
		}
	})
}

// An old journey is one whose server was so slow that another one has carried since.
func TestADestinationRefusesAnOldJourney(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, dead := b.redriven(t, 1, nil)
		late := b.Journey(t, b.tenant, q)
		b.send(t, q, "bad")
		b.fail(t, q, "bad", 1)
		b.take(t, q, 1)
		b.arrived(t, q)
		b.ack(t, dead, b.take(t, dead, 10, "bad")...)
		if err := late(dead); !errors.Is(err, engine.ErrUnknown) {
			t.Errorf("the old journey: %v, want a refusal", err)
		}
		b.take(t, dead, 10)
	})
}

// TestG26_APoisonMessageEndsInTheDeadLetterQueue has a message that every consumer dies of, so that it comes back only by
// timeout. The others do not wait for it; in a FIFO queue those of its group do, for as long as its consumers held it.
func TestG26_APoisonMessageEndsInTheDeadLetterQueue(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, change := range []func(*queues.Settings){nil, fifoSettings} {
			const most, lease = 4, 30 * time.Second
			q, dead := b.redriven(t, most, change)
			b.post(t, q, "g:poison", "g:behind")
			longest := map[string]time.Duration{}
			for second := range 150 {
				b.post(t, q, fmt.Sprintf("h:good %d", second))
				for {
					got := b.receive(t, q, 1)
					if len(got) == 0 {
						break
					}
					if m := got[0]; m.Body != "poison" {
						longest[m.GroupID] = max(longest[m.GroupID], b.clock.Now().Sub(m.SentAt))
						b.ack(t, q, m)
					}
				}
				b.clock.Advance(time.Second)
			}
			b.arrived(t, q)
			if m := b.take1(t, dead, "poison"); m.Origin.Receives != most || m.Origin.Reason != queues.MaxReceives {
				t.Errorf("arrived from %+v, want after %d receives", m.Origin, most)
			}
			behind := time.Duration(0)
			if change != nil {
				behind = most * lease
			}
			if longest["h"] != 0 || longest["g"] != behind {
				t.Errorf("good messages waited for %v, want none of the other group and %v behind the poison", longest, behind)
			}
			t.Logf("good messages waited for %v", longest)
		}
	})
}
