package queues_test

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// missing fails the test unless there is no such queue, by every way of asking.
func (b *bench) missing(tb testing.TB, q string) {
	tb.Helper()
	ctx := context.Background()
	_, get := b.Get(ctx, b.tenant, q)
	_, send := b.Send(ctx, b.tenant, q, queues.Outgoing{Body: []byte("m")})
	_, receive := b.Receive(ctx, b.tenant, q, queues.ReceiveOptions{})
	_, settle := b.Settle(ctx, b.tenant, q, []queues.Settlement{{Verb: queues.Ack, ReceiptHandle: "rh_"}})
	_, stats := b.Stats(ctx, b.tenant, q)
	_, peek := b.Peek(ctx, b.tenant, q, queues.PeekOptions{})
	_, consume := b.Consume(ctx, b.tenant, q, queues.ConsumeOptions{MaxInFlight: 1})
	_, tail := b.Tail(ctx, b.tenant, q, queues.TailNow)
	_, purge := b.Purge(ctx, b.tenant, q)
	_, check := b.Check(ctx, b.tenant, q)
	_, update := b.Update(ctx, b.tenant, q, queues.Condition{}, func(s queues.Settings) (queues.Settings, error) { return s, nil })
	for what, err := range map[string]error{
		"get": get, "send": send, "receive": receive, "settle": settle, "stats": stats, "peek": peek, "consume": consume, "tail": tail, "purge": purge,
		"check": check, "update": update, "delete": b.Delete(ctx, b.tenant, q, queues.Condition{}),
	} {
		if !errors.Is(err, queues.ErrQueueNotFound) {
			tb.Errorf("%s: got %v, want %v", what, err, queues.ErrQueueNotFound)
		}
	}
	for _, l := range b.listed(tb, "") {
		if l == q {
			tb.Errorf("%q is listed", q)
		}
	}
}

// listed returns the names of all queues with a prefix.
func (b *bench) listed(tb testing.TB, prefix string) []string {
	tb.Helper()
	var got []string
	for after := ""; ; {
		list, next, err := b.List(context.Background(), b.tenant, prefix, after, 100)
		if err != nil {
			tb.Fatalf("list: %v", err)
		}
		for _, l := range list {
			got = append(got, l.Name)
		}
		if after = next; after == "" {
			return got
		}
	}
}

// left returns the keys of the tenant, without those of its registry.
func (b *bench) left(tb testing.TB) []string {
	tb.Helper()
	prefix, registry, listed := queues.TenantKeys(b.tenant)
	var got []string
	iter := b.engine.Single().Scan(context.Background(), 0, prefix+"*", 1000).Iterator()
	for iter.Next(context.Background()) {
		if k := iter.Val(); k != registry && k != listed && !strings.HasSuffix(k, "}:tenant") {
			got = append(got, k)
		}
	}
	if err := iter.Err(); err != nil {
		tb.Fatal(err)
	}
	sort.Strings(got)
	return got
}

func withTimeout(d time.Duration) queues.Settings {
	s := queues.DefaultSettings()
	s.VisibilityTimeout = d
	return s
}

