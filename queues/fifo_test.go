package queues_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

// fifo makes a FIFO queue that derives deduplication ids from the body, and returns its name.
func (b *bench) fifo(tb testing.TB, change func(*queues.Settings)) string {
	tb.Helper()
	set := queues.DefaultSettings()
	set.FIFO.ContentBased = true
	if change != nil {
		change(&set)
	}
	name := fmt.Sprintf("q%d.fifo", names.Add(1))
	if _, _, err := b.Put(tb.Context(), b.tenant, name, set, queues.Condition{}); err != nil {
		tb.Fatalf("create queue: %v", err)
	}
	return name
}

// post sends messages written as "group:body".
func (b *bench) post(tb testing.TB, q string, messages ...string) []queues.SendResult {
	tb.Helper()
	batch := make([]queues.Outgoing, len(messages))
	for i, m := range messages {
		group, body, _ := strings.Cut(m, ":")
		batch[i] = queues.Outgoing{GroupID: group, Body: []byte(body)}
	}
	out := b.batch(tb, q, false, batch...)
	for i, r := range out {
		if r.Err != nil {
			tb.Fatalf("send %s: %v", messages[i], r.Err)
		}
	}
	return out
}

// take receives up to most messages and checks their bodies.
func (b *bench) take(tb testing.TB, q string, most int, want ...string) []queues.Message {
	tb.Helper()
	got := b.receive(tb, q, most)
	if diff := cmp.Diff(append([]string{}, want...), bodies(got)); diff != "" {
		tb.Fatalf("received (-want +got):\n%s", diff)
	}
	return got
}

func (b *bench) ack(tb testing.TB, q string, list ...queues.Message) {
	tb.Helper()
	for _, m := range list {
		if out := b.settle(tb, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle}); out[0].Err != nil {
			tb.Fatalf("ack %q: %v", m.Body, out[0].Err)
		}
	}
}

func refusedWith(t *testing.T, err error, code, pointer string) {
	t.Helper()
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || e.Code != code || pointer != "" && (len(e.Fields) == 0 || e.Fields[0].Pointer != pointer) {
		t.Errorf("got %v, want code %s at %s", err, code, pointer)
	}
}

func (b *bench) one(t *testing.T, q string, m queues.Outgoing) error {
	t.Helper()
	_, err := b.Send(t.Context(), b.tenant, q, m)
	return err
}

func TestQ104_AMessageOfAFIFOQueueNeedsAGroup(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		refusedWith(t, b.one(t, q, queues.Outgoing{Body: []byte("m")}), "message_group_id_required", "/group_id")
		if err := b.one(t, q, queues.Outgoing{Body: []byte("m"), GroupID: "g"}); err != nil {
			t.Errorf("with a group: %v", err)
		}
		b.take(t, q, 10, "m")
	})
}

func TestQ105_AMessageNeedsADeduplicationIDUnlessItsBodyGivesIt(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, func(s *queues.Settings) { s.FIFO.ContentBased = false })
		refusedWith(t, b.one(t, q, queues.Outgoing{Body: []byte("m"), GroupID: "g"}), "deduplication_id_required", "/deduplication_id")
		for _, m := range []queues.Outgoing{{DeduplicationID: "d"}, {IdempotencyKey: "k"}} {
			m.Body, m.GroupID = []byte("m"), "g"
			if err := b.one(t, q, m); err != nil {
				t.Errorf("%+v: %v", m, err)
			}
		}
		got := b.take(t, q, 10, "m", "m")
		if got[0].DeduplicationID != "d" || got[1].DeduplicationID != "" {
			t.Errorf("deduplication ids: got %q and %q", got[0].DeduplicationID, got[1].DeduplicationID)
		}
		refusedWith(t, b.one(t, q, queues.Outgoing{Body: []byte("m"), GroupID: "g", DeduplicationID: "d", IdempotencyKey: "k"}), "validation_failed", "/deduplication_id")
	})
}

