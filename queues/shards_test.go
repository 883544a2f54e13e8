package queues_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// sharded makes a queue with n shards.
func (b *bench) sharded(tb testing.TB, n int, change ...func(*queues.Settings)) string {
	tb.Helper()
	return b.queue(tb, func(s *queues.Settings) {
		s.Shards = n
		for _, c := range change {
			c(s)
		}
	})
}

// groupTo returns a group whose messages go to shard k of n.
func (b *bench) groupTo(tb testing.TB, n, k int) string {
	tb.Helper()
	q := b.sharded(tb, n)
	for i := 0; ; i++ {
		group := fmt.Sprint("group", i)
		if b.post(tb, q, group+":probe")[0].ID.Shard() == k {
			return group
		}
	}
}

// drained receives and acknowledges all that there is, and returns the bodies, sorted.
func (b *bench) drained(tb testing.TB, q string) []string {
	tb.Helper()
	var out []string
	for {
		list := b.receive(tb, q, 7)
		if len(list) == 0 {
			slices.Sort(out)
			return out
		}
		out = append(out, bodies(list)...)
		for _, m := range list {
			if s := b.settle(tb, q, ackOf(m)); s[0].Err != nil {
				tb.Fatalf("ack of %s: %v", m.Body, s[0].Err)
			}
		}
	}
}

func numbered(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("m%04d", i)
	}
	return out
}

// scatter sends so many messages without keys, in one batch for each hundred.
func (b *bench) scatter(tb testing.TB, q string, n int) []queues.SendResult {
	tb.Helper()
	var out []queues.SendResult
	for part := range slices.Chunk(numbered(n), 100) {
		batch := make([]queues.Outgoing, len(part))
		for i, body := range part {
			batch[i].Body = []byte(body)
		}
		out = append(out, b.batch(tb, q, false, batch...)...)
	}
	return out
}

func TestTheNumberOfShardsIsSettledWhenAQueueIsMade(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		ctx, other := t.Context(), b.another(t)
		q := b.sharded(t, 8)
		if got, err := other.Get(ctx, b.tenant, q); err != nil || got.Settings.Shards != 8 {
			t.Fatalf("got %+v, %v; want 8 shards", got, err)
		}
		if got := b.left(t); len(got) != 8*len(b.Keys(b.tenant, q)) {
			t.Errorf("there are %d keys, want those of 8 shards: %q", len(got), got)
		}
		set := queues.DefaultSettings()
		for _, s := range []*bench{b, other} {
			for _, n := range []int{1, 7, 9} {
				set.Shards = n
				if _, _, err := s.Put(ctx, b.tenant, q, set, queues.Condition{}); !errors.Is(err, queues.ErrShardsFixed) {
					t.Errorf("put with %d shards: got %v, want %v", n, err, queues.ErrShardsFixed)
				}
				change := func(have queues.Settings) (queues.Settings, error) {
					have.Shards = n
					return have, nil
				}
				if _, err := s.Update(ctx, b.tenant, q, queues.Condition{}, change); !errors.Is(err, queues.ErrShardsFixed) {
					t.Errorf("update to %d shards: got %v, want %v", n, err, queues.ErrShardsFixed)
				}
			}
			for _, n := range []int{0, 8} {
				set.Shards = n
				if got, _, err := s.Put(ctx, b.tenant, q, set, queues.Condition{}); err != nil || got.Settings.Shards != 8 {
					t.Errorf("put with %d shards: got %+v, %v; want 8", n, got, err)
				}
			}
		}
		one := b.queue(t, nil)
		if _, err := b.Update(ctx, b.tenant, one, queues.Condition{}, func(have queues.Settings) (queues.Settings, error) {
			have.Shards = 2
			return have, nil
		}); !errors.Is(err, queues.ErrShardsFixed) {
			t.Errorf("update of a queue with one: got %v, want %v", err, queues.ErrShardsFixed)
		}
		for name, change := range map[string]func(*queues.Settings){
			"negative":                           func(s *queues.Settings) { s.Shards = -1 },
			"too many":                           func(s *queues.Settings) { s.Shards = 65 },
			"fewer messages than shards":         func(s *queues.Settings) { s.Shards, s.MaxMessages = 8, 7 },
			"no room for a message in one shard": func(s *queues.Settings) { s.Shards, s.MaxBytes = 8, 8*(queues.MaxMessageSize+1024)-1 },
		} {
			set := queues.DefaultSettings()
			change(&set)
			if _, _, err := b.Put(ctx, b.tenant, "refused", set, queues.Condition{}); errs.KindOf(err) != errs.Invalid {
				t.Errorf("%s: got %v, want a refusal", name, err)
			}
		}
		fifo := queues.DefaultSettings()
		fifo.Shards = 2
		if _, _, err := b.Put(ctx, b.tenant, "refused.fifo", fifo, queues.Condition{}); errs.KindOf(err) != errs.Invalid {
			t.Errorf("a FIFO queue: got %v, want a refusal", err)
		}
		if got := b.listed(t, "refused"); len(got) > 0 {
			t.Errorf("%q were made", got)
		}
		if err := other.Delete(ctx, b.tenant, q, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		b.missing(t, q)
		if got := b.left(t); len(got) != len(b.Keys(b.tenant, one)) {
			t.Errorf("keys are left: %q", got)
		}
	})
}