func TestPutCreatesOnceAndReplaces(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		q, created, err := b.Put(ctx, b.tenant, "q", withTimeout(time.Second), queues.Condition{Missing: true})
		if err != nil || !created || q.Name != "q" || q.Settings.VisibilityTimeout != time.Second || !q.Created.Equal(start) {
			t.Fatalf("put: got %+v, created %v, %v", q, created, err)
		}
		got, err := b.Get(ctx, b.tenant, "q")
		if diff := cmp.Diff(q, got); diff != "" || err != nil {
			t.Fatalf("get: %v (-put +got):\n%s", err, diff)
		}
		if _, _, err := b.Put(ctx, b.tenant, "q", withTimeout(time.Minute), queues.Condition{Missing: true}); !errors.Is(err, queues.ErrPrecondition) {
			t.Errorf("put of a queue that is there, with If-None-Match: got %v, want %v", err, queues.ErrPrecondition)
		}
		b.clock.Advance(time.Second)
		same, created, err := b.Put(ctx, b.tenant, "q", withTimeout(time.Second), queues.Condition{})
		if err != nil || created || same.ETag != q.ETag || !same.Updated.Equal(start) {
			t.Errorf("put of the same settings: got %+v, created %v, %v; want nothing changed", same, created, err)
		}
		other, created, err := b.Put(ctx, b.tenant, "q", withTimeout(time.Minute), queues.Condition{ETag: q.ETag})
		if err != nil || created || other.ETag == q.ETag || !other.Updated.Equal(start.Add(time.Second)) || !other.Created.Equal(start) {
			t.Errorf("put of other settings: got %+v, created %v, %v", other, created, err)
		}
		if _, _, err := b.Put(ctx, b.tenant, "q", withTimeout(time.Hour), queues.Condition{ETag: q.ETag}); !errors.Is(err, queues.ErrPrecondition) {
			t.Errorf("put with an old ETag: got %v, want %v", err, queues.ErrPrecondition)
		}
		if _, _, err := b.Put(ctx, b.tenant, "none", withTimeout(time.Hour), queues.Condition{ETag: "*"}); !errors.Is(err, queues.ErrPrecondition) {
			t.Errorf("put with If-Match: * of a queue that is not there: got %v, want %v", err, queues.ErrPrecondition)
		}
		b.missing(t, "none")
	})
}

func TestUpdateAndDeleteWithConditions(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		name := b.queue(t, nil)
		q, err := b.Get(ctx, b.tenant, name)
		if err != nil {
			t.Fatal(err)
		}
		set := func(d time.Duration) func(queues.Settings) (queues.Settings, error) {
			return func(s queues.Settings) (queues.Settings, error) {
				s.VisibilityTimeout = d
				return s, nil
			}
		}
		next, err := b.Update(ctx, b.tenant, name, queues.Condition{ETag: q.ETag}, set(time.Minute))
		if err != nil || next.ETag == q.ETag || next.Settings.VisibilityTimeout != time.Minute {
			t.Fatalf("update: got %+v, %v", next, err)
		}
		if _, err := b.Update(ctx, b.tenant, name, queues.Condition{ETag: q.ETag}, set(time.Hour)); !errors.Is(err, queues.ErrPrecondition) {
			t.Errorf("update with an old ETag: got %v, want %v", err, queues.ErrPrecondition)
		}
		if _, err := b.Update(ctx, b.tenant, name, queues.Condition{}, set(13*time.Hour)); err == nil {
			t.Error("update beyond the limit: got no error")
		}
		if err := b.Delete(ctx, b.tenant, name, queues.Condition{ETag: q.ETag}); !errors.Is(err, queues.ErrPrecondition) {
			t.Errorf("delete with an old ETag: got %v, want %v", err, queues.ErrPrecondition)
		}
		if err := b.Delete(ctx, b.tenant, name, queues.Condition{ETag: next.ETag}); err != nil {
			t.Errorf("delete: %v", err)
		}
		b.missing(t, name)
		if got := b.left(t); len(got) > 0 {
			t.Errorf("keys are left: %q", got)
		}
	})
}

// Of concurrent creators exactly one creates, on whichever server, and each conditional one of the others is told.
func TestConcurrentCreators(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		servers := []*bench{b, b.another(t)}
		for round := range 20 {
			name := fmt.Sprint("race", round)
			var wg sync.WaitGroup
			var mu sync.Mutex
			created, refused := 0, 0
			for i := range 6 {
				wg.Go(func() {
					s := servers[i%2]
					_, made, err := s.Put(t.Context(), b.tenant, name, withTimeout(time.Duration(i+1)*time.Second), queues.Condition{Missing: true})
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil && made:
						created++
					case errors.Is(err, queues.ErrPrecondition):
						refused++
					default:
						t.Errorf("creator %d: created %v, %v", i, made, err)
					}
				})
			}
			wg.Wait()
			if created != 1 || refused != 5 {
				t.Errorf("%d created the queue and %d were refused, want 1 and 5", created, refused)
			}
			// Both servers know the same settings, also without asking again.
			first, err := b.Get(t.Context(), b.tenant, name)
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range servers {
				s.send(t, name, "m")
				m := s.receive(t, name, 1)[0]
				if got := m.LeaseExpiresAt.Sub(start); got != first.Settings.VisibilityTimeout {
					t.Errorf("server %d lends for %s, the settings say %s", i, got, first.Settings.VisibilityTimeout)
				}
			}
		}
	})
}