func TestQ106_GroupsAndDeduplicationIDsAreShortPrintableText(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, standard := b.fifo(t, nil), b.queue(t, nil)
		for _, bad := range []string{"a b", "a\n", "ä", strings.Repeat("x", 129), "\x7f", " "} {
			refusedWith(t, b.one(t, q, queues.Outgoing{Body: []byte("m"), GroupID: bad}), "validation_failed", "/group_id")
			refusedWith(t, b.one(t, standard, queues.Outgoing{Body: []byte("m"), GroupID: bad}), "validation_failed", "/group_id")
			refusedWith(t, b.one(t, q, queues.Outgoing{Body: []byte("m"), GroupID: "g", DeduplicationID: bad}), "validation_failed", "/deduplication_id")
		}
		for _, good := range []string{"x", strings.Repeat("x", 128), `!"#$%&'()*+,-./:;<=>?@[\]^_{|}~` + "`"} {
			m := queues.Outgoing{Body: []byte("m"), GroupID: good, DeduplicationID: good}
			if err := b.one(t, q, m); err != nil {
				t.Errorf("%q: %v", good, err)
			}
		}
		for _, m := range b.take(t, q, 10, "m", "m", "m") {
			if m.GroupID != m.DeduplicationID {
				t.Errorf("group %q and deduplication id %q", m.GroupID, m.DeduplicationID)
			}
		}
	})
}

func TestQ107_AStandardQueueTakesNoDeduplicationID(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		refusedWith(t, b.one(t, q, queues.Outgoing{Body: []byte("m"), DeduplicationID: "d"}), "validation_failed", "/deduplication_id")
		b.take(t, q, 10)
	})
}

func TestQ108_TheBodyAloneMakesTheDeduplicationID(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		const sum = "62c66a7a5dd70c3146618063c344e531e6d4b59e379808443ce962b3abd63c5a" // of "m"
		attribute := []queues.Attribute{{Name: "a", Type: "String", Value: "v"}}
		sent := b.batch(t, q, false,
			queues.Outgoing{Body: []byte("m"), GroupID: "g"},
			queues.Outgoing{Body: []byte("m"), GroupID: "g", Attributes: attribute},
			queues.Outgoing{Body: []byte("other"), GroupID: "g", DeduplicationID: sum},
			queues.Outgoing{Body: []byte("m"), GroupID: "g", DeduplicationID: "mine"})
		for i, again := range []bool{false, true, true, false} {
			if sent[i].Err != nil || sent[i].Replayed != again {
				t.Errorf("message %d: got %+v, want replayed %t", i, sent[i], again)
			}
		}
		got := b.take(t, q, 10, "m", "m")
		if got[0].DeduplicationID != sum || got[1].DeduplicationID != "mine" {
			t.Errorf("deduplication ids: got %q and %q", got[0].DeduplicationID, got[1].DeduplicationID)
		}
	})
}

func TestQ109_ADeduplicationIDOutlivesItsMessage(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, window := range []time.Duration{20 * time.Second, 5 * time.Minute, 7 * 24 * time.Hour} {
			q := b.fifo(t, func(s *queues.Settings) { s.FIFO.Window = window })
			first := b.post(t, q, "g:m")[0]
			b.ack(t, q, b.take(t, q, 1, "m")...)
			b.clock.Advance(window - time.Millisecond)
			if again := b.another(t).post(t, q, "g:m")[0]; !again.Replayed || again.ID != first.ID {
				t.Errorf("%s less 1 ms: got %+v, want the first one, %s", window, again, first.ID)
			}
			b.take(t, q, 1)
			b.clock.Advance(time.Millisecond)
			if again := b.post(t, q, "g:m")[0]; again.Replayed || again.ID == first.ID {
				t.Errorf("after %s: got %+v, want a new message", window, again)
			}
			b.take(t, q, 1, "m")
			b.healthy(t, q)
		}
	})
}

func TestQ110_ADuplicateIsAnsweredWithTheFirstOne(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		first := b.post(t, q, "g:m", "g:n")
		again := b.post(t, q, "other:n", "g:m", "g:o")
		for i, want := range []queues.SendResult{first[1], first[0]} {
			if !again[i].Replayed || again[i].ID != want.ID || again[i].SequenceNumber != want.SequenceNumber {
				t.Errorf("got %+v, want the first one, %+v", again[i], want)
			}
		}
		b.take(t, q, 10, "m", "n", "o")
	})
}

