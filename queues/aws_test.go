package queues_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/queues"
)

// What AWS clients say of a queue is kept, also when somebody replaces the settings who does not know of it.
func TestWhatAWSClientsSayIsKept(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		ctx, set := t.Context(), queues.DefaultSettings()
		set.AWS = queues.AWS{Policy: "{}", KMSKey: "k", KMSReuse: 60, NoSSE: true, PerGroup: true, AllowsAll: true}
		for _, s := range []queues.Settings{set, queues.DefaultSettings()} {
			if _, _, err := b.Put(ctx, b.tenant, "aws", s, queues.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
		q, err := b.another(t).Get(ctx, b.tenant, "aws")
		if err != nil || q.Settings.AWS != set.AWS {
			t.Errorf("got %+v and %v, want %+v", q.Settings.AWS, err, set.AWS)
		}
		change := func(to queues.AWS) error {
			_, err := b.Update(ctx, b.tenant, "aws", queues.Condition{}, func(s queues.Settings) (queues.Settings, error) {
				s.AWS = to
				return s, nil
			})
			return err
		}
		if change(queues.AWS{Policy: strings.Repeat("x", queues.MaxPolicy+1)}) == nil || change(queues.AWS{KMSKey: strings.Repeat("x", queues.MaxKMSKey+1)}) == nil {
			t.Error("what is too long was kept")
		}
		if err := change(queues.AWS{}); err != nil {
			t.Fatal(err)
		}
		if q, err := b.Get(ctx, b.tenant, "aws"); err != nil || q.Settings.AWS != (queues.AWS{}) {
			t.Errorf("got %+v and %v, want nothing", q.Settings.AWS, err)
		}
	})
}

func TestNamesAndSourcesOfADeadLetterQueue(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		put := func(name, dead string) {
			set := queues.DefaultSettings()
			if dead != "" {
				set.Redrive = queues.Redrive{DeadLetterQueue: dead, MaxReceives: 3}
			}
			if _, _, err := b.Put(ctx, b.tenant, name, set, queues.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"dead", "other", "x"} {
			put(name, "")
		}
		for _, name := range []string{"a", "b", "c"} {
			put(name, "dead")
		}
		put("d", "other")
		type page struct {
			Names []string
			Next  string
		}
		check := func(what string, want page, names []string, next string, err error) {
			t.Helper()
			if diff := cmp.Diff(want, page{names, next}); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got):\n%s", what, err, diff)
			}
		}
		names, next, err := b.Names(ctx, b.tenant, "", "b", 2)
		check("names", page{[]string{"c", "d"}, "d"}, names, next, err)
		names, next, err = b.Names(ctx, b.tenant, "x", "", 2)
		check("last names", page{[]string{"x"}, ""}, names, next, err)
		names, next, err = b.DeadLetterSources(ctx, b.tenant, "dead", "", 2)
		check("sources", page{[]string{"a", "b"}, "b"}, names, next, err)
		names, next, err = b.DeadLetterSources(ctx, b.tenant, "dead", "b", 2)
		check("last sources", page{[]string{"c"}, ""}, names, next, err)
		names, next, err = b.DeadLetterSources(ctx, b.tenant, "x", "", 2)
		check("no sources", page{}, names, next, err)
	})
}

func TestKnownSettings(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		name := b.queue(t, func(s *queues.Settings) { s.MaxMessageSize = 2048 })
		if set, err := b.another(t).Known(t.Context(), b.tenant, name); err != nil || set.MaxMessageSize != 2048 {
			t.Errorf("got %+v and %v", set, err)
		}
		if _, err := b.Known(t.Context(), b.tenant, "none"); !errors.Is(err, queues.ErrQueueNotFound) {
			t.Errorf("got %v, want %v", err, queues.ErrQueueNotFound)
		}
	})
}

// Who comes too late learns whether somebody else has the message.
func TestALeaseThatIsOverSaysWhetherAnybodyHolds(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		name := b.queue(t, nil)
		b.send(t, name, "x")
		old := b.receive(t, name, 1)[0].ReceiptHandle
		late := func() queues.Settled {
			return b.settle(t, name, queues.Settlement{Verb: queues.Extend, ReceiptHandle: old, For: time.Minute})[0]
		}
		b.clock.Advance(time.Hour)
		if got := late(); !errors.Is(got.Err, queues.ErrReceiptExpired) || !got.Unheld {
			t.Errorf("over: got %+v", got)
		}
		newer := b.receive(t, name, 1)[0].ReceiptHandle
		if got := late(); !errors.Is(got.Err, queues.ErrReceiptExpired) || got.Unheld {
			t.Errorf("with somebody else: got %+v", got)
		}
		b.settle(t, name, queues.Settlement{Verb: queues.Ack, ReceiptHandle: newer})
		if got := late(); !errors.Is(got.Err, queues.ErrReceiptExpired) || got.Unheld {
			t.Errorf("done: got %+v", got)
		}
	})
}

func TestAPurgeOfAFIFOQueueForgetsDeduplicationIDs(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		const name = "purged.fifo"
		if _, _, err := b.Put(t.Context(), b.tenant, name, queues.DefaultSettings(), queues.Condition{}); err != nil {
			t.Fatal(err)
		}
		send := func() queues.Sent {
			sent, err := b.Send(t.Context(), b.tenant, name, queues.Outgoing{Body: []byte("x"), GroupID: "g", DeduplicationID: "d"})
			if err != nil {
				t.Fatal(err)
			}
			return sent
		}
		send()
		if again := send(); !again.Replayed {
			t.Errorf("got %+v before the purge", again)
		}
		if _, err := b.Purge(t.Context(), b.tenant, name); err != nil {
			t.Fatal(err)
		}
		if again := send(); again.Replayed {
			t.Errorf("got %+v after the purge", again)
		}
		if got := bodies(b.receive(t, name, 10)); len(got) != 1 {
			t.Errorf("received %q", got)
		}
	})
}

// Labels are the tags of AWS, so they may be as long.
func TestLengthOfLabels(t *testing.T) {
	t.Parallel()
	set := queues.DefaultSettings()
	set.Labels = map[string]string{strings.Repeat("é", 128): strings.Repeat("é", 256)}
	if err := set.Validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []map[string]string{{"": ""}, {strings.Repeat("k", 129): ""}, {"k": strings.Repeat("v", 257)}} {
		if set.Labels = bad; set.Validate() == nil {
			t.Errorf("%v is allowed", bad)
		}
	}
}
