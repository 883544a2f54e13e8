package webhook_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// An endpoint is back, and much waits for it. In the first second it gets at most two
// requests, and from second to second more; two servers that send hold to it together.
func TestA11_AnEndpointThatIsBackIsNotRunOver(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		backlog := int64(w.scaled(500, 100_000))
		other := w.another(t)
		w.clock.Advance(4 * time.Second) // the next time that the first one looks who sends
		until(t, "both send", func() bool { return w.Outcomes().Shards+other.Outcomes().Shards == 64 })
		tp := w.topic(t, "", topics.Settings{})
		var mu sync.Mutex
		var came []time.Time
		rc := newReceiver(t, answering(http.StatusServiceUnavailable))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		for range backlog / 100 {
			w.publish(t, tp, numbered(100)...)
		}
		w.reaches(t, way, "the breaker opens", func(s webhook.Status) bool {
			return s.Gate == webhook.Tripped && s.Sending == 0 && s.Pending == backlog
		})
		rc.set(func(_ received, _ http.ResponseWriter) {
			mu.Lock()
			came = append(came, w.clock.Now())
			mu.Unlock()
		})
		w.clock.Advance(w.status(t, way).Until.Sub(w.clock.Now()))
		last := int64(0)
		for w.status(t, way).Delivered < backlog {
			for still := 0; still < 20; still++ { // what may be sent now
				time.Sleep(time.Millisecond)
				if n := w.status(t, way).Delivered; n != last {
					last, still = n, 0
				}
			}
			w.clock.Advance(250 * time.Millisecond)
			if w.clock.Now().Sub(start) > 5*time.Minute {
				t.Fatalf("it has got %d", last)
			}
		}
		var perSecond []int
		slices.SortFunc(came, time.Time.Compare)
		for _, at := range came {
			i := int(at.Sub(came[0]) / time.Second)
			for len(perSecond) <= i {
				perSecond = append(perSecond, 0)
			}
			perSecond[i]++
		}
		// 2, 4, 8 and so on, and where this machine was slow to take what it might, a second of it more. What it does not take in
		// one second is not lost to the next.
		sum, most := 0, 6
		for i, n := range perSecond[:min(len(perSecond), 7)] {
			if sum += n; sum > most {
				t.Errorf("%d requests in the first %d seconds, want at most %d", sum, i+1, most)
			}
			most = 2*most + 2
		}
		if len(perSecond) < 5 {
			t.Errorf("all came within %d seconds", len(perSecond))
		}
		t.Logf("requests per second: %v", perSecond)
		if s := w.status(t, way); s.Pending != 0 || s.Failures != 0 {
			t.Errorf("afterwards: %+v", s)
		}
	})
}