func TestQ111_TheScopeOfDeduplication(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		wide := b.fifo(t, nil)
		b.post(t, wide, "g:m", "h:m")
		b.take(t, wide, 10, "m")
		narrow := b.fifo(t, func(s *queues.Settings) { s.FIFO.Scope = queues.ScopeGroup })
		b.post(t, narrow, "g:m", "h:m", "g:m")
		b.take(t, narrow, 10, "m", "m")
	})
}

func TestQ113_SequenceNumbersGrow(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		format, last := regexp.MustCompile(`^\d{20}$`), ""
		other := b.another(t)
		numbers := map[engine.ID]string{}
		for i := range 6 {
			server := []*bench{b, other}[i%2]
			for _, sent := range server.post(t, q, fmt.Sprint("g:", i), fmt.Sprint("h:", i, "h")) {
				if !format.MatchString(sent.SequenceNumber) || sent.SequenceNumber <= last {
					t.Errorf("got %q after %q", sent.SequenceNumber, last)
				}
				last, numbers[sent.ID] = sent.SequenceNumber, sent.SequenceNumber
			}
			if i == 3 {
				b.clock.Advance(time.Hour)
			}
		}
		for range 2 {
			for _, m := range b.receive(t, q, 100) {
				if m.SequenceNumber != numbers[m.ID] {
					t.Errorf("received %s with number %q, sent with %q", m.ID, m.SequenceNumber, numbers[m.ID])
				}
			}
			b.clock.Advance(time.Minute)
		}
		standard := b.queue(t, nil)
		b.send(t, standard, "m")
		if m := b.receive(t, standard, 1)[0]; m.SequenceNumber != "" {
			t.Errorf("a standard queue gives the number %q", m.SequenceNumber)
		}
	})
}

func TestQ114_WhatIsHeldBlocksWhatIsBehindIt(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		extend := func(q string, m queues.Message, d time.Duration) {
			t.Helper()
			if out := b.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: m.ReceiptHandle, For: d}); out[0].Err != nil {
				t.Fatal(out[0].Err)
			}
		}
		giveBack := func(q string, m queues.Message, d time.Duration) {
			t.Helper()
			if out := b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle, For: d}); out[0].Err != nil {
				t.Fatal(out[0].Err)
			}
		}
		t.Run("one in flight blocks, a new send does not free", func(t *testing.T) {
			q := b.fifo(t, nil)
			b.post(t, q, "g:1", "g:2")
			b.take(t, q, 1, "1")
			b.take(t, q, 10)
			b.post(t, q, "g:3")
			b.take(t, q, 10)
		})
		t.Run("deleting the first of two", func(t *testing.T) {
			q := b.fifo(t, nil)
			b.post(t, q, "g:1", "g:2", "g:3")
			got := b.take(t, q, 2, "1", "2")
			b.ack(t, q, got[0])
			b.take(t, q, 10)
			b.ack(t, q, got[1])
			b.take(t, q, 10, "3")
		})
		t.Run("returning the first of two", func(t *testing.T) {
			q := b.fifo(t, nil)
			b.post(t, q, "g:1", "g:2", "g:3")
			got := b.take(t, q, 2, "1", "2")
			giveBack(q, got[0], 0)
			b.take(t, q, 10, "1")
			b.take(t, q, 10)
		})
		t.Run("returning all before one that is held", func(t *testing.T) {
			q := b.fifo(t, nil)
			b.post(t, q, "g:1", "g:2", "g:3", "g:4", "g:5")
			got := b.take(t, q, 3, "1", "2", "3")
			giveBack(q, got[0], 0)
			giveBack(q, got[1], 0)
			b.take(t, q, 4, "1", "2") // as many as it looks at in one go, so it must not look behind 3
		})
		t.Run("extending one in the middle", func(t *testing.T) {
			q := b.fifo(t, nil)
			b.post(t, q, "g:1", "g:2", "g:3", "g:4")
			got := b.take(t, q, 3, "1", "2", "3")
			extend(q, got[1], time.Hour)
			b.clock.Advance(31 * time.Second)
			b.take(t, q, 10, "1")
		})
		t.Run("all come back in their order", func(t *testing.T) {
			q := b.fifo(t, nil)
			b.post(t, q, "g:1", "g:2", "g:3")
			b.take(t, q, 3, "1", "2", "3")
			b.clock.Advance(31 * time.Second)
			b.take(t, q, 10, "1", "2", "3")
		})
		t.Run("a delay blocks as well", func(t *testing.T) {
			q := b.fifo(t, nil)
			b.post(t, q, "g:1", "g:2", "h:3")
			got := b.take(t, q, 1, "1")
			giveBack(q, got[0], time.Minute)
			b.ack(t, q, b.take(t, q, 10, "3")...)
			b.clock.Advance(time.Minute)
			b.take(t, q, 10, "1", "2")
		})
		t.Run("deleting by id frees", func(t *testing.T) {
			q := b.fifo(t, nil)
			b.post(t, q, "g:1", "g:2")
			got := b.take(t, q, 1, "1")
			if err := b.DeleteMessage(t.Context(), b.tenant, q, got[0].ID); err != nil {
				t.Fatal(err)
			}
			b.take(t, q, 10, "2")
			b.healthy(t, q)
		})
	})
}