// Whatever must happen to all shards is finished by whoever finds it half done.
func TestHalfDoneShards(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		ctx, dying, other := t.Context(), b.another(t), b.another(t)
		const n = 3
		set := withTimeout(time.Minute)
		set.Shards = n
		crashes := func(name, step string, err error) {
			t.Helper()
			if !errors.Is(err, errCrash) && errs.KindOf(err) != errs.Unknown {
				t.Fatalf("%s: the server should have died after %q: %v", name, step, err)
			}
		}
		for _, step := range []string{"made", "shard made"} {
			for _, by := range []string{"put", "sweep"} {
				q := "made-by-" + by + strings.ReplaceAll(step, " ", "-")
				dying.SetStep(crashAfter(step))
				_, _, err := dying.Put(ctx, b.tenant, q, set, queues.Condition{})
				crashes(q, step, err)
				b.missing(t, q)
				if by == "sweep" {
					if err := b.Sweep(ctx, b.tenant); err != nil {
						t.Fatal(err)
					}
				} else if got, _, err := b.Put(ctx, b.tenant, q, set, queues.Condition{}); err != nil || got.Settings.Shards != n {
					t.Errorf("%s: got %+v, %v", q, got, err)
				}
				b.scatter(t, q, 100)
				if diff := cmp.Diff(numbered(100), other.drained(t, q)); diff != "" {
					t.Errorf("%s: (-sent +received):\n%s", q, diff)
				}
				b.healthy(t, q)
			}
		}
		for _, by := range []string{"put", "update", "sweep", "forgotten"} {
			q := b.sharded(t, n)
			b.scatter(t, q, 100)
			other.scatter(t, q, 100)
			dying.SetStep(crashAfter("configured"))
			_, _, err := dying.Put(ctx, b.tenant, q, withTimeout(time.Hour).For(q), queues.Condition{})
			if !errors.Is(err, queues.ErrShardsFixed) {
				t.Fatal(err)
			}
			long := set
			long.VisibilityTimeout = time.Hour
			_, _, err = dying.Put(ctx, b.tenant, q, long, queues.Condition{})
			crashes(q, "configured", err)
			switch by {
			case "put":
				_, _, err = b.Put(ctx, b.tenant, q, long, queues.Condition{})
			case "update":
				_, err = b.Update(ctx, b.tenant, q, queues.Condition{}, func(s queues.Settings) (queues.Settings, error) { return s, nil })
			case "sweep":
				err = b.Sweep(ctx, b.tenant)
			case "forgotten":
				b.ForgetDesks()
				_, err = b.Stats(ctx, b.tenant, q)
			}
			if err != nil {
				t.Fatalf("%s: %v", by, err)
			}
			for range 2 * n {
				for _, m := range other.receive(t, q, 1) {
					if got := m.LeaseExpiresAt.Sub(b.clock.Now()); got != time.Hour {
						t.Errorf("%s: a message of shard %d is lent for %s, want the new hour", by, m.ID.Shard(), got)
					}
				}
			}
		}
		for _, step := range []string{"retired", "shard retired", "unregistered", "shard erased", "erased"} {
			for _, by := range []string{"put", "sweep", "send"} {
				q := strings.ReplaceAll(step, " ", "-") + "-" + by
				for _, s := range []*bench{b, other} {
					if _, _, err := s.Put(ctx, b.tenant, q, set, queues.Condition{}); err != nil {
						t.Fatal(err)
					}
					s.scatter(t, q, 100)
				}
				before := b.left(t)
				dying.SetStep(crashAfter(step))
				crashes(q, step, dying.Delete(ctx, b.tenant, q, queues.Condition{}))
				switch by {
				case "put":
					one := queues.DefaultSettings()
					if got, created, err := other.Put(ctx, b.tenant, q, one, queues.Condition{Missing: true}); err != nil || !created || got.Settings.Shards != 1 {
						t.Fatalf("%s: created %v, %+v, %v", q, created, got, err)
					}
					b.send(t, q, "new")
					if diff := cmp.Diff([]string{"new"}, bodies(b.receive(t, q, 10))); diff != "" {
						t.Errorf("%s: received (-want +got):\n%s", q, diff)
					}
					if err := b.Delete(ctx, b.tenant, q, queues.Condition{}); err != nil {
						t.Fatal(err)
					}
				case "send":
					// It may go to a shard that nobody has closed, until one of them meets the first.
					until(t, func() bool {
						_, err := b.Send(ctx, b.tenant, q, queues.Outgoing{Body: []byte("m")})
						if err != nil && !errors.Is(err, queues.ErrQueueNotFound) {
							t.Fatalf("%s: got %v, want %v", q, err, queues.ErrQueueNotFound)
						}
						return err != nil
					})
				}
				if err := b.Sweep(ctx, b.tenant); err != nil {
					t.Errorf("%s: sweep: %v", q, err)
				}
				b.missing(t, q)
				if got := b.left(t); len(got) != len(before)-n*len(b.ShardKeys(t, b.tenant, b.sharded(t, 1), 0)) {
					t.Errorf("%s: keys are left: %d of %d", q, len(got), len(before))
				}
				b.ForgetDesks()
			}
		}
	})
}