func TestListPagesByNameAndPrefix(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		var want []string
		for _, n := range []string{"b", "a", "ab", "a-1", "a_2", "aB", "Z", "9", "abc", "b2"} {
			if _, _, err := b.Put(t.Context(), b.tenant, n, queues.DefaultSettings(), queues.Condition{}); err != nil {
				t.Fatal(err)
			}
			want = append(want, n)
		}
		sort.Strings(want)
		b.send(t, "ab", "m")
		b.receive(t, "ab", 1)
		b.send(t, "ab", "n")
		for limit := 1; limit <= len(want)+1; limit++ {
			var got []string
			for after, pages := "", 0; ; pages++ {
				list, next, err := b.List(t.Context(), b.tenant, "", after, limit)
				if err != nil || len(list) > limit || pages > len(want) {
					t.Fatalf("limit %d, page %d: %d queues, %v", limit, pages, len(list), err)
				}
				for _, l := range list {
					got = append(got, l.Name)
					if n := [3]int64{l.Available, l.InFlight, l.Delayed}; l.Name == "ab" && n != [3]int64{1, 1, 0} || l.Name != "ab" && n != [3]int64{} {
						t.Errorf("%s is listed with the counts %v", l.Name, n)
					}
				}
				if after = next; after == "" {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("limit %d (-want +got):\n%s", limit, diff)
			}
		}
		for prefix, want := range map[string][]string{
			"a": {"a", "a-1", "aB", "a_2", "ab", "abc"}, "ab": {"ab", "abc"}, "b": {"b", "b2"}, "abcd": nil, "Z": {"Z"},
		} {
			if diff := cmp.Diff(want, b.listed(t, prefix)); diff != "" {
				t.Errorf("prefix %q (-want +got):\n%s", prefix, diff)
			}
		}
	})
}

func TestAQueueMadeAgainIsAnotherQueue(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		q := b.queue(t, nil)
		b.send(t, q, "old")
		b.send(t, q, "old, held")
		held := other.receive(t, q, 1)[0] // the other server knows the old queue
		before, err := b.Get(t.Context(), b.tenant, q)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		other.missing(t, q)
		b.missing(t, q)
		if got := b.left(t); len(got) > 0 {
			t.Errorf("keys are left: %q", got)
		}
		after, created, err := b.Put(t.Context(), b.tenant, q, before.Settings, queues.Condition{Missing: true})
		if err != nil || !created {
			t.Fatalf("put again: created %v, %v", created, err)
		}
		if after.ETag == before.ETag {
			t.Error("the new queue has the old one's ETag")
		}
		other.send(t, q, "new")
		if diff := cmp.Diff([]string{"new"}, bodies(b.receive(t, q, 10))); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
		for _, s := range []*bench{b, other} {
			out := s.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: held.ReceiptHandle})
			if !errors.Is(out[0].Err, queues.ErrReceiptInvalid) {
				t.Errorf("ack by a receipt of the old queue: got %v, want %v", out[0].Err, queues.ErrReceiptInvalid)
			}
		}
		if _, err := b.Message(t.Context(), b.tenant, q, held.ID); !errors.Is(err, queues.ErrMessageNotFound) {
			t.Errorf("a message of the old queue: got %v, want %v", err, queues.ErrMessageNotFound)
		}
		b.healthy(t, q)
	})
}

func TestAWaitingReceiveLearnsThatItsQueueIsDeleted(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		wait := 20 * time.Second
		done := make(chan error, 2)
		for range 2 {
			go func() {
				list, err := b.Receive(t.Context(), b.tenant, q, queues.ReceiveOptions{Wait: &wait})
				if len(list) > 0 {
					err = fmt.Errorf("received %v", bodies(list))
				}
				done <- err
			}()
		}
		b.awaitParked(t, q, 2)
		if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := <-done; err != nil && !errors.Is(err, queues.ErrQueueNotFound) {
				t.Errorf("a waiting receive: %v", err)
			}
		}
	})
}