// What frees a group wakes one who waits, on this server and on another one.
func TestQ114_WhatFreesAGroupWakesOneWhoWaits(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		for name, free := range map[string]func(q string, m queues.Message){
			"ack": func(q string, m queues.Message) { b.ack(t, q, m) },
			"return": func(q string, m queues.Message) {
				b.settle(t, q, queues.Settlement{Verb: queues.Return, ReceiptHandle: m.ReceiptHandle})
			},
			"delete": func(q string, m queues.Message) {
				if err := b.DeleteMessage(t.Context(), b.tenant, q, m.ID); err != nil {
					t.Error(err)
				}
			},
			"end of the lease": func(string, queues.Message) { b.clock.Advance(11 * time.Second) },
		} {
			for where, waiter := range map[string]*bench{"here": b, "there": other} {
				q := b.fifo(t, func(s *queues.Settings) { s.VisibilityTimeout = 10 * time.Second })
				b.post(t, q, "g:1", "g:2")
				held := b.take(t, q, 1, "1")[0]
				got := make(chan []queues.Message, 1)
				wait := queues.MaxWait
				go func() {
					list, err := waiter.Receive(context.Background(), b.tenant, q, queues.ReceiveOptions{Max: 1, Wait: &wait})
					if err != nil {
						t.Error(err)
					}
					got <- list
				}()
				waiter.awaitParked(t, q, 1)
				free(q, held)
				if list := <-got; len(list) != 1 {
					t.Errorf("%s, waiting %s: received %d messages, want one", name, where, len(list))
				}
			}
		}
	})
}

func TestQ115_OneReceiveEmptiesAGroupBeforeTheNext(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		b.post(t, q, "g1:a", "g2:x", "g1:b", "g1:c")
		b.take(t, q, 10, "a", "b", "c", "x")
	})
}

func TestQ116_AGroupThatWasServedIsBehindTheOthers(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		for i := range 3 {
			for _, g := range []string{"g", "h", "i"} {
				b.post(t, q, fmt.Sprintf("%s:%s%d", g, g, i))
			}
			b.clock.Advance(time.Millisecond)
		}
		seen := map[string]int{}
		for i := range 9 {
			m := b.receive(t, q, 1)[0]
			b.ack(t, q, m)
			b.clock.Advance(time.Millisecond)
			if seen[m.GroupID]++; seen[m.GroupID] != i/3+1 {
				t.Errorf("receive %d serves group %s for time %d", i, m.GroupID, seen[m.GroupID])
			}
		}
	})
}

