package webhook_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// The backlog of an endpoint that is dead fills Redis up to the share from which nothing more is taken. Publishes are refused then, and
// nothing of them is stored; what waits for the endpoint of another tenant is delivered all the same. Without the dead one there is
// room again, and all that was confirmed has come.
func TestA18_AFullRedisRefusesPublishesAndDeliversWhatItHas(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{MaxMemory: "16mb"})
	w := newWorld(t, engine.Options{URL: redis.URL()})
	healthy := *w
	healthy.tenant = w.newTenant(t)
	small, rc := healthy.topic(t, "", topics.Settings{}), newReceiver(t, nil)
	quiet := healthy.hook(t, small, "a", webhook.Endpoint{URL: rc.URL})
	must(t, healthy.Suspend(t.Context(), quiet, true))
	want := numbered(50)
	healthy.publish(t, small, want...)
	healthy.reaches(t, quiet, "it holds all", func(s webhook.Status) bool { return s.Pending == int64(len(want)) })

	tp := w.topic(t, "", topics.Settings{})
	dead := newReceiver(t, answering(http.StatusInternalServerError))
	way := w.hook(t, tp, "a", webhook.Endpoint{URL: dead.URL, Retries: slices.Repeat([]time.Duration{time.Second}, webhook.MaxRetries)})
	body, confirmed, refused := strings.Repeat("x", 20_000), int64(0), 0
	for refused < 20 {
		reason, err := w.engine.CheckRoom(t.Context(), nil)
		must(t, err)
		switch _, err = w.topics.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: []byte(body)}); {
		case errors.Is(err, engine.ErrFull) && reason != "":
			refused++
		case err != nil:
			t.Fatalf("publish %d: %v", confirmed, err)
		default:
			confirmed++
		}
		if confirmed > 5_000 {
			t.Fatal("Redis does not become full")
		}
	}
	if _, err := healthy.topics.Publish(t.Context(), healthy.tenant, small, queues.Outgoing{Body: []byte("refused")}); !errors.Is(err, engine.ErrFull) {
		t.Errorf("a publish of the other tenant: %v", err)
	}
	must(t, healthy.Suspend(t.Context(), quiet, false))
	healthy.reaches(t, quiet, "all is delivered", func(s webhook.Status) bool { return s.Delivered == int64(len(want)) && s.Pending == 0 })
	s := w.status(t, way)
	if s.Failed != 0 || s.Dead != 0 || s.Gate == webhook.Off {
		t.Errorf("the dead endpoint: %+v", s)
	}
	t.Logf("%d publishes of %d bytes were confirmed, then %d refused; %d messages of another tenant were delivered", confirmed, len(body), refused, len(want))

	dead.set(nil) // it comes back, and what waits for it leaves
	room := func() bool {
		reason, err := w.engine.CheckRoom(t.Context(), nil) // it may not answer in time while so much is written
		return err == nil && reason == ""
	}
	w.slowly(t, "all that was confirmed has come", func() bool { return room() && w.status(t, way).Delivered == confirmed })
	healthy.publish(t, small, "room again")
	healthy.reaches(t, quiet, "it is delivered", func(s webhook.Status) bool { return s.Delivered == int64(len(want))+1 })
	for _, got := range rc.bodies() {
		if got == "refused" {
			t.Error("a publish that was refused has come")
		}
	}
}
