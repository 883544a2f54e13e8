package queues_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sluicemq/sluice/queues"
)

// TestQ121_AGroupWaitsForOneTurnOfEachOther has one group with a backlog that never ends beside others, and messages
// without a group, that come and go. While a group waits, each other one is served in at most one receive before it, so
// the first message of a group is never behind more messages than there are groups when they are received one by one.
func TestQ121_AGroupWaitsForOneTurnOfEachOther(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, most := range []int{1, 5} {
			servers := []*bench{b, b.another(t)}
			q := b.queue(t, func(s *queues.Settings) { s.VisibilityTimeout = time.Hour })
			random := rand.New(rand.NewPCG(uint64(most), 121))
			names := []string{"noisy", ""}
			for i := range 8 {
				names = append(names, fmt.Sprint("g", i))
			}
			waiting, turns := map[string]int{}, map[string]map[string]int{}
			arrive := func(group string, n int) {
				if waiting[group] == 0 {
					turns[group] = map[string]int{}
				}
				waiting[group] += n
			}
			receives, received, longest := 0, 0, 0
			for step := range 180 {
				// Turns are told apart by the millisecond.
				b.clock.Advance(time.Millisecond)
				var batch []string
				if waiting["noisy"] < 50 {
					for i := range 100 {
						batch = append(batch, fmt.Sprintf("noisy:%d-%d", step, i))
					}
					arrive("noisy", 100)
				}
				for _, g := range names[1:] {
					if random.IntN(4) == 0 {
						batch = append(batch, fmt.Sprintf("%s:%d", g, step))
						arrive(g, 1)
					}
				}
				if len(batch) > 0 {
					servers[step%2].post(t, q, batch...)
				}
				b.clock.Advance(time.Millisecond)
				s := servers[random.IntN(2)]
				list := s.receive(t, q, 1+random.IntN(most))
				if len(list) == 0 {
					t.Fatal("nothing was received although the noisy group has messages")
				}
				receives, received = receives+1, received+len(list)
				served := map[string]bool{}
				for _, m := range list {
					served[m.GroupID] = true
					waiting[m.GroupID]--
				}
				for g, n := range waiting {
					switch {
					case served[g]:
						turns[g] = map[string]int{}
						continue
					case n == 0:
						continue
					}
					sum := 0
					for h := range served {
						turns[g][h]++
						if turns[g][h] > 1 {
							t.Errorf("step %d: group %q was served %d times while %q waited", step, h, turns[g][h], g)
						}
					}
					for _, n := range turns[g] {
						sum += n
					}
					longest = max(longest, sum)
				}
				for _, m := range list {
					verb := queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle}
					if random.IntN(5) == 0 {
						verb.Verb = queues.Return
						arrive(m.GroupID, 1)
					}
					s.settle(t, q, verb)
				}
				if step%50 == 0 {
					s.ForgetDesks()
				}
			}
			b.healthy(t, q)
			t.Logf("Q-121: up to %d at once: %d receives of %d messages of %d groups; a waiting group saw at most %d turns of others",
				most, receives, received, len(names), longest)
		}
	})
}

// dwell has the same receives at the same times take the same messages of twenty quiet groups, beside what feed sends at each
// tick, of another group. It acks what it receives, and settles as fate says what is of that group. It returns how long the
// quiet groups' messages have waited at the 99th percentile, how many there were, and the longest wait in the other group.
func (b *bench) dwell(t *testing.T, q, other string, feed func(tick int) []string, fate queues.Settlement) (p99 time.Duration, n int, longest time.Duration) {
	t.Helper()
	const ticks, tick, most, groups, chance = 150, 10 * time.Millisecond, 10, 20, 20
	random := rand.New(rand.NewPCG(1, 121))
	var quiet []time.Duration
	for i := range ticks {
		batch := feed(i) // before the others, so that it has nothing from them
		for g := range groups {
			if random.IntN(100) < chance {
				batch = append(batch, fmt.Sprintf("g%d:%d.%d", g, g, i))
			}
		}
		if len(batch) > 0 {
			b.post(t, q, batch...)
		}
		b.clock.Advance(tick)
		var acks []queues.Settlement
		for _, m := range b.receive(t, q, most) {
			dwell, one := b.clock.Now().Sub(m.SentAt), queues.Settlement{Verb: queues.Ack}
			if m.GroupID == other {
				longest, one = max(longest, dwell), fate
			} else {
				quiet = append(quiet, dwell)
			}
			one.ReceiptHandle = m.ReceiptHandle
			acks = append(acks, one)
		}
		if len(acks) > 0 {
			b.settle(t, q, acks...)
		}
	}
	b.healthy(t, q)
	slices.Sort(quiet)
	return quiet[len(quiet)*99/100], len(quiet), longest
}

// TestQ121_ANoisyGroupDoesNotSlowTheOthers has twenty quiet groups alone and beside one that sends a hundred times as much as
// each of them and more than can be received.
func TestQ121_ANoisyGroupDoesNotSlowTheOthers(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		ack := queues.Settlement{Verb: queues.Ack}
		lasting := func(s *queues.Settings) { s.VisibilityTimeout = time.Hour }
		alone, n, _ := b.dwell(t, b.queue(t, lasting), "noisy", func(int) []string { return nil }, ack)
		beside, m, loud := b.dwell(t, b.queue(t, lasting), "noisy", func(tick int) (batch []string) {
			for k := range 20 {
				batch = append(batch, fmt.Sprintf("noisy:%d-%d", tick, k))
			}
			return batch
		}, ack)
		ratio := float64(beside) / float64(alone)
		t.Logf("Q-121: dwell p99 of %d messages of quiet groups: alone %v, beside the noisy one %v (%d messages), ratio %.2f; the noisy one waited up to %v",
			n, alone, beside, m, ratio, loud)
		if ratio > 1.5 {
			t.Errorf("the quiet groups wait %.2f times as long, want at most 1.5", ratio)
		}
		if loud < 10*beside {
			t.Errorf("the noisy group waited no longer than %v: it had no backlog, so this proves nothing", loud)
		}
	})
}