func TestQ117_AReceiveForNoTimeLeavesTheGroup(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		b.post(t, q, "g:1", "g:2")
		none := time.Duration(0)
		for i := range 3 {
			got, err := b.Receive(t.Context(), b.tenant, q, queues.ReceiveOptions{Max: 1, VisibilityTimeout: &none})
			if err != nil || len(got) != 1 || got[0].Body != "1" || got[0].ReceiveCount != i+1 {
				t.Fatalf("receive %d: got %+v, %v", i, got, err)
			}
		}
		b.take(t, q, 10, "1", "2")
	})
}

func TestQ119_AnAttemptIsRepeated(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		attempt := func(s *bench, q, id string) []queues.Message {
			t.Helper()
			got, err := s.Receive(t.Context(), b.tenant, q, queues.ReceiveOptions{Max: 2, AttemptID: id})
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		q := b.fifo(t, nil)
		b.post(t, q, "g:1", "g:2", "h:3")
		first := attempt(b, q, "x")
		b.clock.Advance(20 * time.Second)
		again := attempt(other, q, "x")
		for i := range first {
			first[i].LeaseExpiresAt = first[i].LeaseExpiresAt.Add(20 * time.Second)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Fatalf("the attempt again (-first +again):\n%s", diff)
		}
		b.clock.Advance(20 * time.Second) // over the first lease, not over the second
		b.take(t, q, 1, "3")
		b.take(t, q, 10)
		b.healthy(t, q)

		b.ack(t, q, again[0])
		if got := attempt(b, q, "x"); len(got) != 0 {
			t.Errorf("after an ack: got %v, want what anybody would get: none", bodies(got))
		}
		b.clock.Advance(time.Minute)
		if got := attempt(b, q, "x"); len(got) == 0 || got[0].ReceiptHandle == again[1].ReceiptHandle {
			t.Errorf("after the lease: got %+v, want a new delivery", got)
		}
		standard := b.queue(t, nil)
		if _, err := b.Receive(t.Context(), b.tenant, standard, queues.ReceiveOptions{AttemptID: "x"}); errs.KindOf(err) != errs.Invalid {
			t.Errorf("an attempt at a standard queue: got %v", err)
		}
		if _, err := b.Receive(t.Context(), b.tenant, q, queues.ReceiveOptions{AttemptID: "a b"}); errs.KindOf(err) != errs.Invalid {
			t.Errorf("an attempt with a space: got %v", err)
		}
	})
}

func TestQ87_TheReceiptOfAFIFOQueueEndsWithItsLease(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		b.post(t, q, "g:1")
		m := b.take(t, q, 1, "1")[0]
		b.clock.Advance(20 * time.Second)
		b.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: m.ReceiptHandle, For: time.Minute})
		b.clock.Advance(time.Minute - time.Millisecond)
		b.take(t, q, 1) // the extension holds it, and its receipt is good
		if err := b.say(t, q, queues.Extend, m.ReceiptHandle, time.Minute); err != nil {
			t.Errorf("1 ms before the end: %v", err)
		}
		b.clock.Advance(time.Minute)
		out := b.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle})
		if !errors.Is(out[0].Err, queues.ErrReceiptExpired) {
			t.Errorf("ack after the lease: got %v, want %v", out[0].Err, queues.ErrReceiptExpired)
		}
		b.ack(t, q, b.take(t, q, 1, "1")...)
	})
}

func TestQ97_AFIFOQueueDelaysAllItsMessages(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, func(s *queues.Settings) { s.Delay = time.Minute })
		d, none := time.Second, time.Duration(0)
		refusedWith(t, b.one(t, q, queues.Outgoing{Body: []byte("m"), GroupID: "g", Delay: &d}), "validation_failed", "/delay")
		if err := b.one(t, q, queues.Outgoing{Body: []byte("m"), GroupID: "g", Delay: &none}); err != nil {
			t.Fatal(err)
		}
		if got := b.counts(t, q); got != [3]int64{0, 0, 1} {
			t.Errorf("counts: got %v, want one delayed", got)
		}
		b.clock.Advance(time.Minute)
		b.take(t, q, 1, "m")
	})
}

