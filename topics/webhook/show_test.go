package webhook_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// What is shown is what was sent, signed anew: of a message that waits, of one that failed and of one that the topic keeps; and of no other.
func TestTheRequestOfADeliveryIsShown(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		for _, c := range []struct {
			name      string
			retention time.Duration
			retries   []time.Duration
			answer    int
			lost      bool // the message is not there any more
		}{
			{name: "waits", retries: []time.Duration{time.Hour}, answer: 500},
			{name: "failed", retries: []time.Duration{}, answer: 500},
			{name: "delivered", retention: time.Hour, answer: 204},
			{name: "gone", answer: 204, lost: true},
		} {
			topic := w.topic(t, "", topics.Settings{Retention: c.retention})
			rc := newReceiver(t, answering(c.answer))
			e := webhook.Endpoint{URL: rc.URL, Retries: c.retries}
			e.SetHeader("X-Token", webhook.Hidden{Plain: "of nobody else"})
			e.Auth = &webhook.Auth{Type: webhook.Bearer, Secret: webhook.Hidden{Plain: "nor-this"}}
			way := w.hook(t, topic, c.name, e)
			w.publish(t, topic, "{\"a\":\"\\u00e9\"}\n\xff\x00")
			rc.comes(t, 1)
			w.reaches(t, way, c.name, func(s webhook.Status) bool { return s.Attempts == 1 && s.Sending == 0 })
			sent := rc.got()[0]
			list, _, err := w.Attempts(t.Context(), way, 0, 1, nil)
			must(t, err)
			w.clock.Advance(30 * time.Second)
			asked := w
			if c.lost {
				w.forward(t, time.Minute, "the log is empty", func() bool { return w.kept(t, topic) == 0 })
				asked = w.another(t) // which has not carried it
			}
			got, err := asked.Show(t.Context(), way, list[0].Entry)
			if c.lost {
				if errs.KindOf(err) != errs.NotFound {
					t.Errorf("%s: %v", c.name, err)
				}
				continue
			}
			must(t, err)
			secrets, err := w.Secrets(t.Context(), way)
			must(t, err)
			if !verified(t, secrets[0].Secret, received{header: got.Header, body: string(got.Body)}) || got.Header.Get("Webhook-Timestamp") == sent.header.Get("Webhook-Timestamp") {
				t.Errorf("%s: it is signed %v", c.name, got.Header)
			}
			want := webhook.Shown{Method: "POST", URL: rc.URL, Body: []byte(sent.body), Header: http.Header{}}
			for _, name := range []string{"Content-Type", "Webhook-Id", "Webhook-Attempt"} {
				want.Header.Set(name, sent.header.Get(name))
			}
			for _, name := range []string{"Webhook-Timestamp", "Webhook-Signature"} {
				want.Header.Set(name, got.Header.Get(name))
			}
			want.Header.Set("X-Token", webhook.Masked)
			want.Header.Set("Authorization", webhook.Masked)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s: %s", c.name, d)
			}
			if rc.count() != 1 {
				t.Errorf("%s: it was sent %d times", c.name, rc.count())
			}
			for _, entry := range []string{"", "zzzzzzzzzzzzzz", "00000000000001"} {
				if _, err := w.Show(t.Context(), way, entry); errs.KindOf(err) != errs.NotFound {
					t.Errorf("entry %q: %v", entry, err)
				}
			}
		}
	})
}
