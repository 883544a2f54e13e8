package webhook_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// verified reports whether the public library of Standard Webhooks accepts a request by a secret. It knows nothing of the
// clock of a test, so the time is looked at apart.
func verified(t *testing.T, secret string, r received) bool {
	t.Helper()
	wh, err := standardwebhooks.NewWebhook(secret)
	must(t, err)
	h := http.Header{}
	for _, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
		h.Set(name, r.header.Get(name))
	}
	return wh.VerifyIgnoringTimestamp([]byte(r.body), h) == nil
}

func TestSignaturesAreThoseOfStandardWebhooks(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, answering(500))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{time.Second}})
		first, err := w.Secrets(t.Context(), way)
		must(t, err)
		// What is odd as JSON, and what is none, comes as it was published, each time.
		odd := "{\"b\":1.0,\"a\":\"\\u00e9\",\"a\":2}\n\xff\x00"
		sent := w.publish(t, tp, odd)
		rc.comes(t, 1)
		w.forward(t, time.Minute, "the second attempt", func() bool { return rc.count() == 2 })
		for _, r := range rc.got() {
			if r.body != odd || !verified(t, first[0].Secret, r) {
				t.Errorf("what came: %q %v", r.body, r.header)
			}
			if r.header.Get("Webhook-Id") != "msg_"+sent[0].ID.String() || strings.Contains(r.header.Get("Webhook-Id"), ".") {
				t.Errorf("the id is %q", r.header.Get("Webhook-Id"))
			}
		}
		if a, b := rc.got()[0].header.Get("Webhook-Timestamp"), rc.got()[1].header.Get("Webhook-Timestamp"); a == b {
			t.Errorf("two attempts with the time %s", a)
		}
		w.reaches(t, way, "it failed", func(s webhook.Status) bool { return s.Dead == 1 })

		// While both live either verifies; afterwards only the new one.
		rc.set(nil)
		second, err := w.Rotate(t.Context(), way, webhook.Given{}, time.Hour)
		must(t, err)
		n := rc.count()
		for i, overlap := range []bool{true, false} {
			w.publish(t, tp, "x")
			rc.comes(t, n+i+1)
			r := rc.got()[n+i]
			if !verified(t, second[0].Secret, r) || verified(t, first[0].Secret, r) != overlap {
				t.Errorf("overlap %v: %v", overlap, r.header)
			}
			w.reaches(t, way, "it is noted", func(s webhook.Status) bool { return s.Pending == 0 })
			w.clock.Advance(2 * time.Hour)
		}
		// Without an overlap the old ones end at once.
		third, err := w.Rotate(t.Context(), way, webhook.Given{Secret: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDszrx2cZ8dPs="}, 0)
		must(t, err)
		w.publish(t, tp, "x")
		rc.comes(t, n+3)
		if r := rc.got()[n+2]; len(third) != 1 || !verified(t, third[0].Secret, r) || verified(t, second[0].Secret, r) {
			t.Errorf("after a hard rotation: %v", r.header)
		}
		for range 4 {
			_, err = w.Rotate(t.Context(), way, webhook.Given{}, time.Hour)
			must(t, err)
		}
		if _, err = w.Rotate(t.Context(), way, webhook.Given{}, time.Hour); err == nil {
			t.Error("a sixth secret was taken")
		}
		// They are not to be read in Redis.
		all, err := w.engine.Single().HGetAll(t.Context(), webhook.Keys(way)[1]).Result()
		must(t, err)
		for field, value := range all {
			if strings.Contains(value, strings.TrimPrefix(third[0].Secret, "whsec_")) {
				t.Errorf("field %s has a secret", field)
			}
		}
	})
}