// what only waits for its group is available.
func TestQ99_BlockedMessagesCountAsAvailable(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		b.post(t, q, "g:1", "g:2", "h:3")
		b.take(t, q, 1, "1")
		if got := b.counts(t, q); got != [3]int64{2, 1, 0} {
			t.Errorf("counts: got %v", got)
		}
	})
}

func TestTheNameSaysWhetherAQueueIsFIFO(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		put := func(name string, set queues.Settings) error {
			_, _, err := b.Put(t.Context(), b.tenant, name, set, queues.Condition{})
			return err
		}
		set := queues.DefaultSettings()
		set.FIFO.ContentBased = true
		if err := put("plain", set); errs.KindOf(err) != errs.Invalid {
			t.Errorf("FIFO settings on a standard queue: got %v", err)
		}
		for _, name := range []string{".fifo", "a.fifo.fifo", "a.fif", strings.Repeat("x", 76) + ".fifo"} {
			if err := put(name, queues.DefaultSettings()); errs.KindOf(err) != errs.Invalid {
				t.Errorf("%q: got %v, want a refusal", name, err)
			}
		}
		if err := put(strings.Repeat("x", 75)+".fifo", queues.DefaultSettings()); err != nil {
			t.Error(err)
		}
		for _, window := range []time.Duration{19 * time.Second, 7*24*time.Hour + time.Second, 20*time.Second + time.Millisecond} {
			set.FIFO.Window = window
			if err := put("a.fifo", set); errs.KindOf(err) != errs.Invalid {
				t.Errorf("window %s: got %v", window, err)
			}
		}
		q, err := b.Get(t.Context(), b.tenant, strings.Repeat("x", 75)+".fifo")
		if want := (queues.FIFO{Scope: queues.ScopeQueue, Window: 5 * time.Minute}); err != nil || q.Settings.FIFO != want {
			t.Errorf("got %+v, %v; want %+v", q.Settings.FIFO, err, want)
		}
	})
}

// A second tenant's queue of the same name has groups and deduplication ids of its own.
func TestTenantsDoNotShareGroups(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := newBench(t, b.opt)
		for _, s := range []*bench{b, other} {
			set := queues.DefaultSettings()
			set.FIFO.ContentBased = true
			if _, _, err := s.Put(t.Context(), s.tenant, "same.fifo", set, queues.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
		b.post(t, "same.fifo", "g:1", "g:2")
		if r := other.post(t, "same.fifo", "g:1")[0]; r.Replayed {
			t.Error("the other tenant's message was taken for ours")
		}
		b.take(t, "same.fifo", 1, "1")
		other.take(t, "same.fifo", 1, "1")
	})
}

// TestG6_GroupsKeepTheirOrder has many producers and consumers on two servers work on few groups, some of whom let a
// lease end: each group's messages are done in the order of their sends.
func TestG6_GroupsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{NoAOF: true})
	a := bare(t, engine.Options{URL: server.URL()}, nil)
	servers := []*bench{a, bare(t, engine.Options{URL: server.URL()}, a)}
	q := a.fifo(t, func(s *queues.Settings) { s.VisibilityTimeout = time.Second })
	const groups, each = 12, 60
	var producers, consumers sync.WaitGroup
	for g := range groups {
		producers.Go(func() {
			for i := range each {
				servers[(g+i)%2].post(t, q, fmt.Sprintf("g%d:%d-%d", g, g, i))
			}
		})
	}
	var mu sync.Mutex
	done, breaks, redelivered := map[string]int{}, 0, 0
	acked := map[string]bool{} // a consumer that stalls for a second acks again what another one has
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for c := range 8 {
		consumers.Go(func() {
			s := servers[c%2]
			wait := time.Second
			for n := 0; ctx.Err() == nil; n++ {
				list, err := s.Receive(ctx, s.tenant, q, queues.ReceiveOptions{Max: 1 + n%4, Wait: &wait})
				if err != nil {
					return
				}
				for _, m := range list {
					var g, i int
					if _, err := fmt.Sscanf(m.Body, "%d-%d", &g, &i); err != nil {
						t.Error(err)
					}
					if m.ReceiveCount == 1 && (i*7+g)%10 == 0 {
						break // a consumer that dies: this message and those behind it come back
					}
					mu.Lock()
					if i > done[m.GroupID] { // one before it was not worked on yet
						breaks++
					}
					done[m.GroupID] = max(done[m.GroupID], i+1)
					if m.ReceiveCount > 1 {
						redelivered++
					}
					mu.Unlock()
					out := s.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle})
					if out[0].Err == nil {
						mu.Lock()
						acked[m.GroupID+m.Body] = true
						all := len(acked) == groups*each
						mu.Unlock()
						if all {
							cancel()
						}
					}
				}
			}
		})
	}
	producers.Wait()
	consumers.Wait()
	if breaks > 0 {
		t.Errorf("%d messages were out of order", breaks)
	}
	if n := len(acked); n != groups*each {
		t.Errorf("%d of %d messages were acked", n, groups*each)
	}
	a.healthy(t, q)
	t.Logf("%d groups, %d messages, %d redelivered, order breaks %d", groups, groups*each, redelivered, breaks)
}

