package topics_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/topics"
)

// signers are webhooks that remember what they sign with, as real ones do: by the newest settings.
type signers struct {
	hooks

	mu    sync.Mutex
	known map[string]topics.WaySettings // by topic
}

func (h *signers) Configure(_ context.Context, w topics.Way, set topics.WaySettings) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if was, ok := h.known[w.Topic]; !ok || was.Version < set.Version {
		h.known[w.Topic] = set
	}
	return nil
}

// secrets returns what the webhooks of all topics sign with, each once.
func (h *signers) secrets() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[string]bool{}
	for _, set := range h.known {
		all[set.Secrets] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// A server dies after each step by which the secret of a pattern is rotated for all of its topics. The sweep of another one finishes it: no
// topic goes on with the secret of before.
func TestWhatACrashLeavesOfARotationIsFinished(t *testing.T) {
	for _, step := range []string{"pattern stored", "pattern wanted", "subscribed", "pattern spread"} {
		t.Run("after "+step, func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				h := &signers{known: map[string]topics.WaySettings{}}
				w.Connect(h)
				for _, name := range []string{"a.x", "a.y", "a.z"} {
					w.topicNamed(t, name, topics.Settings{})
				}
				sub, _, err := w.PutTopicSubscription(t.Context(), w.tenant, "wild", "a.*", topics.SubscriptionSettings{Endpoint: "https://partner"}, topics.Condition{})
				must(t, err)
				w.spread(t, sub, tasks.MaxItems)
				if got := h.secrets(); len(h.known) != 3 || len(got) != 1 || got[0] != "" {
					t.Fatalf("%d webhooks sign with %q", len(h.known), got)
				}
				var crashed atomic.Bool
				w.SetStep(func(done string) error {
					if done == step && crashed.CompareAndSwap(false, true) {
						return errCrash
					}
					return nil
				})
				err = func() error {
					sub, err := w.RotateTopicSubscription(t.Context(), w.tenant, "wild", func(topics.Signing) (string, error) { return "new", nil })
					if err != nil {
						return err
					}
					n, needed, err := w.PlanSpread(t.Context(), w.tenant, sub)
					if err != nil || !needed {
						return err
					}
					_, err = w.Spreading().Step(t.Context(), tasks.Work{Params: n.Params, Tenant: w.tenant.String(), Most: tasks.MaxItems})
					return err
				}()
				if !errors.Is(err, errCrash) {
					t.Fatalf("no server died at the step: %v", err)
				}
				other := w.another(t)
				other.Connect(h)
				must(t, other.Sweep(t.Context(), w.tenant))
				if got := h.secrets(); len(got) != 1 || got[0] != "new" {
					t.Errorf("the webhooks sign with %q", got)
				}
				w.topicNamed(t, "a.later", topics.Settings{})
				if got := h.secrets(); len(h.known) != 4 || len(got) != 1 {
					t.Errorf("with a later topic %d webhooks sign with %q", len(h.known), got)
				}
				if got := w.topicSubscription(t, "wild"); got.State != topics.Applied {
					t.Errorf("got %+v", got)
				}
			})
		})
	}
}
