package webhook_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// A message is put off a thousand times, because the name of its endpoint cannot be looked up, and ten servers in a row die with it
// in their hands. None of that is an attempt: once the endpoint can be reached it gets three, and after the third the message is a
// dead letter.
func TestA9_OnlyAttemptsCountAsAttempts(t *testing.T) {
	t.Parallel()
	for _, on := range []string{"redis", "memory"} {
		t.Run(on, func(t *testing.T) {
			t.Parallel()
			deferrals, restarts := scaled(30, 1_000), scaled(3, 10)
			opt := engine.Options{URL: redistest.Memory(t), Memory: true}
			if on == "redis" {
				opt = engine.Options{URL: redistest.Start(t, redistest.Options{}).URL()}
			}
			w := &world{names: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("no name server")
			}}}
			w.start(t, opt, policy)
			tp, dead := w.topic(t, "", topics.Settings{}), w.queue(t, "")
			way := w.safeHook(t, tp, "a", dead, topics.Raw, webhook.Endpoint{URL: "http://hooks.example.com/", Retries: []time.Duration{time.Second, time.Second}})
			w.publish(t, tp, "x")
			released, killed := int64(0), 0
			for i := range deferrals {
				was := released
				w.slowly(t, "it is put off", func() bool { released = w.Outcomes().Released; return released > was })
				w.slowly(t, "that is noted", func() bool { return w.status(t, way).Sending == 0 })
				if killed < restarts && i%(deferrals/restarts) == deferrals/restarts-1 {
					leased := make(chan struct{}, 100)
					w.SetStep(func(done string) error {
						if done == "leased" {
							leased <- struct{}{}
							return errKilled
						}
						return nil
					})
					w.slowly(t, "the server has it", func() bool { return len(leased) > 0 })
					w.kill()
					w, released = w.another(t), 0
					killed++
					continue
				}
				w.clock.Advance(40 * time.Second)
			}
			s := w.status(t, way)
			if s.Attempts != 0 || s.Failures != 0 || s.Failed != 0 || s.Pending != 1 || killed != restarts {
				t.Fatalf("after %d deferrals and %d restarts: %+v", deferrals, killed, s)
			}
			rc := newReceiver(t, answering(http.StatusInternalServerError))
			w.change(t, tp, "a", func(e *webhook.Endpoint) { e.URL = rc.URL })
			w.forward(t, 10*time.Minute, "it is given up", func() bool { return w.status(t, way).Failed == 1 })
			got := w.letters(t, dead, 1)
			if s := w.status(t, way); s.Attempts != 3 || rc.count() != 3 || len(got) != 1 || got[0].Origin.Error != "The endpoint answered 500 Internal Server Error. 3 attempts were made." {
				t.Errorf("%d requests; the dead letter says %+v; the webhook: %+v", rc.count(), got[0].Origin, s)
			}
			t.Logf("%d deferrals and %d restarts, then %d attempts", deferrals, killed, rc.count())
		})
	}
}
