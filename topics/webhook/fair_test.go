package webhook_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// A tenant has a hundred times as much to send as another, to endpoints that hang. It takes half of all slots and no more, and what
// the other one publishes is delivered meanwhile, before a single one of its attempts has ended.
func TestA2_ATenantWithMuchToSendLeavesRoomForAnother(t *testing.T) {
	const hosts, each, quiet = 16, 40, 10
	engines(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		var crowd []*receiver
		for range hosts {
			crowd = append(crowd, newReceiver(t, func(received, http.ResponseWriter) { <-release }))
		}
		t.Cleanup(func() { close(release) })
		noisy := w.topic(t, "", topics.Settings{})
		for i := range hosts * each { // the window of a webhook lets each have two attempts at first
			w.hook(t, noisy, fmt.Sprint("h", i), webhook.Endpoint{URL: crowd[i%hosts].URL, Timeout: webhook.MaxTimeout})
		}
		loud := *w
		w.tenant = w.newTenant(t)
		tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
		var ways []topics.Way
		for i := range quiet {
			ways = append(ways, w.hook(t, tp, fmt.Sprint("q", i), webhook.Endpoint{URL: rc.URL}))
		}
		loud.publish(t, noisy, numbered(10)...)
		until(t, "the noisy tenant has all that it may have", func() bool { return w.Outcomes().Sending >= webhook.Slots/2 })
		w.publish(t, tp, numbered(5)...)
		for _, way := range ways {
			w.reaches(t, way, "all is delivered", func(s webhook.Status) bool { return s.Delivered == 5 && s.Attempts == 5 })
		}
		until(t, "all is noted", w.Idle) // a turn that is under way has slots reserved
		o := w.Outcomes()
		t.Logf("%d attempts of the noisy tenant hang, %d messages of the quiet one were delivered beside them", o.Sending, o.Delivered)
		if o.Sending > webhook.Slots/2 || o.Delivered != 5*quiet || o.Retried+o.Failed+o.Released != 0 {
			t.Errorf("the outcomes: %+v, want at most %d that hang", o, webhook.Slots/2)
		}
	})
}

// While another tenant is there, one has few of the turns with Redis, so what the other one has to note does not wait for its own.
func TestATenantWithMuchToNoteLeavesTurnsToAnother(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		const hooks = 20
		rc := newReceiver(t, nil)
		noisy := w.topic(t, "", topics.Settings{})
		var ways []topics.Way
		for i := range hooks {
			ways = append(ways, w.hook(t, noisy, fmt.Sprint("h", i), webhook.Endpoint{URL: rc.URL}))
		}
		other := *w
		other.tenant = w.newTenant(t)
		small := other.topic(t, "", topics.Settings{})
		quiet := other.hook(t, small, "a", webhook.Endpoint{URL: rc.URL})
		delivered := func(n int64) func(webhook.Status) bool {
			return func(s webhook.Status) bool { return s.Delivered == n }
		}
		w.publish(t, noisy, "first")
		for _, way := range ways {
			w.reaches(t, way, "the first is delivered", delivered(1))
		}
		other.publish(t, small, "first")
		other.reaches(t, quiet, "the first is delivered", delivered(1))

		var hold atomic.Bool
		var held atomic.Int64
		release := make(chan struct{})
		goOn := sync.OnceFunc(func() { close(release) })
		t.Cleanup(goOn)
		hold.Store(true)
		w.SetStep(func(done string) error {
			if done == "settling" && hold.Load() {
				held.Add(1)
				<-release
			}
			return nil
		})
		w.publish(t, noisy, "second")
		until(t, "all has arrived", func() bool { return rc.count() == 2*hooks+1 })
		until(t, "the turns that the tenant may have hang", func() bool { return held.Load() >= webhook.FewTurns })
		hold.Store(false)
		other.publish(t, small, "second")
		other.reaches(t, quiet, "it is noted beside them", delivered(2))
		if n := held.Load(); n != webhook.FewTurns {
			t.Errorf("%d turns of the noisy tenant hang", n)
		}
		goOn()
		for _, way := range ways {
			w.reaches(t, way, "all is noted", delivered(2))
		}
	})
}

