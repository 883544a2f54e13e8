package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

func TestAnEndpointThatFailsInARowIsLeftAloneForAWhile(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, answering(500))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, MaxInFlight: 1})
		w.publish(t, tp, numbered(20)...)
		w.reaches(t, way, "the breaker opens", func(s webhook.Status) bool { return s.Gate == webhook.Tripped && s.Sending == 0 })
		s := w.status(t, way)
		if rc.count() != webhook.BreakAfter || s.Failures != webhook.BreakAfter || s.Attempts != webhook.BreakAfter || s.Pending != 20 {
			t.Fatalf("%d requests, %+v", rc.count(), s)
		}
		if pause := s.Until.Sub(w.clock.Now()); pause < webhook.BreakFirst || pause > webhook.BreakFirst*5/4 {
			t.Errorf("the breaker is open for %v", pause)
		}
		w.clock.Advance(webhook.BreakFirst - time.Second)
		// One probe that fails opens it again, for longer; no message loses an attempt meanwhile.
		w.forward(t, time.Minute, "a probe", func() bool { return rc.count() > webhook.BreakAfter })
		w.reaches(t, way, "it opens again", func(s webhook.Status) bool { return s.Gate == webhook.Tripped && s.Sending == 0 })
		if s = w.status(t, way); rc.count() != webhook.BreakAfter+1 || s.Until.Sub(s.LastFailure) < 2*webhook.BreakFirst {
			t.Errorf("%d requests, %+v", rc.count(), s)
		}
		// One that succeeds closes it, and all comes.
		rc.set(nil)
		w.forward(t, 20*time.Minute, "all is delivered", func() bool { return w.status(t, way).Delivered == 20 })
		if s = w.status(t, way); s.Gate != webhook.Open || s.Failures != 0 || !s.FailingSince.IsZero() || s.Dead != 0 {
			t.Errorf("afterwards: %+v", s)
		}
	})
}

func TestRetryAfterIsForTheEndpointAndNotForTheMessage(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, func(_ received, rw http.ResponseWriter) {
			rw.Header().Set("Retry-After", "120")
			rw.WriteHeader(http.StatusTooManyRequests)
		})
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, MaxInFlight: 1})
		w.publish(t, tp, numbered(10)...)
		w.reaches(t, way, "peace", func(s webhook.Status) bool { return s.Gate == webhook.Throttled && s.Sending == 0 })
		if s := w.status(t, way); rc.count() != 1 || s.Until.Sub(w.clock.Now()) < 2*time.Minute-time.Second || s.Failures != 0 {
			t.Fatalf("%d requests, %+v", rc.count(), s)
		}
		rc.set(nil)
		w.clock.Advance(118 * time.Second)
		w.publish(t, tp, "another")
		if n := rc.count(); n != 1 {
			t.Errorf("%d requests before the time", n)
		}
		w.forward(t, 5*time.Minute, "all is delivered", func() bool { return w.status(t, way).Delivered == 11 })
	})
}

func TestGoneDisablesAndEnablingGoesOn(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{Retention: time.Hour})
		rc := newReceiver(t, answering(http.StatusGone))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, MaxInFlight: 1})
		w.publish(t, tp, "one", "two")
		w.reaches(t, way, "it is disabled", func(s webhook.Status) bool { return s.Gate == webhook.Off && s.Sending == 0 })
		if s := w.status(t, way); s.Reason != "http_410" || rc.count() != 1 || s.Dead != 1 || s.Pending != 1 {
			t.Fatalf("%d requests, %+v", rc.count(), s)
		}
		w.publish(t, tp, "three")
		w.reaches(t, way, "what is published is dropped", func(s webhook.Status) bool { return s.Missed == 1 })
		until(t, "the subscription says so", func() bool {
			s, err := w.topics.GetSubscription(t.Context(), w.tenant, tp, "a")
			must(t, err)
			return s.State == topics.Disabled && s.Dropped == 1
		})
		rc.set(nil)
		must(t, w.Enable(t.Context(), way))
		w.publish(t, tp, "four")
		w.reaches(t, way, "the rest comes", func(s webhook.Status) bool { return s.Delivered == 2 })
		_, err := w.ResendFailed(t.Context(), way, time.Time{})
		must(t, err)
		w.reaches(t, way, "what failed comes", func(s webhook.Status) bool { return s.Delivered == 3 && s.Dead == 0 })
		if got := fmt.Sprint(rc.bodies()); got != "[one two four one]" {
			t.Errorf("what came: %s", got)
		}
	})
}

func TestAnEndpointThatFailsForDaysIsDisabled(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, answering(500))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		must(t, w.Age(t.Context(), way, 19, 5*24*time.Hour+time.Minute))
		w.publish(t, tp, "x")
		w.reaches(t, way, "it is disabled", func(s webhook.Status) bool { return s.Gate == webhook.Off })
		if s := w.status(t, way); s.Reason != "failing" || s.Pending != 1 {
			t.Errorf("the webhook: %+v", s)
		}
		until(t, "it is counted", func() bool { return w.Outcomes().Disabled == 1 }) // after Redis has it
	})
}

