package webhook_test

import (
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// odd are bodies that whoever reads and writes them again would change.
func odd() map[string]string {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	noise := make([]byte, 64<<10)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	return map[string]string{
		"order, doubles and numbers": `{"b":1.0,"a":"\u00e9","a":2,"n":1e400,"big":12345678901234567890,"neg":-0.0}`,
		"blanks":                     " {\r\n\t\"a\" :1 }\r\n\n",
		"escapes":                    `{"slash":"\/","html":"<script>&\u003c","half":"\ud800","line":"\u2028` + "\u2028" + `"}`,
		"byte order mark":            "\uFEFF{\"a\":1}",
		"no JSON":                    `{"a":`,
		"not UTF-8":                  "\xff\xfe\x00\xc3\x28",
		"each byte":                  string(all),
		"noise":                      string(noise),
	}
}

// Each body arrives byte for byte as it was published, at each attempt, from the server that carried it and from one that found it in
// the store, and the public library of Standard Webhooks verifies it each time.
func TestA12_BodiesArriveByteForByteAtEachAttempt(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		const attempts = 4
		rc := newReceiver(t, func(r received, rw http.ResponseWriter) {
			if r.header.Get("Webhook-Attempt") != "4" {
				rw.WriteHeader(http.StatusInternalServerError)
			}
		})
		bodies, names, ways := odd(), map[string]string{}, map[string]topics.Way{}
		for name, body := range bodies { // each by a webhook of its own, so that no breaker opens
			tp := w.topic(t, "", topics.Settings{})
			ways[name] = w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{time.Second, time.Second, time.Second}})
			sent, err := w.topics.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: []byte(body), ContentType: "application/json"})
			must(t, err)
			names["msg_"+sent.ID.String()] = name
		}
		all := func(ok func(webhook.Status) bool) func() bool {
			return func() bool {
				for _, way := range ways {
					if !ok(w.status(t, way)) {
						return false
					}
				}
				return true
			}
		}
		w.slowly(t, "two attempts", all(func(s webhook.Status) bool { return s.Attempts >= 2 && s.Sending == 0 }))
		second := w.another(t) // makes the rest of them
		w.kill()
		second.slowly(t, "all are delivered", all(func(s webhook.Status) bool { return s.Delivered == 1 }))
		seen := map[string]int{}
		for _, r := range rc.got() {
			name := names[r.header.Get("Webhook-Id")]
			seen[name]++
			secrets, err := second.Secrets(t.Context(), ways[name])
			must(t, err)
			if r.body != bodies[name] || r.header.Get("Content-Type") != "application/json" || !verified(t, secrets[0].Secret, r) {
				t.Errorf("%s: attempt %s came with %d bytes of %d, %v", name, r.header.Get("Webhook-Attempt"), len(r.body), len(bodies[name]), r.header)
			}
		}
		for name := range bodies {
			if seen[name] != attempts {
				t.Errorf("%s came %d times, want %d", name, seen[name], attempts)
			}
		}
		t.Logf("%d bodies, %d attempts each, all byte for byte and verified", len(bodies), attempts)
	})
}

// While two secrets live both verify, at each attempt and whichever of them was there when the message was published; once the first
// is over only the second does, and a message of before is sent again by the one of now.
func TestA13_TheSecretOfNowSignsWhateverIsSent(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{Retention: 24 * time.Hour})
		rc := newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{time.Second}})
		second := w.another(t) // may know the webhook as it was before
		first, err := w.Secrets(t.Context(), way)
		must(t, err)
		secrets := []string{first[0].Secret}
		wants := func(what string, r received, want ...bool) {
			t.Helper()
			for i, secret := range secrets {
				if got := verified(t, secret, r); got != want[i] {
					t.Errorf("%s: secret %d verifies: %v, want %v", what, i+1, got, want[i])
				}
			}
		}
		last := func() received { all := rc.got(); return all[len(all)-1] }
		delivers := func(n int64) {
			t.Helper()
			w.slowly(t, "it is delivered", func() bool { s := w.status(t, way); return s.Delivered == n && s.Pending == 0 })
		}

		w.publish(t, tp, "before")
		delivers(1)
		wants("before", last(), true)
		before := last().header.Get("Webhook-Id")

		rc.set(answering(http.StatusInternalServerError))
		w.publish(t, tp, "in between")
		w.reaches(t, way, "it waits", func(s webhook.Status) bool { return s.Attempts == 2 && s.Sending == 0 })
		wants("the first attempt", last(), true)
		rotated, err := second.Rotate(t.Context(), way, webhook.Given{}, time.Hour)
		must(t, err)
		secrets = append(secrets, rotated[0].Secret)
		rc.set(nil)
		delivers(2)
		wants("an attempt in the overlap", last(), true, true)

		w.clock.Advance(time.Hour)
		w.publish(t, tp, "after")
		delivers(3)
		wants("after the overlap", last(), false, true)

		all, _, err := w.Attempts(t.Context(), way, 0, 10, func(a *webhook.Attempt) bool { return a.MessageID == before })
		must(t, err)
		must(t, second.Resend(t.Context(), way, all[0].Entry))
		delivers(4)
		wants("sent again", last(), false, true)
		if got := last().header.Get("Webhook-Id"); got != before {
			t.Errorf("it was sent again as %s, want %s", got, before)
		}
		n := rc.count()
		if done := second.replays(t, way, topics.ReplayOptions{What: topics.All}).runs(t); done != 3 {
			t.Errorf("%d messages were replayed, want 3", done)
		}
		delivers(7)
		for _, r := range rc.got()[n:] {
			wants("replayed "+r.body, r, false, true)
		}
	})
}
