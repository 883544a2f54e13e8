package webhook_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// Two tenants have a topic and a webhook of the same names, that lead to the same endpoint, and the same messages come to both. Neither
// sees, signs, disables or deletes anything of the other. That they share no connections where they show certificates
// is TestAWebhookShowsItsCertificate.
func TestA17_TenantsWithTheSameNamesShareNothing(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		const topic = "orders.fifo"
		rc := newReceiver(t, answering(http.StatusInternalServerError))
		other := *w
		other.tenant = w.newTenant(t)
		both := []*world{w, &other}
		var ways []topics.Way
		var secrets []string
		for _, one := range both {
			_, _, err := one.topics.Put(t.Context(), one.tenant, topic, topics.Settings{}, topics.Condition{})
			must(t, err)
			ways = append(ways, one.hook(t, topic, "a", webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{time.Second}}))
			got, err := one.Secrets(t.Context(), ways[len(ways)-1])
			must(t, err)
			secrets = append(secrets, got[0].Secret)
		}
		sent := map[string]int{} // by id, whose it is
		for i, one := range both {
			for _, m := range []string{"x", "y"} {
				out, err := one.topics.Publish(t.Context(), one.tenant, topic, queues.Outgoing{Body: []byte(m), GroupID: "g", DeduplicationID: m})
				must(t, err)
				if out.Replayed {
					t.Errorf("%s of tenant %d is taken for that of the other", m, i)
				}
				sent["msg_"+out.ID.String()] = i
			}
			one.reaches(t, ways[i], "the first one waits", func(s webhook.Status) bool { return s.Attempts == 1 && s.Sending == 0 && s.Pending == 2 })
		}
		if len(sent) != 4 || secrets[0] == secrets[1] {
			t.Fatalf("%d ids of 4 messages; the secrets are the same: %v", len(sent), secrets[0] == secrets[1])
		}
		for i, one := range both {
			all, _, err := one.Attempts(t.Context(), ways[i], 0, 10, nil)
			must(t, err)
			if len(all) != 1 || sent[all[0].MessageID] != i {
				t.Errorf("the log of tenant %d: %+v", i, all)
			}
		}
		for _, r := range rc.got() {
			i := sent[r.header.Get("Webhook-Id")]
			if !verified(t, secrets[i], r) || verified(t, secrets[1-i], r) {
				t.Errorf("a message of tenant %d is signed by another secret", i)
			}
		}
		keys := [2][]string{webhook.Keys(ways[0])[1:], webhook.Keys(ways[1])[1:]}
		for _, key := range keys[0] {
			if slices.Contains(keys[1], key) || !strings.Contains(key, w.tenant.String()) || strings.Contains(key, other.tenant.String()) {
				t.Errorf("the key %s", key)
			}
		}
		// What one of them does to its own changes nothing for the other.
		must(t, w.Disable(t.Context(), ways[0]))
		_, err := w.Rotate(t.Context(), ways[0], webhook.Given{}, 0)
		must(t, err)
		must(t, w.topics.DeleteSubscription(t.Context(), w.tenant, topic, "a", topics.Condition{}))
		must(t, w.topics.Delete(t.Context(), w.tenant, topic, topics.Condition{}))
		n := rc.count()
		rc.set(nil)
		other.slowly(t, "the other one has all", func() bool { return other.status(t, ways[1]).Delivered == 2 })
		for _, r := range rc.got()[n:] {
			if sent[r.header.Get("Webhook-Id")] != 1 || !verified(t, secrets[1], r) {
				t.Errorf("afterwards %s came, %v", r.body, r.header)
			}
		}
	})
}