func TestAPausedWebhookKeepsWhatItHasAndTheLogTheRest(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, answering(500))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{time.Minute}})
		w.publish(t, tp, "one")
		w.reaches(t, way, "it waits", func(s webhook.Status) bool { return s.Attempts == 1 && s.Sending == 0 })
		_, err := w.topics.PauseSubscription(t.Context(), w.tenant, tp, "a")
		must(t, err)
		rc.set(nil)
		w.publish(t, tp, "two")
		w.clock.Advance(time.Hour)
		if s := w.status(t, way); s.Gate != webhook.Suspended || s.Pending != 1 || rc.count() != 1 {
			t.Errorf("paused: %d requests, %+v", rc.count(), s)
		}
		_, err = w.topics.ResumeSubscription(t.Context(), w.tenant, tp, "a")
		must(t, err)
		w.forward(t, time.Minute, "both come", func() bool { return w.status(t, way).Delivered == 2 })
	})
}

// Endpoints that never answer, of the same tenant and of another one, take nothing from those that do.
func TestA1_EndpointsThatHangHurtNobodyElse(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		hung := newReceiver(t, func(received, http.ResponseWriter) { <-release })
		t.Cleanup(func() { close(release) })
		tp := w.topic(t, "", topics.Settings{})
		for i := range 30 {
			w.hook(t, tp, fmt.Sprint("hung", i), webhook.Endpoint{URL: hung.URL, Timeout: 30 * time.Second})
		}
		w.publish(t, tp, numbered(20)...)
		until(t, "the slots of the host are taken", func() bool { return w.Outcomes().Sending == 30*2 || hung.count() >= webhook.Host-4 })
		healthy := newReceiver(t, nil)
		var ways []topics.Way
		for i := range 20 {
			ways = append(ways, w.hook(t, tp, fmt.Sprint("healthy", i), webhook.Endpoint{URL: healthy.URL}))
		}
		began := time.Now()
		w.publish(t, tp, numbered(5)...)
		for _, way := range ways {
			w.reaches(t, way, "all is delivered", func(s webhook.Status) bool { return s.Delivered == 5 })
		}
		if took := time.Since(began); took > 20*time.Second { // one that hangs does for 30
			t.Errorf("the healthy ones waited for %v", took)
		}
		until(t, "all is noted", w.Idle) // a turn that is under way has slots reserved
		if n := w.Outcomes().Sending; n > webhook.Host {
			t.Errorf("%d attempts to one host", n)
		}
	})
}

// Many endpoints that hang have as many attempts as they may, and more to send. Who comes behind them in the line has its turn at once:
// nothing happens that would have somebody look at the line again.
func TestNobodyWaitsInTheLineBehindEndpointsThatHang(t *testing.T) {
	const hung = 40
	engines(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		var begun atomic.Int64
		tp := w.topic(t, "", topics.Settings{})
		for i := range hung {
			rc := newReceiver(t, func(received, http.ResponseWriter) {
				begun.Add(1)
				<-release
			})
			w.hook(t, tp, fmt.Sprint("h", i), webhook.Endpoint{URL: rc.URL, Timeout: webhook.MaxTimeout})
		}
		t.Cleanup(func() { close(release) })
		quiet, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
		way := w.hook(t, quiet, "a", webhook.Endpoint{URL: rc.URL})
		w.publish(t, tp, numbered(5)...)
		until(t, "each hangs twice", func() bool { return begun.Load() >= 2*hung && w.Idle() })
		for i := range 3 {
			w.publish(t, quiet, "one")
			w.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return s.Delivered == int64(i)+1 })
		}
		if o := w.Outcomes(); o.Retried+o.Failed+o.Released != 0 {
			t.Errorf("attempts that hang had to end before it was delivered: %+v", o)
		}
	})
}

