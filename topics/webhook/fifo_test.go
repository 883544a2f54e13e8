package webhook_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// order returns the bodies that were taken, by the group that begins them.
func order(rc *receiver, accepted *sync.Map) map[string][]string {
	out := map[string][]string{}
	for _, r := range rc.got() {
		if _, ok := accepted.Load(r.body); ok {
			group := r.body[:1]
			if list := out[group]; len(list) == 0 || list[len(list)-1] != r.body {
				out[group] = append(list, r.body)
			}
		}
	}
	return out
}

func TestG15_AGroupArrivesInOrderAndHoldsUpNoOther(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, ".fifo", topics.Settings{})
		var accepted sync.Map
		var mu sync.Mutex
		under := map[string]int{}
		failures := 0
		rc := newReceiver(t, func(r received, rw http.ResponseWriter) {
			group := r.body[:1]
			mu.Lock()
			if under[group]++; under[group] > 1 {
				t.Errorf("two requests of group %s at once", group)
			}
			fail := r.body == "a3" && failures < 2
			if fail {
				failures++
			}
			mu.Unlock()
			defer func() {
				mu.Lock()
				under[group]--
				mu.Unlock()
			}()
			if fail {
				rw.WriteHeader(500)
				return
			}
			accepted.Store(r.body, true)
		})
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Retries: []time.Duration{10 * time.Second, 10 * time.Second}})
		second := w.another(t)
		want := map[string][]string{}
		for i := range 8 {
			for _, group := range []string{"a", "b", "c"} {
				body := fmt.Sprint(group, i)
				want[group] = append(want[group], body)
				[]*world{w, second}[i%2].publishTo(t, tp, group, body)
			}
		}
		w.forward(t, 2*time.Minute, "the other groups", func() bool { _, ok := accepted.Load("b7"); return ok })
		w.forward(t, 10*time.Minute, "all is delivered", func() bool { return w.status(t, way).Delivered == 24 })
		if diff := cmp.Diff(want, order(rc, &accepted)); diff != "" {
			t.Errorf("what was taken (-want +got):\n%s", diff)
		}
	})
}

func TestAfterTheLastAttemptAGroupGoesOnOrWaits(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, ".fifo", topics.Settings{})
		refusing := func(r received, rw http.ResponseWriter) {
			if r.body == "bad" {
				rw.WriteHeader(400)
			}
		}
		skips, blocks := newReceiver(t, refusing), newReceiver(t, refusing)
		waits := []time.Duration{10 * time.Second}
		skip := w.hook(t, tp, "skip", webhook.Endpoint{URL: skips.URL, Retries: waits})
		block := w.hook(t, tp, "block", webhook.Endpoint{URL: blocks.URL, Retries: waits, OnExhausted: webhook.Block})
		w.publish(t, tp, "bad", "good")
		w.forward(t, time.Minute, "the group goes on", func() bool { return w.status(t, skip).Delivered == 1 })
		if s := w.status(t, skip); s.Dead != 1 || s.Pending != 0 {
			t.Errorf("after the skip: %+v", s)
		}
		w.forward(t, 10*time.Minute, "the group waits", func() bool { return w.status(t, block).Attempts >= 4 })
		if s := w.status(t, block); s.Dead != 0 || s.Pending != 2 || s.Delivered != 0 {
			t.Errorf("blocked: %+v", s)
		}
		blocks.set(nil)
		w.forward(t, time.Hour, "the group is free", func() bool { return w.status(t, block).Delivered == 2 })
		if got := blocks.bodies(); got[len(got)-1] != "good" {
			t.Errorf("the last one is %q", got[len(got)-1])
		}
	})
}