func TestTenantsWithTheSameNamesAreIndependent(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		store := tenants.New(b.engine, b.clock)
		tn, _, err := store.Put(t.Context(), "other-"+b.tenant.String(), tenants.Settings{}, tenants.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		twin := *b
		twin.tenant = tn.ID
		for _, s := range []*bench{b, &twin} {
			if _, created, err := s.Put(t.Context(), s.tenant, "q", queues.DefaultSettings(), queues.Condition{Missing: true}); err != nil || !created {
				t.Fatalf("put: created %v, %v", created, err)
			}
		}
		key := queues.Outgoing{Body: []byte("mine"), IdempotencyKey: "k"}
		mine, err := b.Send(t.Context(), b.tenant, "q", key)
		if err != nil {
			t.Fatal(err)
		}
		key.Body = []byte("yours")
		if yours, err := twin.Send(t.Context(), twin.tenant, "q", key); err != nil || yours.Replayed {
			t.Fatalf("the other tenant's key: replayed %v, %v", yours.Replayed, err)
		}
		m := b.receive(t, "q", 10)
		if diff := cmp.Diff([]string{"mine"}, bodies(m)); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
		out := twin.settle(t, "q", queues.Settlement{Verb: queues.Ack, ReceiptHandle: m[0].ReceiptHandle})
		if !errors.Is(out[0].Err, queues.ErrReceiptInvalid) {
			t.Errorf("ack by the other tenant: got %v, want %v", out[0].Err, queues.ErrReceiptInvalid)
		}
		if _, err := twin.Message(t.Context(), twin.tenant, "q", mine.ID); !errors.Is(err, queues.ErrMessageNotFound) {
			t.Errorf("message by the other tenant: got %v", err)
		}
		if err := twin.DeleteMessage(t.Context(), twin.tenant, "q", mine.ID); !errors.Is(err, queues.ErrMessageNotFound) {
			t.Errorf("delete by the other tenant: got %v", err)
		}
		if n, err := twin.Purge(t.Context(), twin.tenant, "q"); n != 1 || err != nil {
			t.Errorf("purge by the other tenant: %d, %v", n, err)
		}
		if err := twin.Delete(t.Context(), twin.tenant, "q", queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		if got, want := b.counts(t, "q"), [3]int64{0, 1, 0}; got != want {
			t.Errorf("counts: got %v, want %v", got, want)
		}
		b.healthy(t, "q")
	})
}

var errCrash = errors.New("the server died")

// crashAfter ends a call after one of its steps, as the death of its server would.
func crashAfter(step string) func(string) error {
	return func(done string) error {
		if done == step {
			return errCrash
		}
		return nil
	}
}