// Webhooks of three tenants wait for a place at a host, where all attempts hang. When those end, all get one.
func TestWhoWaitsForAHostIsCalled(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		rc := newReceiver(t, func(r received, _ http.ResponseWriter) {
			if r.path == "/hung" {
				<-release
			}
		})
		end := sync.OnceFunc(func() { close(release) })
		t.Cleanup(end)
		var ways []topics.Way
		var others []func()
		for range 2 {
			other := *w
			other.tenant = w.newTenant(t)
			tp := other.topic(t, "", topics.Settings{})
			for i := range 10 {
				ways = append(ways, other.hook(t, tp, fmt.Sprint("h", i), webhook.Endpoint{URL: rc.URL}))
			}
			other.publish(t, tp, "known")
			others = append(others, func() { other.publish(t, tp, numbered(3)...) })
		}
		for _, way := range ways {
			w.reaches(t, way, "the endpoint is known", func(s webhook.Status) bool { return s.Delivered == 1 })
		}
		tp := w.topic(t, "", topics.Settings{})
		for i := range webhook.Host { // twice what there is room for
			w.hook(t, tp, fmt.Sprint("h", i), webhook.Endpoint{URL: rc.URL + "/hung", Timeout: webhook.MaxTimeout})
		}
		w.publish(t, tp, "one", "two")
		until(t, "the host is busy", func() bool { return w.Outcomes().Sending >= webhook.Host && w.Parked() == 1 })
		for _, publish := range others {
			publish()
		}
		until(t, "all wait", func() bool { return w.Parked() == 3 })
		end()
		for _, way := range ways {
			w.reaches(t, way, "all is delivered", func(s webhook.Status) bool { return s.Delivered == 4 })
		}
		until(t, "nobody waits", func() bool { return w.Parked() == 0 })
	})
}

// Many webhooks lead to one host, and all have something to send at the same time: more attempts than the host has connections
// for would only wait for one, and count against messages and endpoints when their time is over.
func TestAHostGetsNoMoreAttemptsThanItHasConnections(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		rc := newReceiver(t, nil)
		t.Cleanup(func() { close(release) })
		tp := w.topic(t, "", topics.Settings{})
		var ways []topics.Way
		for i := range 24 {
			ways = append(ways, w.hook(t, tp, fmt.Sprint("h", i), webhook.Endpoint{URL: rc.URL, Timeout: 30 * time.Second}))
		}
		w.publish(t, tp, numbered(30)...) // so that each may have many attempts at the same time
		for _, way := range ways {
			w.reaches(t, way, "all is delivered", func(s webhook.Status) bool { return s.Delivered == 30 })
		}
		rc.set(func(received, http.ResponseWriter) { <-release })
		most := int64(0)
		w.publish(t, tp, numbered(30)...)
		until(t, "the host is busy", func() bool {
			most = max(most, w.Outcomes().Sending)
			return rc.count() >= len(ways)*30+webhook.Host
		})
		for range 100 {
			most = max(most, w.Outcomes().Sending)
			time.Sleep(time.Millisecond)
		}
		if most > webhook.Host {
			t.Errorf("%d attempts at the same time, want at most %d", most, webhook.Host)
		}
	})
}

// A name server that fails says nothing of the endpoint, so no message loses an attempt; but it is not asked for each message
// that waits either.
func TestANameThatCannotBeLookedUpIsNotAskedForAgainAtOnce(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	w := &world{names: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		asked.Add(1)
		return nil, errors.New("no name server")
	}}}
	w.start(t, engine.Options{URL: redistest.Memory(t), Memory: true}, policy)
	tp := w.topic(t, "", topics.Settings{})
	way := w.hook(t, tp, "a", webhook.Endpoint{URL: "http://hooks.example.com/"})
	w.publish(t, tp, numbered(300)...)
	w.reaches(t, way, "it is left alone", func(s webhook.Status) bool { return s.Gate == webhook.Throttled && s.Pending == 300 && s.Sending == 0 })
	first := asked.Load()
	if first > 100 {
		t.Errorf("the name server was asked %d times", first)
	}
	w.forward(t, 2*time.Minute, "it is asked again", func() bool { return asked.Load() > first })
	if s := w.status(t, way); s.Failures != 0 || s.Attempts != 0 || s.Dead != 0 {
		t.Errorf("afterwards: %+v", s)
	}
}

// Tests take the connections of a host as attempts do: many that hang keep no message waiting until its time is over.
func TestTestsLeaveConnectionsToAttempts(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		rc := newReceiver(t, func(r received, _ http.ResponseWriter) {
			if r.path == "/hang" {
				<-release
			}
		})
		var tests sync.WaitGroup
		t.Cleanup(func() { close(release); tests.Wait() })
		tp := w.topic(t, "", topics.Settings{})
		hung := w.hook(t, tp, "hung", webhook.Endpoint{URL: rc.URL + "/hang", Timeout: 30 * time.Second})
		var refused atomic.Int64
		for range 2 * webhook.Host {
			tests.Go(func() {
				if _, err := w.Test(context.Background(), hung); errors.Is(err, webhook.ErrBusy) {
					refused.Add(1)
				}
			})
		}
		until(t, "the tests that may hang", func() bool { return int64(rc.count())+refused.Load() == 2*webhook.Host })
		w.tenant = w.newTenant(t)
		other := w.topic(t, "", topics.Settings{})
		way := w.hook(t, other, "a", webhook.Endpoint{URL: rc.URL, Timeout: 5 * time.Second}) // what hangs does so for thirty
		w.publish(t, other, "one")
		w.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return s.Delivered+s.Failures > 0 })
		if s := w.status(t, way); s.Delivered != 1 {
			t.Errorf("beside %d tests that hang: %+v", rc.count(), s)
		}
	})
}