// When many endpoints fail at the same time, what is to be noted of one that takes what it is sent does not wait for all of it.
func TestWhatIsDeliveredDoesNotWaitForWhatFails(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		const failing = 5 * webhook.MaxTurns
		bad, good := newReceiver(t, answering(http.StatusInternalServerError)), newReceiver(t, nil)
		noisy, small := w.topic(t, "", topics.Settings{}), w.topic(t, "", topics.Settings{})
		var ways []topics.Way
		for i := range failing {
			ways = append(ways, w.hook(t, noisy, fmt.Sprint("h", i), webhook.Endpoint{URL: bad.URL}))
		}
		well := w.hook(t, small, "a", webhook.Endpoint{URL: good.URL})
		attempted := func(n int64) func(webhook.Status) bool {
			return func(s webhook.Status) bool { return s.Attempts == n }
		}
		w.publish(t, noisy, "first")
		w.publish(t, small, "first")
		for _, way := range append(ways, well) {
			w.reaches(t, way, "the first is noted", attempted(1))
		}
		until(t, "nothing is left to do", w.Idle)

		var hold atomic.Bool
		var held atomic.Int64
		turns := make(chan struct{})
		goOn := sync.OnceFunc(func() {
			hold.Store(false)
			close(turns)
		})
		t.Cleanup(goOn)
		hold.Store(true)
		w.SetStep(func(done string) error {
			if done == "settling" && hold.Load() {
				held.Add(1)
				<-turns
			}
			return nil
		})
		w.publish(t, noisy, "second")
		until(t, "all have failed", func() bool { return held.Load() == webhook.MaxTurns && w.Unnoted() == failing-webhook.MaxTurns })
		w.publish(t, small, "second")
		until(t, "it has arrived", func() bool { return w.Unnoted() == failing-webhook.MaxTurns+1 })
		for range webhook.MaxTurns + 1 {
			turns <- struct{}{} // in the order in which they came
		}
		w.reaches(t, well, "it is noted with the first turn", attempted(2))
		if n := held.Load(); n > 2*webhook.MaxTurns+1 {
			t.Errorf("%d turns were needed", n)
		}
		goOn()
		for _, way := range ways {
			w.reaches(t, way, "the others are noted", attempted(2))
		}
	})
}

// Of a tenant many endpoints have failed, and hang when they are tried again. They take a quarter of all slots, and what the tenant sends
// to others is delivered before a single one of those attempts has ended.
func TestWhatIsTriedAgainLeavesRoomForWhatIsNot(t *testing.T) {
	const hosts, each = 16, 40
	engines(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		goOn := sync.OnceFunc(func() { close(release) })
		var crowd []*receiver
		for range hosts {
			crowd = append(crowd, newReceiver(t, answering(http.StatusInternalServerError)))
		}
		t.Cleanup(goOn)
		bad := w.topic(t, "", topics.Settings{})
		var ways []topics.Way
		for i := range hosts * each {
			ways = append(ways, w.hook(t, bad, fmt.Sprint("h", i), webhook.Endpoint{URL: crowd[i%hosts].URL, Timeout: webhook.MaxTimeout, Retries: []time.Duration{time.Minute, time.Hour}}))
		}
		w.publish(t, bad, "x")
		for _, way := range ways {
			w.reaches(t, way, "the first attempt has failed", func(s webhook.Status) bool { return s.Attempts == 1 })
		}
		for _, rc := range crowd {
			rc.set(func(received, http.ResponseWriter) { <-release })
		}
		tp, rc := w.topic(t, "", topics.Settings{}), newReceiver(t, nil)
		fresh := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		w.clock.Advance(2 * time.Minute)
		until(t, "those that are tried again have all that they may have", func() bool { return w.Outcomes().Sending == webhook.Slots/4 && w.Idle() })
		w.publish(t, tp, numbered(20)...)
		w.reaches(t, fresh, "all is delivered", func(s webhook.Status) bool { return s.Delivered == 20 && s.Attempts == 20 })
		until(t, "all is noted", w.Idle)
		if o := w.Outcomes(); o.Sending != webhook.Slots/4 || o.Delivered != 20 {
			t.Errorf("the outcomes: %+v, want %d that hang", o, webhook.Slots/4)
		}
		for _, rc := range crowd {
			rc.set(nil)
		}
		goOn()
		for _, way := range ways {
			w.reaches(t, way, "none is forgotten", func(s webhook.Status) bool { return s.Delivered == 1 })
		}
	})
}
