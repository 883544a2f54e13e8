package webhook_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

func numbered(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint("m", i)
	}
	return list
}

func TestG14_EveryEndpointGetsWhatIsPublishedAtLeastOnce(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		a, b := newReceiver(t, nil), newReceiver(t, nil)
		one, two := w.hook(t, tp, "a", webhook.Endpoint{URL: a.URL}), w.hook(t, tp, "b", webhook.Endpoint{URL: b.URL + "/hooks"})
		want := numbered(150)
		w.publish(t, tp, want...)
		a.comes(t, len(want))
		b.comes(t, len(want))
		for _, way := range []topics.Way{one, two} {
			w.reaches(t, way, "all is delivered", func(s webhook.Status) bool { return s.Delivered == int64(len(want)) && s.Pending == 0 })
		}
		slices.Sort(want)
		for _, rc := range []*receiver{a, b} {
			got := rc.bodies()
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("what came (-want +got):\n%s", diff)
			}
		}
		if b.got()[0].path != "/hooks" {
			t.Errorf("the path is %q", b.got()[0].path)
		}
	})
}

func TestWhatFailsIsTriedAgainOnSchedule(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, answering(http.StatusInternalServerError))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{time.Minute, time.Hour}})
		sent := w.publish(t, tp, "x")
		for i, wait := range []time.Duration{time.Minute, time.Hour} {
			rc.comes(t, i+1)
			w.reaches(t, way, "it waits", func(s webhook.Status) bool { return s.Attempts == int64(i+1) && s.Sending == 0 })
			next := w.status(t, way).Next.Sub(w.clock.Now())
			if next < wait || next > wait+wait/4+time.Second {
				t.Errorf("the next attempt is in %v, want %v and a quarter of it", next, wait)
			}
			w.clock.Advance(wait - time.Second)
			if s := w.status(t, way); s.Attempts != int64(i+1) {
				t.Errorf("too early: %+v", s)
			}
			w.forward(t, wait/4+time.Minute, "the next attempt", func() bool { return rc.count() > i+1 })
		}
		w.reaches(t, way, "it is given up", func(s webhook.Status) bool { return s.Dead == 1 && s.Pending == 0 && s.Failed == 1 })
		w.meter.Flush(t.Context())
		if trouble, err := w.tenants.Troubles(t.Context(), w.tenant); err != nil || trouble[w.tenant].Undelivered != 3 {
			t.Errorf("the tenant has %+v, %v; want 3 attempts that failed", trouble, err)
		}
		for i, r := range rc.got() {
			if r.body != "x" || r.header.Get("Webhook-Id") != "msg_"+sent[0].ID.String() || r.header.Get("Webhook-Attempt") != fmt.Sprint(i+1) {
				t.Errorf("attempt %d: %q %v", i+1, r.body, r.header)
			}
		}
		all, next, err := w.Attempts(t.Context(), way, 0, 10, nil)
		must(t, err)
		var outcomes []string
		for _, a := range all {
			outcomes = append(outcomes, fmt.Sprint(a.Outcome, " ", a.Status, " ", a.Code, " ", a.Try))
		}
		if diff := cmp.Diff([]string{"failed 500 http_500 3", "retrying 500 http_500 2", "retrying 500 http_500 1"}, outcomes); diff != "" || next != 0 {
			t.Errorf("the log (-want +got):\n%s", diff)
		}
		// All that failed, once more.
		rc.set(nil)
		n, err := w.ResendFailed(t.Context(), way, time.Time{})
		must(t, err)
		rc.comes(t, 4)
		w.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return n == 1 && s.Delivered == 1 && s.Dead == 0 && s.Bytes == 0 })
		// The log forgot it, so it cannot be sent a second time.
		if err := w.Resend(t.Context(), way, all[0].Entry); err == nil || !strings.Contains(err.Error(), "no such delivery") {
			t.Errorf("to resend what is gone: %v", err)
		}
	})
}

// An endpoint that waits for nothing is lent what is published with the call that brings it: there is no second one before the request.
func TestWhatIsBroughtToAnIdleEndpointIsLentWithTheSameCall(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		for _, suffix := range []string{"", ".fifo"} {
			tp, rc := w.topic(t, suffix, topics.Settings{}), newReceiver(t, nil)
			way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
			w.publish(t, tp, "first") // the settings of the endpoint are known from then on
			rest := func(n int64) {
				w.reaches(t, way, "all is noted", func(s webhook.Status) bool { return s.Delivered == n && s.Pending == 0 && w.Idle() })
			}
			rest(1)
			var mu sync.Mutex
			var steps []string
			w.SetStep(func(done string) error {
				mu.Lock()
				defer mu.Unlock()
				steps = append(steps, done)
				return nil
			})
			w.publish(t, tp, "second")
			rest(2)
			mu.Lock()
			if diff := cmp.Diff([]string{"leased", "requested", "settling"}, steps); diff != "" {
				t.Errorf("the steps of a delivery (-want +got):\n%s", diff)
			}
			mu.Unlock()
			w.publish(t, tp, numbered(20)...) // more than it may have at the same time
			rest(22)
			if diff := cmp.Diff(append([]string{"first", "second"}, numbered(20)...), rc.bodies()); suffix != "" && diff != "" || rc.count() != 22 {
				t.Errorf("what came (-want +got):\n%s", diff)
			}
		}
	})
}