// A crash may leave a creation or a deletion half done. Nothing of it shows, and whoever comes next finishes it.
func TestHalfDoneCreations(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		dying := b.another(t)
		for _, step := range []string{"reserved", "made"} {
			for _, by := range []string{"put", "put with another setting", "put if missing", "sweep"} {
				q := step + "-" + strings.ReplaceAll(by, " ", "-")
				dying.SetStep(crashAfter(step))
				if _, _, err := dying.Put(t.Context(), b.tenant, q, withTimeout(time.Minute), queues.Condition{}); !errors.Is(err, errCrash) {
					t.Fatalf("%s: the server should have died: %v", q, err)
				}
				b.missing(t, q)
				want := time.Minute
				switch by {
				case "sweep":
					if err := b.Sweep(t.Context(), b.tenant); err != nil {
						t.Errorf("%s: %v", q, err)
					}
					if step == "reserved" { // nobody knows what it was to be
						b.missing(t, q)
						continue
					}
				case "put if missing":
					if step == "reserved" {
						want = 2 * time.Minute
					}
					_, _, err := b.Put(t.Context(), b.tenant, q, withTimeout(2*time.Minute), queues.Condition{Missing: true})
					// Once its keys are made it is the dead server's queue, which somebody may have been promised.
					if step == "reserved" && err != nil || step == "made" && !errors.Is(err, queues.ErrPrecondition) {
						t.Errorf("%s: %v", q, err)
					}
				case "put with another setting":
					want = time.Hour
					fallthrough
				default:
					got, _, err := b.Put(t.Context(), b.tenant, q, withTimeout(want), queues.Condition{})
					if err != nil || got.Settings.VisibilityTimeout != want {
						t.Errorf("%s: got %+v, %v", q, got, err)
					}
				}
				for _, s := range []*bench{b, b.another(t)} {
					if got, err := s.Get(t.Context(), b.tenant, q); err != nil || got.Settings.VisibilityTimeout != want {
						t.Errorf("%s: got %+v, %v; want the time-out %s", q, got, err, want)
					}
					s.send(t, q, "m")
					if m := s.receive(t, q, 1); len(m) != 1 || m[0].LeaseExpiresAt.Sub(m[0].FirstReceivedAt) != want {
						t.Errorf("%s: received %+v, want a lease of %s", q, m, want)
					}
				}
				b.healthy(t, q)
				if got := b.left(t); len(got) != len(b.Keys(b.tenant, q)) {
					t.Errorf("%s: there are the keys %q, want those of one queue", q, got)
				}
				if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
					t.Errorf("%s: delete: %v", q, err)
				}
				if got := b.left(t); len(got) > 0 {
					t.Errorf("%s: keys are left: %q", q, got)
				}
			}
		}
	})
}

// A sweep gives the name of a creation back that it takes for dead. If its creator lives after all, it begins again.
func TestACreatorWhoseNameWasGivenBack(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		once := false
		b.SetStep(func(done string) error {
			if done == "reserved" && !once {
				once = true
				return b.Sweep(t.Context(), b.tenant)
			}
			return nil
		})
		got, created, err := b.Put(t.Context(), b.tenant, "q", withTimeout(time.Hour), queues.Condition{Missing: true})
		if err != nil || !created || got.Settings.VisibilityTimeout != time.Hour {
			t.Fatalf("put: got %+v, created %v, %v", got, created, err)
		}
		b.send(t, "q", "m")
		if err := b.Delete(t.Context(), b.tenant, "q", queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		if got := b.left(t); len(got) > 0 {
			t.Errorf("keys are left: %q", got)
		}
	})
}

// A sweep that finds a reservation without keys may be slow, and the creator come to the end meanwhile: what he has made stays.
func TestACreatorWhoIsFasterThanTheSweep(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		maker := b.another(t)
		reserved, goOn, made := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		maker.SetStep(func(done string) error {
			if done == "reserved" {
				close(reserved)
				<-goOn
			}
			return nil
		})
		go func() {
			_, _, err := maker.Put(t.Context(), b.tenant, "q", withTimeout(time.Hour), queues.Condition{})
			made <- err
		}()
		<-reserved
		b.SetStep(func(done string) error {
			if done == "not made" {
				close(goOn)
				if err := <-made; err != nil {
					t.Errorf("put: %v", err)
				}
				maker.send(t, "q", "m")
			}
			return nil
		})
		if err := b.Sweep(t.Context(), b.tenant); err != nil {
			t.Fatal(err)
		}
		if m := b.another(t).receive(t, "q", 1); len(m) != 1 {
			t.Error("the message is gone")
		}
		b.healthy(t, "q")
	})
}

