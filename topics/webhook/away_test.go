package webhook_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// tried is how many calls of scripts a server has made, whatever came of them.
func (w *world) tried() (n int64) {
	for _, one := range w.engine.Outcomes() {
		n += one
	}
	return n
}

// Redis forgets the scripts, and is killed and started again. Deliveries go on by themselves, each message comes, and while there is
// no Redis nobody knocks at its door all the time.
func TestA3_DeliveriesGoOnWhenRedisIsBack(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	w := newWorld(t, engine.Options{URL: redis.URL(), Budget: 200 * time.Millisecond})
	tp := w.topic(t, "", topics.Settings{})
	rc := newReceiver(t, nil)
	way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
	w.publish(t, tp, "before")
	w.reaches(t, way, "it is delivered", func(s webhook.Status) bool { return s.Delivered == 1 })
	goes := func(want int64) {
		t.Helper()
		w.forward(t, 10*time.Minute, "all is delivered", func() bool {
			s, err := w.Status(t.Context(), way)
			return err == nil && s.Delivered == want && s.Pending == 0
		})
	}

	must(t, redis.Client(t).ScriptFlush(t.Context()).Err())
	w.publish(t, tp, "without scripts")
	goes(2)

	rc.set(answering(http.StatusServiceUnavailable))
	w.publish(t, tp, numbered(3)...)
	w.reaches(t, way, "they wait", func(s webhook.Status) bool { return s.Attempts == 5 && s.Sending == 0 })
	redis.Kill9()
	const seconds = 30
	before := w.tried()
	for range seconds { // each timer of the server goes off, and does what it has to
		w.clock.Advance(time.Second)
		at := w.tried()
		until(t, "the server notices", func() bool { return w.tried() > at })
	}
	calls := w.tried() - before
	t.Logf("without Redis %d calls in %d seconds", calls, seconds)
	// 64 shards are looked at each second, and each look is tried a few times.
	if most := int64(seconds * 64 * 10); calls > most {
		t.Errorf("without Redis %d calls in %d seconds, want at most %d", calls, seconds, most)
	}
	rc.set(nil)
	redis.Restart()
	goes(5)
	w.publish(t, tp, "after")
	goes(6)
}

// Redis, which has the log of attempts, is away when a large answer comes. What came of the attempt is noted once it is back: the
// message is delivered once, and the log says so once.
func TestA16_AnAttemptIsNotedOnceWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	w := newWorld(t, engine.Options{URL: redis.URL(), Budget: 200 * time.Millisecond})
	tp := w.topic(t, "", topics.Settings{})
	came, release := make(chan struct{}), make(chan struct{})
	answer := []byte(strings.Repeat("x", 5<<20))
	rc := newReceiver(t, func(_ received, rw http.ResponseWriter) {
		came <- struct{}{}
		<-release
		_, _ = rw.Write(answer)
	})
	var settled sync.WaitGroup
	settled.Add(1)
	w.SetStep(func(done string) error {
		if done == "requested" {
			settled.Done() // a second request would panic here
		}
		return nil
	})
	way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
	w.publish(t, tp, "x")
	<-came
	redis.Kill9()
	close(release)
	settled.Wait()
	failed := w.tried()
	until(t, "the server fails to note it", func() bool { return w.tried() > failed })
	redis.Restart()
	w.forward(t, time.Minute, "it is noted", func() bool {
		s, err := w.Status(t.Context(), way)
		return err == nil && s.Pending == 0
	})
	s := w.status(t, way)
	all, _, err := w.Attempts(t.Context(), way, 0, 10, nil)
	must(t, err)
	if rc.count() != 1 || s.Delivered != 1 || s.Attempts != 1 || s.Dead != 0 || len(all) != 1 {
		t.Fatalf("%d requests, %d attempts in the log; the webhook: %+v", rc.count(), len(all), s)
	}
	if a := all[0]; a.Outcome != webhook.Delivered || !a.Truncated || len(a.Response) != webhook.Kept {
		t.Errorf("the log has %d bytes of the answer: %+v", len(a.Response), a)
	}
	t.Logf("1 request, noted once, with %d bytes of an answer of %d", len(all[0].Response), len(answer))
}
