package topics_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/sluicemq/sluice/topics"
)

// hooks are webhooks of which those have taken the last message whose names begin with "well". While hold is there a delivery waits
// for it.
type hooks struct {
	topics.Webhooks

	mu    sync.Mutex
	hold  chan struct{}
	began []string
}

func (*hooks) Check(_ string, set topics.SubscriptionSettings, _ string) (string, error) {
	return set.Endpoint, nil
}
func (*hooks) NewSecret() string                                               { return "s" }
func (*hooks) Configure(context.Context, topics.Way, topics.WaySettings) error { return nil }

// keep has deliveries wait from now on, or no longer, and forgets which there were.
func (h *hooks) keep(hold chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hold, h.began = hold, nil
}

// underWay returns the subscriptions of the deliveries since then.
func (h *hooks) underWay() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.began
}

func isWell(name string) bool { return strings.HasPrefix(name, "well") }

func (h *hooks) Deliver(_ context.Context, w topics.Way, _ topics.WaySettings, _ []topics.Logged, to int64) (topics.Handed, error) {
	h.mu.Lock()
	h.began = append(h.began, w.Subscription)
	hold := h.hold
	h.mu.Unlock()
	if hold != nil {
		<-hold
	}
	return topics.Handed{Reached: to, Mark: to, Slow: !isWell(w.Subscription)}, nil
}

// Whoever takes what it is sent does not wait for those that do not: of many more than can be delivered to at the same time it is among
// the first.
func TestWhoTakesWhatItIsSentIsFirst(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		const slow, well = 10 * topics.MaxDelivering, 3
		h := &hooks{}
		w.Connect(h)
		topic := w.topic(t, topics.Settings{})
		var all []string
		add := func(kind string, n int) {
			for i := range n {
				name := fmt.Sprint(kind, i)
				w.subscribe(t, topic, name, topics.SubscriptionSettings{Endpoint: "https://" + name})
				all = append(all, name)
			}
		}
		add("slow", slow)
		add("well", well)
		w.publish(t, topic, "first")
		w.settled(t, topic, all...)

		hold := make(chan struct{})
		h.keep(hold)
		w.publish(t, topic, "second")
		until(t, "there are as many deliveries as may be", func() bool { return len(h.underWay()) == topics.MaxDelivering })
		first := 0
		for _, name := range h.underWay() {
			if isWell(name) {
				first++
			}
		}
		if first != well {
			t.Errorf("%d of %d that take what they are sent are among the first: %v", first, well, h.underWay())
		}
		h.keep(nil)
		close(hold)
		w.settled(t, topic, all...)
	})
}
