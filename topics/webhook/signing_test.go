package webhook_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// What a topic subscription signs with replaces what its webhooks do, once, on whichever server, and with older settings never.
func TestTheSecretsOfATopicSubscriptionReplaceThoseOfItsWebhooks(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		first := topics.Signing{First: w.NewSecret(), Made: start}
		text, err := w.RotateSigning(first, webhook.Given{}, time.Hour)
		must(t, err)
		first.Secrets = text
		want, err := w.Signs(first)
		must(t, err)
		if len(want) != 2 || !want[0].Ends.IsZero() || !want[1].Ends.Equal(start.Add(time.Hour)) {
			t.Fatalf("the rotation: %+v", want)
		}
		set := topics.WaySettings{Version: 7, Endpoint: webhook.Endpoint{URL: rc.URL}.Encode(), Secret: first.First, Secrets: text, Created: start}
		other := w.another(t)
		for range 2 { // as a step that is made again
			must(t, other.Configure(t.Context(), way, set))
		}
		older := set
		older.Version, older.Secrets = 6, ""
		must(t, w.Configure(t.Context(), way, older))
		for _, server := range []*world{w, other} {
			got, err := server.Secrets(t.Context(), way)
			if must(t, err); !cmp.Equal(want, got) {
				t.Errorf("it signs with %+v, want %+v", got, want)
			}
		}
		w.publish(t, tp, "x")
		w.reaches(t, way, "it arrives", func(s webhook.Status) bool { return s.Delivered == 1 })
		// Newer settings that say nothing of secrets leave them as they are.
		set.Version, set.Secrets = 8, ""
		must(t, w.Configure(t.Context(), way, set))
		if got, err := other.Secrets(t.Context(), way); err != nil || !cmp.Equal(want, got) {
			t.Errorf("after another change it signs with %+v: %v", got, err)
		}
	})
}
