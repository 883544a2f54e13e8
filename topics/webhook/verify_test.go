package webhook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// echoing answers a challenge by the form that the path asks for, and everything else by 204.
func echoing(r received, rw http.ResponseWriter) {
	var asked struct{ Type, Challenge string }
	if err := json.Unmarshal([]byte(r.body), &asked); err != nil || asked.Type != "sluice.challenge" {
		rw.WriteHeader(http.StatusNoContent)
		return
	}
	if r.path == "/text" {
		fmt.Fprintln(rw, asked.Challenge)
	} else {
		fmt.Fprintf(rw, `{"challenge":%q}`, asked.Challenge)
	}
}

func unverified(s webhook.Status) bool { return s.Gate == webhook.Unverified }

func TestAnUnverifiedEndpointGetsNothingButChallenges(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, func(r received, rw http.ResponseWriter) { fmt.Fprint(rw, r.body) }) // it repeats whatever comes
		e := endpointWith(rc.URL+"/json", "the-first-key", nil)
		e.Verify = webhook.ByEcho
		way := w.hook(t, tp, "a", e)
		rc.comes(t, 1)
		w.publish(t, tp, "one")
		w.reaches(t, way, "it waits", func(s webhook.Status) bool { return unverified(s) && s.Pending == 1 })
		got := rc.got()[0]
		secrets, err := w.Secrets(t.Context(), way)
		must(t, err)
		if !verified(t, secrets[0].Secret, got) || got.header.Get("X-Api-Key") != "the-first-key" {
			t.Errorf("the challenge: %+v", got)
		}
		until(t, "it is in the log", func() bool {
			log, _, err := w.Attempts(t.Context(), way, 0, 10, nil)
			must(t, err)
			return len(log) == 1 && log[0].Outcome == webhook.Challenged && log[0].Code == "challenge_failed"
		})
		if s := w.status(t, way); s.Until.Sub(w.clock.Now()) != time.Minute || s.Attempts != 0 || s.Failures != 0 || !s.Verified.IsZero() {
			t.Errorf("unverified: %+v", s)
		}
		if _, err := w.Test(t.Context(), way); !errors.Is(err, webhook.ErrUnverified) {
			t.Errorf("a test event: %v", err)
		}
		w.clock.Advance(59 * time.Second)
		if rc.count() != 1 {
			t.Errorf("it got %q", rc.bodies())
		}
		rc.set(echoing)
		w.forward(t, 20*time.Second, "it is verified", func() bool { return w.status(t, way).Gate == webhook.Open })
		w.reaches(t, way, "what waited comes", func(s webhook.Status) bool { return s.Delivered == 1 && !s.Verified.IsZero() })
		if rc.count() != 3 {
			t.Errorf("it got %q", rc.bodies())
		}
		// Other settings change nothing of that; another URL has to be verified anew, and what waits for it waits.
		w.change(t, tp, "a", func(e *webhook.Endpoint) { e.Timeout = 5 * time.Second })
		if s := w.status(t, way); unverified(s) {
			t.Errorf("after another change: %+v", s)
		}
		rc.set(nil)
		w.change(t, tp, "a", func(e *webhook.Endpoint) { e.URL = rc.URL + "/text" })
		w.publish(t, tp, "two")
		w.reaches(t, way, "it waits again", func(s webhook.Status) bool { return unverified(s) && s.Pending == 1 && s.Verified.IsZero() })
		w.forward(t, time.Minute, "it is challenged", func() bool { return rc.count() == 4 })
		w.kill()
		rc.set(echoing)
		second := w.another(t) // a server that is started again challenges it, as any other one does
		second.forward(t, 3*time.Minute, "it is verified", func() bool { return second.status(t, way).Delivered == 2 })
		if got := rc.got(); len(got) != 6 || got[5].body != "two" || got[4].path != "/text" {
			t.Errorf("it got %+v", got)
		}
		second.change(t, tp, "a", func(e *webhook.Endpoint) { e.Verify, e.URL = "", rc.URL+"/json" })
		if s := second.status(t, way); s.Gate != webhook.Open || !s.Verified.IsZero() {
			t.Errorf("without verification: %+v", s)
		}
	})
}

func TestChallengesEnd(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	tp := w.topic(t, "", topics.Settings{})
	rc := newReceiver(t, answering(http.StatusGone))
	way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Verify: webhook.ByEcho})
	w.forward(t, 48*time.Hour, "they end", func() bool { s := w.status(t, way); return unverified(s) && s.Until.IsZero() })
	took := w.clock.Now().Sub(start)
	rc.comes(t, 12) // the last one may still be on its way
	w.clock.Advance(48 * time.Hour)
	if rc.count() != 12 || took < 20*time.Hour || took > 36*time.Hour {
		t.Errorf("%d challenges in %v", rc.count(), took)
	}
	rc.set(echoing)
	a, err := w.Confirm(t.Context(), way)
	if must(t, err); a.Code != "" || w.status(t, way).Gate != webhook.Open {
		t.Errorf("asked for another one: %+v", a)
	}
}