func TestHalfDoneDeletions(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other, dying := b.another(t), b.another(t)
		for _, step := range []string{"retired", "unregistered", "erased"} {
			for _, by := range []string{"put", "sweep", "send", "delete"} {
				q := step + "-" + by
				for _, s := range []*bench{b, other} {
					if _, _, err := s.Put(t.Context(), b.tenant, q, withTimeout(time.Minute), queues.Condition{}); err != nil {
						t.Fatal(err)
					}
					s.send(t, q, "old")
				}
				dying.SetStep(crashAfter(step))
				if err := dying.Delete(t.Context(), b.tenant, q, queues.Condition{}); !errors.Is(err, errCrash) {
					t.Fatalf("%s: the server should have died: %v", q, err)
				}
				switch by {
				case "put":
					if _, created, err := other.Put(t.Context(), b.tenant, q, withTimeout(time.Hour), queues.Condition{Missing: true}); err != nil || !created {
						t.Fatalf("%s: created %v, %v", q, created, err)
					}
					b.send(t, q, "new")
					if diff := cmp.Diff([]string{"new"}, bodies(b.receive(t, q, 10))); diff != "" {
						t.Errorf("%s: received (-want +got):\n%s", q, diff)
					}
					if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil {
						t.Fatal(err)
					}
				case "send":
					if _, err := b.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: []byte("m")}); !errors.Is(err, queues.ErrQueueNotFound) {
						t.Errorf("%s: got %v, want %v", q, err, queues.ErrQueueNotFound)
					}
				case "delete":
					if err := b.Delete(t.Context(), b.tenant, q, queues.Condition{}); err != nil && !errors.Is(err, queues.ErrQueueNotFound) {
						t.Errorf("%s: got %v", q, err)
					}
				}
				if err := b.Sweep(t.Context(), b.tenant); err != nil {
					t.Errorf("%s: sweep: %v", q, err)
				}
				b.missing(t, q)
				other.missing(t, q)
				if got := b.left(t); len(got) > 0 {
					t.Errorf("%s: keys are left: %q", q, got)
				}
			}
		}
		_, registry, _ := queues.TenantKeys(b.tenant)
		if n := b.engine.Single().HLen(t.Context(), registry).Val(); n != 0 {
			t.Errorf("%d entries are left in the registry", n)
		}
	})
}

// A queue whose keys are gone is never "not found" and never made anew: somebody has lost data and must look.
func TestLostDataIsNoMissingQueue(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		servers := []*bench{b, b.another(t)}
		q, fine := b.queue(t, nil), b.queue(t, nil)
		b.send(t, q, "m")
		var keys []string
		for _, k := range b.Keys(b.tenant, q) {
			keys = append(keys, k)
		}
		if err := b.engine.Single().Del(t.Context(), keys...).Err(); err != nil {
			t.Fatal(err)
		}
		for i, s := range servers { // one knew the queue, the other did not
			ctx := t.Context()
			_, get := s.Get(ctx, b.tenant, q)
			_, send := s.Send(ctx, b.tenant, q, queues.Outgoing{Body: []byte("m")})
			_, receive := s.Receive(ctx, b.tenant, q, queues.ReceiveOptions{})
			_, stats := s.Stats(ctx, b.tenant, q)
			_, check := s.Check(ctx, b.tenant, q)
			_, _, put := s.Put(ctx, b.tenant, q, queues.DefaultSettings(), queues.Condition{})
			_, _, missing := s.Put(ctx, b.tenant, q, queues.DefaultSettings(), queues.Condition{Missing: true})
			for what, err := range map[string]error{
				"get": get, "send": send, "receive": receive, "stats": stats, "check": check, "put": put, "put if missing": missing,
				"delete": s.Delete(ctx, b.tenant, q, queues.Condition{}),
			} {
				if !errors.Is(err, queues.ErrDataLost) {
					t.Errorf("server %d, %s: got %v, want %v", i, what, err, queues.ErrDataLost)
				}
			}
			if err := s.Sweep(ctx, b.tenant); err != nil {
				t.Errorf("server %d, sweep: %v; the other queues need it too", i, err)
			}
			s.send(t, fine, "m")
		}
		if n := b.engine.Single().Exists(t.Context(), keys...).Val(); n != 0 {
			t.Errorf("%d keys of the lost queue were made anew", n)
		}
	})
}

