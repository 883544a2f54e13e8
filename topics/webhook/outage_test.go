package webhook_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// blocked makes receivers whose connections break before an answer, for as long as a switch is on: as a firewall of ours
// does that all have in common.
func blocked(tb testing.TB, n int) ([]*receiver, *atomic.Bool) {
	tb.Helper()
	var on atomic.Bool
	list := make([]*receiver, n)
	for i := range list {
		list[i] = newReceiver(tb, func(_ received, rw http.ResponseWriter) {
			if on.Load() {
				panic(http.ErrAbortHandler)
			}
		})
	}
	return list, &on
}

// All that goes out is dropped for ten minutes. No endpoint is disabled and none has failed,
// no message loses an attempt, though each has but one; and afterwards all comes.
func TestA21_AnOutageOfOursIsChargedToNobody(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		const hosts = 24
		tp := w.topic(t, "", topics.Settings{})
		list, outage := blocked(t, hosts)
		var ways []topics.Way
		for i, rc := range list {
			ways = append(ways, w.hook(t, tp, fmt.Sprint("h", i), webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{}}))
		}
		all := func(what string, ok func(webhook.Status) bool) {
			t.Helper()
			w.forward(t, 10*time.Minute, what, func() bool {
				for _, way := range ways {
					if !ok(w.status(t, way)) {
						return false
					}
				}
				return true
			})
		}
		w.publish(t, tp, "before")
		all("all is delivered", func(s webhook.Status) bool { return s.Delivered == 1 })
		outage.Store(true)
		w.publish(t, tp, "meanwhile", "and again")
		until(t, "the outage is noticed", func() bool { return w.Outage() == "connection_closed" })
		tried := w.Outcomes().Excused
		for end := w.clock.Now().Add(10 * time.Minute); w.clock.Now().Before(end); {
			var before []int
			for _, rc := range list {
				before = append(before, rc.count())
			}
			w.clock.Advance(38 * time.Second)
			for i, way := range ways { // each is tried again, and the clock does not run ahead of it
				w.slowly(t, "it is tried again", func() bool { return list[i].count() > before[i] && w.status(t, way).Sending == 0 })
			}
		}
		charged := int64(-hosts)
		for _, way := range ways {
			s := w.status(t, way)
			charged += s.Attempts
			if s.Attempts != 1 || s.Failures != 0 || s.Failed != 0 || s.Pending != 2 || s.Gate == webhook.Tripped || s.Gate == webhook.Off {
				t.Errorf("an endpoint: %+v", s)
			}
		}
		o := w.Outcomes()
		if o.Outages != 1 || o.Disabled != 0 || o.Excused < tried+hosts {
			t.Errorf("the outage: %+v, of them %d at its beginning", o, tried)
		}
		outage.Store(false)
		all("all is delivered", func(s webhook.Status) bool { return s.Delivered == 3 && s.Attempts == 3 })
		if w.Outage() != "" || w.Outcomes().Outages != 1 {
			t.Errorf("afterwards it is %q: %+v", w.Outage(), w.Outcomes())
		}
		t.Logf("%d hosts, 10 minutes: %d attempts failed, %d were charged", hosts, o.Excused, charged)
	})
}

// Eight of twenty-four are not most of them: they have failed.
func TestSomeEndpointsThatFailAreNoOutage(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		fine, _ := blocked(t, 16)
		bad, on := blocked(t, 8)
		var ways []topics.Way
		for i, rc := range append(fine, bad...) {
			ways = append(ways, w.hook(t, tp, fmt.Sprint("h", i), webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{}}))
		}
		w.publish(t, tp, "before")
		for _, way := range ways {
			w.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return s.Delivered == 1 })
		}
		on.Store(true)
		w.publish(t, tp, "meanwhile")
		for i, way := range ways {
			w.forward(t, time.Minute, "it has ended", func() bool { s := w.status(t, way); return s.Delivered+s.Failed == 2 })
			if s := w.status(t, way); (s.Failed == 1) != (i >= len(fine)) {
				t.Errorf("endpoint %d: %+v", i, s)
			}
		}
		if o := w.Outcomes(); w.Outage() != "" || o.Outages != 0 || o.Excused != 0 {
			t.Errorf("an outage of %q: %+v", w.Outage(), o)
		}
	})
}

func TestAnOutageIsMoreThanHalfOfEnoughHostsWithinAMinute(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(start)
	o := webhook.NewOutage(clk)
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	for range 100 {
		want("one host that fails again and again", o.See("h0", "timeout"), "")
	}
	for i := range 19 {
		want("nineteen hosts that fail", o.See(fmt.Sprint("h", i), "timeout"), "")
	}
	want("the twentieth, which answers", o.See("h19", ""), "timeout")
	for i := range 8 {
		want("eleven of twenty", o.See(fmt.Sprint("h", i), ""), "timeout")
	}
	want("ten of twenty", o.See("h8", ""), "")
	want("eleven of twenty, in two ways", o.See("h8", "tls_failed"), "")
	want("eleven of twenty", o.See("h8", "timeout"), "timeout")
	clk.Advance(2 * time.Minute)
	want("while it lasts it is not forgotten soon", o.See("h8", "timeout"), "timeout")
	clk.Advance(6 * time.Minute)
	want("after some minutes nobody knows", o.See("h8", "timeout"), "")
	for i := range 2 * webhook.OutageMost {
		o.See(fmt.Sprint("other", i), "timeout")
	}
	for range 30 {
		clk.Advance(6 * time.Second)
		for i := range webhook.OutageMost {
			o.See(fmt.Sprint("other", i), "timeout")
		}
	}
	if hosts, notes := o.Known(); hosts > webhook.OutageMost || notes > 60*webhook.OutageMost {
		t.Errorf("%d hosts and %d notes are remembered", hosts, notes)
	}
}