// A shard whose keys are gone is lost data, like a queue.
func TestALostShardIsNoMissingQueue(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		servers := []*bench{b, b.another(t)}
		q := b.sharded(t, 3)
		b.scatter(t, q, 100)
		var keys []string
		for _, k := range b.ShardKeys(t, b.tenant, q, 1) {
			keys = append(keys, k)
		}
		if err := b.engine.Single().Del(ctx, keys...).Err(); err != nil {
			t.Fatal(err)
		}
		for i, s := range servers { // one knew the queue, the other did not
			_, stats := s.Stats(ctx, b.tenant, q)
			_, send := s.Send(ctx, b.tenant, q, queues.Outgoing{Body: []byte("m")})
			_, check := s.Check(ctx, b.tenant, q)
			_, _, put := s.Put(ctx, b.tenant, q, withTimeout(time.Hour), queues.Condition{Missing: true})
			for what, err := range map[string]error{"stats": stats, "send": send, "check": check, "put if missing": put} {
				if !errors.Is(err, queues.ErrDataLost) {
					t.Errorf("server %d, %s: got %v, want %v", i, what, err, queues.ErrDataLost)
				}
			}
			if err := s.Sweep(ctx, b.tenant); err != nil {
				t.Errorf("server %d, sweep: %v", i, err)
			}
		}
		if n := b.engine.Single().Exists(ctx, keys...).Val(); n != 0 {
			t.Errorf("%d keys of the lost shard were made anew", n)
		}
	})
}

func TestShardsAreFarFromEachOther(t *testing.T) {
	t.Parallel()
	for _, uid := range []string{"0123456789ab", "zzzzzzzzzzzz", "q7c2mv9x4t1d"} {
		for n := 2; n <= queues.MaxShards; n++ {
			for _, nodes := range []int{1, 2, 3, 7} {
				on := make([]int, nodes)
				for k := range n {
					on[engine.Slot(queues.ShardUID(uid, k, n))*nodes/engine.Slots]++
				}
				if most, least := slices.Max(on), slices.Min(on); most-least > 2 {
					t.Errorf("%d shards of %s on %d nodes: %v", n, uid, nodes, on)
				}
			}
		}
	}
}

