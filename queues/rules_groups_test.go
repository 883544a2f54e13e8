package queues_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/queues"
)

func TestQ112_AChangeOfTheScopeTakesEffect(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, other := b.fifo(t, nil), b.another(t)
		scope := func(to queues.Scope) {
			t.Helper()
			_, err := b.Update(t.Context(), b.tenant, q, queues.Condition{}, func(s queues.Settings) (queues.Settings, error) {
				s.FIFO.Scope = to
				return s, nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		stored := func(want bool, message string) {
			t.Helper()
			for _, s := range []*bench{other, b} { // the second finds the first one's
				if r := s.post(t, q, message)[0]; r.Replayed == want {
					t.Errorf("%s: got %+v, want it stored: %t", message, r.Sent, want)
				}
				want = false
			}
		}
		stored(true, "g:m")
		stored(false, "h:m")
		scope(queues.ScopeGroup)
		stored(true, "h:m")
		stored(true, "g:m") // ids are remembered in the scope in which they were sent
		scope(queues.ScopeQueue)
		stored(false, "i:m")
		stored(true, "i:n")
		var got []string
		for _, m := range b.receive(t, q, 10) {
			got = append(got, m.GroupID+":"+m.Body)
		}
		slices.Sort(got)
		if diff := cmp.Diff([]string{"g:m", "g:m", "h:m", "i:n"}, got); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
		b.healthy(t, q)
	})
}

// A message that leaves its group for the dead-letter queue, because of its receives or because its consumer gives it up,
// holds up nobody: those behind it are received at once, also by one who waits.
func TestQ118_AGroupGoesOnWhenItsFirstMessageHasLeft(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other, wait := b.another(t), queues.MaxWait
		for name, leave := range map[string]func(q string, m queues.Message){
			"given up": func(q string, m queues.Message) {
				if err := b.say(t, q, queues.DeadLetter, m.ReceiptHandle, 0); err != nil {
					t.Error(err)
				}
			},
			"returned": func(q string, m queues.Message) {
				if err := b.say(t, q, queues.Return, m.ReceiptHandle, 0); err != nil {
					t.Error(err)
				}
			},
			"timed out": func(string, queues.Message) { b.clock.Advance(11 * time.Second) },
		} {
			for where, waiter := range map[string]*bench{"nowhere": nil, "here": b, "there": other} {
				q, dead := b.redriven(t, 1, func(s *queues.Settings) {
					fifoSettings(s)
					s.VisibilityTimeout = 10 * time.Second // less than the wait
				})
				b.post(t, q, "g:bad", "g:next", "g:last")
				bad := b.take1(t, q, "bad")
				var got <-chan arrival
				if waiter != nil {
					got = waiter.ask(t, q, queues.ReceiveOptions{Max: 10, Wait: &wait})
					waiter.awaitParked(t, q, 1)
				}
				leave(q, bad)
				if waiter == nil {
					got = b.ask(t, q, queues.ReceiveOptions{Max: 10})
				}
				a := promptly(t, got)
				if diff := cmp.Diff([]string{"next", "last"}, bodies(a.list)); diff != "" || a.err != nil {
					t.Errorf("%s, waiting %s: %v, received (-want +got):\n%s", name, where, a.err, diff)
				}
				b.arrived(t, q)
				b.take1(t, dead, "bad")
				b.healthy(t, q)
			}
		}
	})
}

func TestQ120_AGroupOfAStandardQueueBlocksNothing(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		for _, r := range b.post(t, q, "g:1", "g:2", "g:1") { // nor is a message with a group recognised by its body
			if r.SequenceNumber != "" || r.Replayed {
				t.Errorf("sent %+v, want no sequence number", r.Sent)
			}
		}
		minute := time.Minute
		if err := b.one(t, q, queues.Outgoing{Body: []byte("later"), GroupID: "g", Delay: &minute}); err != nil {
			t.Errorf("with a delay: %v", err)
		}
		first := b.take(t, q, 1, "1")[0]
		if first.GroupID != "g" || first.SequenceNumber != "" || first.DeduplicationID != "" {
			t.Errorf("received %+v, want group g and neither sequence number nor deduplication id", first)
		}
		b.take(t, q, 10, "2", "1")
		if err := b.say(t, q, queues.Extend, first.ReceiptHandle, time.Hour); err != nil {
			t.Fatal(err)
		}
		b.clock.Advance(minute)
		if got := b.receive(t, q, 10); len(got) != 3 {
			t.Errorf("received %q while the first is held, want the other three", bodies(got))
		}
		b.healthy(t, q)
	})
}

// However much a group has waiting and in flight, a message of another group is received after at most one of each
// group. Nothing is dropped or refused for that, and when nobody else has anything the noisy group gets all.
func TestQ121_ANoisyGroupHoldsUpNoOther(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, other := b.queue(t, nil), b.another(t)
		const noisy = 600
		send := func(from string, n int) {
			t.Helper()
			batch := make([]string, n)
			for i := range batch {
				batch[i] = fmt.Sprintf("%s:%s%d", from, from, i)
			}
			b.post(t, q, batch...)
			b.clock.Advance(time.Millisecond)
		}
		got := map[string]int{}
		receive := func(n, most int) map[string]int {
			t.Helper()
			now := map[string]int{}
			for i := range n {
				list := []*bench{b, other}[i%2].receive(t, q, most)
				if len(list) != most {
					t.Fatalf("received %d messages, want %d", len(list), most)
				}
				for _, m := range list {
					now[m.GroupID]++
					got[m.GroupID]++
				}
				b.clock.Advance(time.Millisecond)
			}
			return now
		}
		send("loud", noisy)
		if now := receive(2, 100); now["loud"] != 200 {
			t.Errorf("alone it was given %v, want 200", now)
		}
		for _, most := range []int{1, 2} { // one by one, or two together
			send("quiet", 1)
			if now := receive(2/most, most); now["quiet"] != 1 {
				t.Errorf("among the next two, by %d: %v, want the quiet one's", most, now)
			}
		}
		send("shrill", noisy) // two noisy ones and three quiet ones, of which one has no group
		send("quiet", 1)
		send("silent", 1)
		b.send(t, q, "no group")
		if now := receive(1, 5); len(now) != 5 {
			t.Errorf("among the next five: %v, want one of each", now)
		}
		if now := receive(10, 10); now["loud"] != 50 || now["shrill"] != 50 {
			t.Errorf("two noisy ones were given %v, want as much each", now)
		}
		for range 2 * noisy {
			for _, m := range b.receive(t, q, 100) {
				got[m.GroupID]++
			}
		}
		if diff := cmp.Diff(map[string]int{"loud": noisy, "shrill": noisy, "quiet": 3, "silent": 1, "": 1}, got); diff != "" {
			t.Errorf("received in all (-want +got):\n%s", diff)
		}
		b.healthy(t, q)
	})
}