func TestConfirmingIsSeldom(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Verify: webhook.ByEcho})
		rc.comes(t, 1)
		early := func(of *world) {
			t.Helper()
			_, err := of.Confirm(t.Context(), way)
			if e, ok := errors.AsType[*errs.Error](err); !ok || e.Code != "too_many_challenges" || e.RetryAfter <= 0 || e.RetryAfter > 10*time.Second {
				t.Errorf("at once: %v", err)
			}
		}
		early(w)
		other := w.another(t)
		early(other)
		// Nor does a change bring one at once.
		w.change(t, tp, "a", func(e *webhook.Endpoint) { e.URL += "/other" })
		if s := w.status(t, way); !unverified(s) || s.Until.Sub(w.clock.Now()) < 9*time.Second || rc.count() != 1 {
			t.Errorf("after a change: %+v, %d challenges", s, rc.count())
		}
		w.change(t, tp, "a", func(e *webhook.Endpoint) { e.Verify = "" })
		if _, err := w.Confirm(t.Context(), way); !errors.Is(err, webhook.ErrNoVerification) {
			t.Errorf("without verification: %v", err)
		}
		w.change(t, tp, "a", func(e *webhook.Endpoint) { e.Verify = webhook.ByEcho })
		w.clock.Advance(10 * time.Second)
		w.forward(t, time.Minute, "it is challenged", func() bool { return rc.count() == 2 })
		rc.set(echoing)
		w.clock.Advance(10 * time.Second)
		a, err := other.Confirm(t.Context(), way)
		if must(t, err); a.Outcome != webhook.Challenged || a.Code != "" || a.Status != 200 || w.status(t, way).Gate != webhook.Open {
			t.Errorf("confirmed: %+v", a)
		}
		// One that is verified stays so.
		rc.set(answering(500))
		w.clock.Advance(10 * time.Second)
		if a, err = w.Confirm(t.Context(), way); err != nil || a.Code != "http_500" || w.status(t, way).Gate != webhook.Open {
			t.Errorf("once more: %+v, %v", a, err)
		}
	})
}

func TestAnEndpointGivesCloudEventsItsPermission(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		granting := func(origin, rate string) func(received, http.ResponseWriter) {
			return func(_ received, rw http.ResponseWriter) {
				rw.Header().Set("WebHook-Allowed-Origin", origin)
				rw.Header().Set("WebHook-Allowed-Rate", rate)
			}
		}
		rc := newReceiver(t, granting("elsewhere.example.com", "*"))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Verify: webhook.ByCloudEvents})
		rc.comes(t, 1)
		if got := rc.got()[0]; got.method != http.MethodOptions || got.header.Get("WebHook-Request-Origin") != "sluice" || got.body != "" {
			t.Errorf("the request: %+v", got)
		}
		for _, wrong := range [][2]string{{"", ""}, {"other", "*"}, {"*", "many"}, {"*", "0"}} {
			rc.set(granting(wrong[0], wrong[1]))
			w.clock.Advance(10 * time.Second)
			if a, err := w.Confirm(t.Context(), way); err != nil || a.Code != "challenge_failed" || !unverified(w.status(t, way)) {
				t.Errorf("%q: %+v, %v", wrong, a, err)
			}
		}
		rc.set(granting("SLUICE", "60"))
		w.clock.Advance(10 * time.Second)
		_, err := w.Confirm(t.Context(), way)
		must(t, err)
		// Sixty a minute is one a second, on whatever server.
		before := rc.count()
		w.publish(t, tp, numbered(5)...)
		for i := range 5 {
			rc.comes(t, before+i+1)
			w.reaches(t, way, "it is noted", func(s webhook.Status) bool { return s.Delivered == int64(i+1) })
			w.clock.Advance(900 * time.Millisecond)
			if s := w.status(t, way); rc.count() != before+i+1 || s.Rate != 60 || s.Gate != webhook.Open {
				t.Errorf("%d requests after %d: %+v", rc.count()-before, i, s)
			}
			w.clock.Advance(100 * time.Millisecond)
		}
		rc.set(granting("*", "*"))
		w.clock.Advance(10 * time.Second)
		_, err = w.Confirm(t.Context(), way)
		must(t, err)
		w.publish(t, tp, numbered(20)...)
		w.reaches(t, way, "all come at once", func(s webhook.Status) bool { return s.Delivered == 25 && s.Rate == 0 })
	})
}
