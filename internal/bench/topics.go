package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// onTopics has work done on topics of their own, which are deleted with their subscriptions whatever comes of it.
func (r *rig) onTopics(n int, work func(topics []string) error) (err error) {
	before := r.paths
	topics := make([]string, 0, n)
	defer func() {
		r.paths = before
		for _, t := range topics {
			err = errors.Join(err, r.admin.deleteTopic(t))
		}
	}()
	for i := range n {
		t := "bench-" + strings.ToLower(rand.Text()[:10]) + "-" + strconv.Itoa(i)
		if err := r.admin.createTopic(t); err != nil {
			return err
		}
		topics = append(topics, t)
	}
	return work(topics)
}

func (a *admin) createTopic(topic string) error {
	_, err := a.expect(http.MethodPut, topicPath(topic), []byte(`{}`), http.StatusOK, http.StatusCreated)
	return err
}

func (a *admin) deleteTopic(topic string) error {
	_, err := a.expect(http.MethodDelete, topicPath(topic), nil, http.StatusNoContent, http.StatusOK, http.StatusAccepted)
	return err
}

// subscribe makes a subscription with settings in JSON.
func (a *admin) subscribe(topic, name, settings string) error {
	_, err := a.expect(http.MethodPut, topicPath(topic)+"/subscriptions/"+name, []byte(settings), http.StatusOK, http.StatusCreated)
	return err
}

func (a *admin) unsubscribe(topic, name string) error {
	_, err := a.expect(http.MethodDelete, topicPath(topic)+"/subscriptions/"+name, nil, http.StatusNoContent, http.StatusOK, http.StatusAccepted)
	return err
}

// fanQueues is to how many queues the topic of fan-out leads.
const fanQueues = 10

// fanOut: each worker publishes to a topic that leads to ten queues. It is done when all of them have all; what counts is what
// arrived in a queue, so ten for each that was published.
func (r *rig) fanOut(ctx context.Context) error {
	queues := []string{r.queue}
	defer func() {
		r.queue = queues[0]
		for _, q := range queues[1:] {
			if err := r.admin.deleteQueue(q); err != nil {
				r.fail(fmt.Sprintf("delete a queue: %v; it is left behind", err))
			}
		}
	}()
	for i := range fanQueues - 1 {
		q := fmt.Sprint(queues[0], "-", i)
		if err := r.admin.createQueue(q, ""); err != nil {
			return err
		}
		queues = append(queues, q)
	}
	r.checked = true
	return r.onTopics(1, func(topics []string) error {
		for _, q := range queues {
			if err := r.admin.subscribe(topics[0], q, fmt.Sprintf(`{"queue":%q}`, q)); err != nil {
				return err
			}
		}
		r.paths = newPaths(r.target, topicPath(topics[0]))
		r.restart()
		meter := r.probe.start()
		until := meter.begun.Add(r.cfg.Duration)
		r.each(func(w *worker) {
			for time.Now().Before(until) && !w.gaveUp() {
				start := time.Now()
				n := w.send(r.spec.Batch)
				w.latencies.record(time.Since(start))
				w.counted += int64(n) * fanQueues
			}
		})
		for _, q := range queues {
			if err := r.arrives(ctx, q); err != nil {
				return err
			}
		}
		r.record(meter.stop())
		for _, q := range queues {
			r.queue, r.paths = q, newPaths(r.target, queuePath(q))
			for _, w := range r.workers {
				w.book.got = w.book.got[:0]
			}
			r.drainAndCheck(ctx)
		}
		return nil
	})
}

// arrives returns when a queue holds what was accepted.
func (r *rig) arrives(ctx context.Context, queue string) error {
	want := int64(0)
	for _, w := range r.workers {
		want += int64(w.book.accepted())
	}
	return r.until(ctx, want, func() (int64, error) { return r.admin.stored(queue) })
}

// until returns when a count has come to what is wanted. Where it does not grow for as long as a drain may take the rest is
// missing, which the check tells in detail.
func (r *rig) until(ctx context.Context, want int64, count func() (int64, error)) error {
	had, since := int64(-1), time.Now()
	for {
		has, err := count()
		if err != nil || has >= want || ctx.Err() != nil {
			return err
		}
		switch {
		case has > had:
			had, since = has, time.Now()
		case time.Since(since) > r.cfg.drainLimit:
			r.fail(fmt.Sprintf("nothing more arrives after %s, and not all has", r.cfg.drainLimit))
			return nil
		}
		sleep(ctx, arrivePoll)
	}
}

// arrivePoll is how often it is asked what has arrived.
const arrivePoll = 10 * time.Millisecond
