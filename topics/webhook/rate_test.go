package webhook_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// An endpoint gets so many requests a second and, at first, those of a second at once; also when another server takes over.
func TestAWebhookKeepsToItsRate(t *testing.T) {
	for _, c := range []struct{ rate, seconds, step int }{{1, 20, 1000}, {7, 20, 500}, {100, 8, 250}, {300, 4, 250}} {
		t.Run(fmt.Sprint(c.rate), func(t *testing.T) {
			engines(t, func(t *testing.T, w *world) {
				tp := w.topic(t, "", topics.Settings{})
				rc := newReceiver(t, nil)
				way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, MaxInFlight: webhook.MaxMaxInFlight, MaxRate: c.rate})
				total := c.rate * (c.seconds + 10)
				for left := total; left > 0; left -= 100 {
					w.publish(t, tp, numbered(min(left, 100))...)
				}
				had, late := int64(0), int64(0)
				if 1000%c.rate != 0 {
					late = 1 // a request lasts no whole number of milliseconds
				}
				for ms := 0; ms <= 1000*c.seconds; ms += c.step {
					if ms > 0 {
						w.clock.Advance(time.Duration(c.step) * time.Millisecond)
					}
					may := int64(c.rate + c.rate*ms/1000)
					w.reaches(t, way, fmt.Sprint(may, " come in ", ms, " ms"), func(s webhook.Status) bool {
						had = s.Delivered
						return had >= may-late && s.Sending == 0
					})
					if had > may {
						t.Errorf("%d in %d ms, want at most %d", had, ms, may)
					}
				}
				mean, want := float64(had-int64(c.rate))/float64(c.seconds), float64(c.rate)
				if t.Logf("%.2f requests a second of %.0f", mean, want); mean < 0.95*want || mean > 1.05*want {
					t.Errorf("%.2f requests a second, want %.0f", mean, want)
				}
				began, before, lives := w.clock.Now(), had, w.another(t)
				w.kill()
				lives.forward(t, time.Minute, "another one sends", func() bool { had = lives.status(t, way).Delivered; return had > before })
				if most := int64(float64(c.rate) * (lives.clock.Now().Sub(began).Seconds() + 1)); had > before+most {
					t.Errorf("another server has sent %d, want at most %d", had-before, most)
				}
				lives.change(t, tp, "a", func(e *webhook.Endpoint) { e.MaxRate = 0 })
				lives.reaches(t, way, "all come at once", func(s webhook.Status) bool { return s.Delivered == int64(total) })
			})
		})
	}
}

// Of two rates the lower one holds: the one that the endpoint allows, and that of its owner, which may change at any time.
func TestOfTwoRatesTheLowerHolds(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, func(_ received, rw http.ResponseWriter) {
			rw.Header().Set("WebHook-Allowed-Origin", "*")
			rw.Header().Set("WebHook-Allowed-Rate", "120")
		})
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Verify: webhook.ByCloudEvents, MaxRate: 1})
		w.reaches(t, way, "it is verified", func(s webhook.Status) bool { return !s.Verified.IsZero() })
		w.publish(t, tp, numbered(30)...)
		had := int64(0)
		comes := func(n int64) {
			t.Helper()
			w.reaches(t, way, fmt.Sprint(had+n, " come"), func(s webhook.Status) bool { return s.Delivered >= had+n && s.Sending == 0 })
			if s := w.status(t, way); s.Delivered != had+n || s.Rate != 120 {
				t.Errorf("%d more, want %d: %+v", s.Delivered-had, n, s)
			}
			had += n
		}
		comes(1)
		for _, c := range []struct {
			rate int
			come int64
		}{{1, 1}, {5, 2}, {0, 2}, {1, 1}} {
			w.change(t, tp, "a", func(e *webhook.Endpoint) { e.MaxRate = c.rate })
			if c.rate != 1 || had > 1 {
				comes(c.come) // of the second that begins
			}
			for range 2 {
				w.clock.Advance(time.Second)
				comes(c.come)
			}
		}
	})
}
