package queues_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// shelf stands in for package topics, which stands above this one and has the tests of both together. It keeps what it
// gets, each number of a source once.
type shelf struct {
	mu      sync.Mutex
	records map[string][]string       // by topic
	reached map[[2]string]int64       // by topic and source
	passOn  func(queues.Onward) error // nil: nothing is
}

func newShelf() *shelf { return &shelf{records: map[string][]string{}, reached: map[[2]string]int64{}} }

// topic makes a topic and returns its name.
func (s *shelf) topic(suffix string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprintf("t%d%s", names.Add(1), suffix)
	s.records[name] = []string{}
	return name
}

func (s *shelf) there(topic string) error {
	if _, ok := s.records[topic]; !ok {
		return errs.New(errs.NotFound, "topic_not_found", "There is no topic.")
	}
	return nil
}

func (s *shelf) Forwardable(_ context.Context, _ tenants.ID, _, topic string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.there(topic)
}

func (s *shelf) Accept(_ context.Context, _ tenants.ID, topic, source string, list []queues.Onward) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.there(topic); err != nil {
		return 0, err
	}
	at := [2]string{topic, source}
	for _, m := range list {
		if m.Number <= s.reached[at] {
			continue
		}
		s.reached[at] = m.Number
		s.records[topic] = append(s.records[topic], string(m.Record))
		if s.passOn != nil {
			if err := s.passOn(m); err != nil {
				return s.reached[at], err
			}
		}
	}
	return s.reached[at], nil
}

// kept returns the bodies that a topic has got.
func (s *shelf) kept(tb testing.TB, topic string) []string {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, r := range s.records[topic] {
		m, err := queues.ParseRecord(r)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, string(m.Body))
	}
	return list
}

// What a topic does not keep of a message a queue that forwards to it does not take.
func TestAQueueThatForwardsToATopicTakesWhatTopicsHave(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		to := func(topic string) func(*queues.Settings) {
			return func(c *queues.Settings) { c.ForwardTo = queues.TopicTarget(topic) }
		}
		refusedWith(t, b.alter(t, q, to("any")), "validation_failed", "/forward_to") // there are no topics at all
		s := newShelf()
		b.Connect(s)
		topic := s.topic("")
		for _, bad := range []string{"nowhere", "", s.topic(".fifo")} {
			refusedWith(t, b.alter(t, q, to(bad)), "validation_failed", "/forward_to")
		}
		if err := b.alter(t, q, to(topic)); err != nil {
			t.Fatal(err)
		}
		refusedWith(t, b.alter(t, q, func(c *queues.Settings) { c.Delay = time.Second }), "validation_failed", "/delay")
		soon, retry := time.Second, queues.DefaultRetry()
		for pointer, m := range map[string]queues.Outgoing{
			"/delay": {Delay: &soon}, "/ttl": {TTL: time.Hour}, "/priority": {Priority: 1}, "/retry": {Retry: &retry},
		} {
			m.Body = []byte("m")
			refusedWith(t, b.one(t, q, m), "validation_failed", pointer)
		}
		const most = 256 << 10
		if err := b.one(t, q, queues.Outgoing{Body: make([]byte, most+1)}); !errors.Is(err, queues.ErrMessageTooLarge) {
			t.Errorf("a message that is too large for a topic: %v", err)
		}
		if err := b.one(t, q, queues.Outgoing{Body: make([]byte, most)}); err != nil {
			t.Errorf("the largest message for a topic: %v", err)
		}
		b.arrived(t, q)
		if got := s.kept(t, topic); len(got) != 1 {
			t.Errorf("the topic has %d messages, want the largest", len(got))
		}
		b.healthy(t, q)
	})
}

// A message that a topic brings back again and again comes to rest in its queue, and can be received.
func TestAMessageInARingThroughATopicComesToRest(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		s := newShelf()
		b.Connect(s)
		topic := s.topic("")
		q := b.queue(t, func(c *queues.Settings) { c.ForwardTo = queues.TopicTarget(topic) })
		brought := int64(0)
		s.passOn = func(m queues.Onward) error {
			brought++
			_, err := b.Deliver(t.Context(), b.tenant, q, "ring", []queues.Delivery{{Sequence: brought, Record: m.Record}}, brought)
			return err
		}
		b.post(t, q, ":m")
		until(t, func() bool {
			b.Carry(t, b.tenant, q)
			return b.counts(t, q)[0] == 1
		})
		if got := s.kept(t, topic); len(got) != queues.MaxHops {
			t.Errorf("it came through the topic %d times, want %d", len(got), queues.MaxHops)
		}
		b.ack(t, q, b.take1(t, q, "m"))
		b.healthy(t, q)
	})
}

// TestG10_AForwardToATopicSurvivesACrashAfterEachStep stops a server after each step of the way to the topic; another one
// goes on. More messages wait than go in one step, from each shard of a queue.
func TestG10_AForwardToATopicSurvivesACrashAfterEachStep(t *testing.T) {
	test := func(t *testing.T, b *bench) {
		other := b.another(t)
		s := newShelf()
		b.Connect(s)
		other.Connect(s)
		const count = 150
		for what, change := range map[string]func(*queues.Settings){"standard": nil, "fifo": fifoSettings, "shards": func(c *queues.Settings) { c.Shards = 3 }} {
			for _, step := range []string{"left", "carried", "arrived"} {
				to := s.topic(map[string]string{"fifo": ".fifo"}[what])
				create := map[string]func(testing.TB, func(*queues.Settings)) string{"fifo": b.fifo}[what]
				if create == nil {
					create = b.queue
				}
				from := create(t, func(c *queues.Settings) {
					if change != nil {
						change(c)
					}
					c.ForwardTo = queues.TopicTarget(to)
				})
				crashed := false
				b.SetStep(func(done string) error {
					if step == "left" && done == "carrying" || step == "carried" && done == "brought" {
						crashed = true
					}
					if crashed && step != "arrived" {
						return errCrash
					}
					return nil
				})
				var want []string
				var list []queues.Outgoing
				for i := range count {
					want = append(want, fmt.Sprintf("%03d", i))
					list = append(list, queues.Outgoing{Body: []byte(want[i]), GroupID: map[bool]string{true: "g"}[what == "fifo"]})
				}
				for _, sent := range b.batch(t, from, false, list...) {
					if sent.Err != nil {
						t.Fatal(sent.Err)
					}
				}
				b.Carry(t, b.tenant, from)
				other.arrived(t, from)
				b.SetStep(func(string) error { return nil })
				b.arrived(t, from)
				got := s.kept(t, to)
				if what == "shards" {
					slices.Sort(got)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: a crash after %s (-want +got):\n%s", what, step, diff)
				}
				other.healthy(t, from)
			}
		}
	}
	engines(t, test)
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		test(t, newBench(t, engine.Options{URL: clusterURL(redistest.Cluster(t, 3, 0))}))
	})
}