func TestASendGoesToOneShard(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other, q := b.another(t), b.sharded(t, 8)
		for i := range 20 {
			key := fmt.Sprint("k", i)
			first := b.batch(t, q, false, keyedMessage(key, "m"))[0]
			again := other.batch(t, q, false, queues.Outgoing{Body: []byte("x")}, keyedMessage(key, "m"))[1]
			if first.Err != nil || again.Err != nil || !again.Replayed || again.ID != first.ID {
				t.Errorf("the same key on another server: got %+v, want %s again", again, first.ID)
			}
			conflict := other.batch(t, q, false, keyedMessage(key, "another"))[0]
			if !errors.Is(conflict.Err, queues.ErrKeyReused) {
				t.Errorf("another message with that key: got %v", conflict.Err)
			}
		}
		used := map[int]bool{}
		for i := range 30 {
			group := fmt.Sprint("g", i)
			got := append(b.post(t, q, group+":a"), other.post(t, q, group+":b", group+":c")...)
			if a := got[0].ID.Shard(); a != got[1].ID.Shard() || a != got[2].ID.Shard() {
				t.Errorf("group %s is in several shards", group)
			}
			used[got[0].ID.Shard()] = true
		}
		if len(used) < 4 {
			t.Errorf("30 groups are in %d shards", len(used))
		}
		batch := make([]queues.Outgoing, 100)
		for i := range batch {
			batch[i].Body = []byte("m")
		}
		shards := func(list []queues.SendResult) map[int]int {
			out := map[int]int{}
			for _, r := range list {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
				out[r.ID.Shard()]++
			}
			return out
		}
		if got := shards(b.batch(t, q, true, batch...)); len(got) != 1 {
			t.Errorf("an atomic batch is in several shards: %v", got)
		}
		if got := shards(b.batch(t, q, false, batch...)); len(got) != 8 {
			t.Errorf("a batch of 100 is in the shards %v, want all", got)
		}
		batch[3].IdempotencyKey = "atomic"
		first, again := b.batch(t, q, true, batch...), other.batch(t, q, true, batch...)
		if !again[3].Replayed || again[3].ID != first[3].ID {
			t.Errorf("an atomic batch again: got %+v, want %s", again[3], first[3].ID)
		}
		b.healthy(t, q)
	})
}

func TestReceiptsAndIDsLeadToTheirShards(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		ctx, other, q, foreign := t.Context(), b.another(t), b.sharded(t, 5), b.sharded(t, 5)
		b.scatter(t, q, 100)
		var list []queues.Message
		for len(list) < 100 {
			list = append(list, b.receive(t, q, 9)...)
		}
		// Receipts of all shards in one call, on the other server, and one of another queue among them.
		b.send(t, foreign, "m")
		var verbs []queues.Settlement
		for i, m := range list {
			one := ackOf(m)
			switch i % 3 {
			case 1:
				one.Verb, one.For = queues.Extend, time.Hour
			case 2:
				one.Verb = queues.Return
			}
			verbs = append(verbs, one)
		}
		verbs = append(verbs, ackOf(b.receive(t, foreign, 1)[0]), queues.Settlement{Verb: queues.Ack, ReceiptHandle: "rh_nonsense"})
		out := other.settle(t, q, verbs...)
		for i := range list {
			if out[i].Err != nil {
				t.Errorf("settlement %d: %v", i, out[i].Err)
			}
		}
		for _, bad := range out[100:] {
			if !errors.Is(bad.Err, queues.ErrReceiptInvalid) {
				t.Errorf("a foreign receipt: got %v", bad.Err)
			}
		}
		if got := b.counts(t, q); got != [3]int64{33, 33, 0} {
			t.Errorf("counts: %v", got)
		}
		m, err := other.Message(ctx, b.tenant, q, list[1].ID)
		if err != nil || m.Body != list[1].Body || m.State != queues.InFlight {
			t.Errorf("by its id: got %+v, %v", m, err)
		}
		if err := other.DeleteMessage(ctx, b.tenant, q, list[1].ID); err != nil {
			t.Error(err)
		}
		if _, err := b.Message(ctx, b.tenant, q, list[1].ID); !errors.Is(err, queues.ErrMessageNotFound) {
			t.Errorf("a deleted message: got %v", err)
		}
		hour := time.Hour
		late, err := b.Send(ctx, b.tenant, q, queues.Outgoing{Body: []byte("late"), Delay: &hour})
		if err != nil {
			t.Fatal(err)
		}
		if _, state, err := other.DelayMessage(ctx, b.tenant, q, late.ID, queues.Due{}); err != nil || state != queues.Available {
			t.Errorf("delivered now: got %s, %v", state, err)
		}
		b.healthy(t, q)
	})
}

