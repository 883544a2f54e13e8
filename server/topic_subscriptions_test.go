package server_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/sluicemq/sluice/server/servertest"
)

// The whole program is killed just when a pattern was stored, and starts again: the topics follow, those that come later as well, and
// what is published then arrives. It is killed once more when the pattern is deleted, and none of it is left.
func TestTopicsFollowAPatternAfterTheServerWasKilled(t *testing.T) {
	t.Parallel()
	const n = 150 // more than one step of a task looks at
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	queue := newQueue(t, p.URL, p.Key, "")
	topic := func(i int) string { return fmt.Sprintf("%s/v1/topics/shop.%d.created", p.URL, i) }
	for i := range n {
		must(t, http.StatusCreated, nil, http.MethodPut, topic(i), p.Key, "{}")
	}
	wild := p.URL + "/v1/topic_subscriptions/wild"
	must(t, http.StatusCreated, nil, http.MethodPut, wild, p.Key, `{"pattern":"shop.*.created","queue":"`+queue+`"}`)
	killed := func() {
		p.Kill9()
		p.Restart()
		p.WaitReady()
	}
	killed()
	must(t, http.StatusCreated, nil, http.MethodPut, topic(n), p.Key, "{}")
	must(t, http.StatusCreated, nil, http.MethodPost, topic(n)+"/messages", p.Key, "at once")
	until(t, "the topics follow", func() bool {
		var got struct{ State string }
		must(t, http.StatusOK, &got, http.MethodGet, wild, p.Key, "")
		return got.State == "active"
	})
	for i := range n {
		must(t, http.StatusCreated, nil, http.MethodPost, topic(i)+"/messages", p.Key, "m")
	}
	until(t, "all arrive", func() bool {
		var q struct{ Counts counts }
		must(t, http.StatusOK, &q, http.MethodGet, p.URL+"/v1/queues/"+queue, p.Key, "")
		return q.Counts == counts{Available: n + 1}
	})
	must(t, http.StatusAccepted, nil, http.MethodDelete, wild, p.Key, "")
	killed()
	until(t, "it is gone", func() bool { return call(t, http.MethodGet, wild, p.Key, "").status == http.StatusNotFound })
	for i := range n + 1 {
		var list struct{ Data []struct{ Name string } }
		must(t, http.StatusOK, &list, http.MethodGet, topic(i)+"/subscriptions", p.Key, "")
		if len(list.Data) != 0 {
			t.Fatalf("topic %d has %+v left", i, list.Data)
		}
	}
}