// What one server changes holds on the others with their next call.
func TestSettingsTakeEffectAtOnceOnOtherServers(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		other := b.another(t)
		change := func(q string, f func(*queues.Settings)) {
			t.Helper()
			_, err := b.Update(t.Context(), b.tenant, q, queues.Condition{}, func(s queues.Settings) (queues.Settings, error) {
				f(&s)
				return s, nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		q := b.queue(t, nil)
		other.send(t, q, "m") // it knows the settings now
		change(q, func(s *queues.Settings) { s.VisibilityTimeout = time.Hour })
		if m := other.receive(t, q, 1); len(m) != 1 || !m[0].LeaseExpiresAt.Equal(start.Add(time.Hour)) {
			t.Errorf("visibility timeout: received %+v, want a lease of an hour", m)
		}

		other.send(t, q, "delayed by the queue, later") // no delay yet
		change(q, func(s *queues.Settings) { s.Delay = time.Minute })
		sent := other.send(t, q, "delayed by the queue")
		if got := other.counts(t, q); got != [3]int64{1, 1, 1} || !sent.AvailableAt.Equal(start.Add(time.Minute)) {
			t.Errorf("delay: counts %v, available at %s", got, sent.AvailableAt)
		}

		change(q, func(s *queues.Settings) { s.MaxMessageSize = queues.MinMessageSize })
		results, err := other.SendBatch(t.Context(), b.tenant, q, []queues.Outgoing{{Body: make([]byte, 2000)}, {Body: []byte("small")}}, false)
		if err != nil || !errors.Is(results[0].Err, queues.ErrMessageTooLarge) || results[1].Err != nil {
			t.Errorf("largest message: got %v, %v", results, err)
		}
		if _, err := other.SendBatch(t.Context(), b.tenant, q, []queues.Outgoing{{Body: []byte("small")}, {Body: make([]byte, 2000)}}, true); !errors.Is(err, queues.ErrMessageTooLarge) {
			t.Errorf("largest message, atomic: got %v, want %v", err, queues.ErrMessageTooLarge)
		}
		change(q, func(s *queues.Settings) { s.MaxMessageSize = queues.MaxMessageSize })
		if _, err := other.Send(t.Context(), b.tenant, q, queues.Outgoing{Body: make([]byte, 2000)}); err != nil {
			t.Errorf("largest message, raised again: %v", err)
		}

		b.clock.Advance(10 * time.Minute)
		change(q, func(s *queues.Settings) { s.Retention = 5 * time.Minute })
		if got := other.receive(t, q, 10); len(got) != 0 {
			t.Errorf("retention: received %q, all are over", bodies(got))
		}
		b.healthy(t, q)
	})
}

// A server forgets queues that nobody used for a while. What it numbers its calls with must go on from there: Redis
// remembers the last number and takes a lower one for a late call.
func TestAForgottenQueueIsUsedAgain(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		for range 3 {
			b.send(t, q, "before")
		}
		if got := b.receive(t, q, 10); len(got) != 3 {
			t.Fatalf("received %v", bodies(got))
		}
		b.ForgetDesks()
		b.send(t, q, "after")
		if diff := cmp.Diff([]string{"after"}, bodies(b.receive(t, q, 10))); diff != "" {
			t.Errorf("received after the server forgot the queue (-want +got):\n%s", diff)
		}
	})
}

// The counts of a queue forget the calls of servers that are gone, but not those of one that has only just begun: its
// call whose answer was lost would be carried out twice.
func TestLanesOfANewServerAreKept(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.Beat(t) // knows of no later server
		other := b.another(t)
		other.send(t, q, "m")
		lanes := func() (mine, others int) {
			for field := range b.engine.Single().HGetAll(t.Context(), b.Keys(b.tenant, q)["h"]).Val() {
				switch {
				case strings.HasPrefix(field, fmt.Sprintf("L%d.", other.engine.Session().Number())):
					others++
				case strings.HasPrefix(field, "L"):
					mine++
				}
			}
			return mine, others
		}
		b.counts(t, q)
		if _, n := lanes(); n != 1 {
			t.Fatalf("%d lanes of the new server are left, want 1", n)
		}
		// A session that is long gone is forgotten.
		if err := b.engine.Single().HSet(t.Context(), b.Keys(b.tenant, q)["h"], "L0.1", "7|x").Err(); err != nil {
			t.Fatal(err)
		}
		before, _ := lanes()
		b.counts(t, q)
		if after, n := lanes(); after != before-1 || n != 1 {
			t.Errorf("%d and %d lanes are left, want %d and 1", after, n, before-1)
		}
	})
}