// TestG7_AGroupThatIsStuckHoldsUpNoOther has twenty groups alone and beside one whose first message nobody settles: it comes
// again and again, and what is behind it never does.
func TestG7_AGroupThatIsStuckHoldsUpNoOther(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		soon := queues.Settlement{Verb: queues.Extend, For: 30 * time.Millisecond} // then its lease ends
		alone, n, _ := b.dwell(t, b.fifo(t, nil), "poison", func(int) []string { return nil }, soon)
		q := b.fifo(t, nil)
		beside, m, _ := b.dwell(t, q, "poison", func(tick int) []string { return []string{fmt.Sprint("poison:p", tick)} }, soon)
		ratio := float64(beside) / float64(alone)
		t.Logf("G7: dwell p99 of %d messages of other groups: alone %v, beside the stuck one %v (%d messages), ratio %.2f", n, alone, beside, m, ratio)
		if ratio > 1.2 {
			t.Errorf("the other groups wait %.2f times as long, want at most 1.2", ratio)
		}
		stuck := b.peek(t, q, queues.PeekOptions{State: queues.InFlight}).Messages
		if i := slices.Index(bodies(stuck), "p0"); i < 0 || stuck[i].ReceiveCount < 20 {
			t.Errorf("the stuck message was not received often, which proves nothing: %+v", stuck)
		}
	})
}

// TestG8_OneMessageForOneDeduplicationID sends with the same ids from two servers at once, over and over.
func TestG8_OneMessageForOneDeduplicationID(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{NoAOF: true})
	a := bare(t, engine.Options{URL: server.URL()}, nil)
	servers := []*bench{a, bare(t, engine.Options{URL: server.URL()}, a)}
	q := a.fifo(t, nil)
	const ids, senders = 40, 12
	var mu sync.Mutex
	answers := map[string]map[engine.ID]int{}
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range ids {
				d := fmt.Sprint("d", (i+s)%ids)
				sent, err := servers[s%2].Send(t.Context(), a.tenant, q, queues.Outgoing{Body: fmt.Append(nil, s, i), GroupID: fmt.Sprint("g", s%3), DeduplicationID: d})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if answers[d] == nil {
					answers[d] = map[engine.ID]int{}
				}
				answers[d][sent.ID]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	got := map[string]int{}
	for {
		list := a.receive(t, q, 100)
		if len(list) == 0 {
			break
		}
		for _, m := range list {
			got[m.DeduplicationID]++
			if answers[m.DeduplicationID][m.ID] != senders || len(answers[m.DeduplicationID]) != 1 {
				t.Errorf("%s: the answers were %v, the message is %s", m.DeduplicationID, answers[m.DeduplicationID], m.ID)
			}
		}
		a.ack(t, q, list...)
	}
	for d, n := range got {
		if n != 1 {
			t.Errorf("%s was stored %d times", d, n)
		}
	}
	if len(got) != ids {
		t.Errorf("%d messages, want %d", len(got), ids)
	}
	a.healthy(t, q)
	t.Logf("%d sends with %d ids: %d stored", ids*senders, ids, len(got))
}