func TestPagesGoThroughAllShards(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.sharded(t, 5)
		b.scatter(t, q, 230)
		seen := map[string]int{}
		pages := 0
		for cursor := ""; ; pages++ {
			page, err := b.Peek(t.Context(), b.tenant, q, queues.PeekOptions{Limit: 20, Cursor: cursor})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range page.Messages {
				seen[m.Body]++
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if len(seen) != 230 || pages > 12 {
			t.Errorf("%d messages in %d pages, want 230 in 12", len(seen), pages)
		}
		filter, err := queues.ParseFilter("body:m01*")
		if err != nil {
			t.Fatal(err)
		}
		found, err := b.Search(t.Context(), b.tenant, q, queues.SearchOptions{PeekOptions: queues.PeekOptions{Limit: 100}, Match: filter.Match})
		if err != nil || len(found.Messages) != 100 {
			t.Errorf("found %d messages, %v; want 100", len(found.Messages), err)
		}
		for _, c := range []string{queues.ShardCursor(5), queues.ShardCursor(63)} {
			if _, err := b.Peek(t.Context(), b.tenant, q, queues.PeekOptions{Cursor: c}); errs.KindOf(err) != errs.Invalid {
				t.Errorf("a cursor of a shard that is not there: got %v", err)
			}
		}
		if _, err := b.Peek(t.Context(), b.tenant, b.queue(t, nil), queues.PeekOptions{Cursor: queues.ShardCursor(1)}); errs.KindOf(err) != errs.Invalid {
			t.Errorf("a cursor of another queue: got %v", err)
		}
		if _, err := b.Tail(t.Context(), b.tenant, q, queues.TailNow); !errors.Is(err, queues.ErrSharded) {
			t.Errorf("tail: got %v, want %v", err, queues.ErrSharded)
		}
	})
}

func TestCountsOfShardsAreSummed(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.sharded(t, 4)
		b.send(t, q, "old")
		b.clock.Advance(time.Minute)
		b.scatter(t, q, 50)
		st, err := b.another(t).Stats(t.Context(), b.tenant, q)
		if err != nil || st.Available != 51 || st.Sent != 51 || st.OldestAge != time.Minute || st.Bytes == 0 {
			t.Errorf("stats: %+v, %v", st, err)
		}
		list, _, err := b.List(t.Context(), b.tenant, q, "", 10)
		if err != nil || len(list) != 1 || list[0].Available != 51 || list[0].Settings.Shards != 4 {
			t.Errorf("list: %+v, %v", list, err)
		}
		if r := b.healthy(t, q); r.Available != 51 {
			t.Errorf("recount: %+v", r)
		}
		if n, err := b.Purge(t.Context(), b.tenant, q); n != 51 || err != nil {
			t.Errorf("purged %d, %v", n, err)
		}
	})
}

// Each shard has its part of a cap.
func TestCapsAreDividedAmongShards(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		const n = 4
		group := b.groupTo(t, n, 1)
		for when, want := range map[queues.WhenFull]int64{queues.Reject: 5, queues.DropOldest: 5} {
			q := b.sharded(t, n, func(s *queues.Settings) { s.MaxMessages, s.WhenFull = 20, when })
			refused := 0
			for range 8 {
				if b.batch(t, q, false, queues.Outgoing{Body: []byte("m"), GroupID: group})[0].Err != nil {
					refused++
				}
			}
			if got := b.counts(t, q)[0]; got != want || (refused == 3) != (when == queues.Reject) {
				t.Errorf("%s: %d messages, %d refused; one shard may hold %d", when, got, refused, want)
			}
			b.scatter(t, q, 100)
			if got := b.counts(t, q)[0]; got != 20 {
				t.Errorf("%s: the queue holds %d messages, want 20", when, got)
			}
		}
	})
}
