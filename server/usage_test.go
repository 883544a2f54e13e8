package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// usage is an entry of usage as the API shows it.
type usage struct {
	Queue, Topic *string
	Requests     int64
	BytesIn      int64 `json:"bytes_in"`
	BytesOut     int64 `json:"bytes_out"`
	Sent         int64 `json:"messages_sent"`
	Received     int64 `json:"messages_received"`
	Deleted      int64 `json:"messages_deleted"`
	Published    int64 `json:"messages_published"`
	Delivered    int64 `json:"messages_delivered"`
}

// used returns the sums of a tenant's usage by name of queue or topic, "" for all of the tenant.
func used(tb testing.TB, url, key, query string) map[string]usage {
	tb.Helper()
	var page struct{ Data []usage }
	must(tb, http.StatusOK, &page, http.MethodGet, url+"/v1/usage?"+query, key, "")
	sums := map[string]usage{}
	for _, u := range page.Data {
		name := ""
		if u.Queue != nil {
			name = *u.Queue
		}
		if u.Topic != nil {
			name = *u.Topic
		}
		s := sums[name]
		s.Requests, s.BytesIn, s.BytesOut = s.Requests+u.Requests, s.BytesIn+u.BytesIn, s.BytesOut+u.BytesOut
		s.Sent, s.Received, s.Deleted = s.Sent+u.Sent, s.Received+u.Received, s.Deleted+u.Deleted
		s.Published, s.Delivered = s.Published+u.Published, s.Delivered+u.Delivered
		sums[name] = s
	}
	return sums
}

// Known traffic of two tenants goes through two servers, of which one stops and starts again. What is told of it in the end
// is what was asked for and answered.
func TestUsageIsExactAgainstARecount(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	b := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	mine, _ := newTenant(t, a, "mine")
	theirs, _ := newTenant(t, a, "theirs")
	var mu sync.Mutex
	want := map[string]map[string]usage{mine: {}, theirs: {}} // by key, and name of queue or topic
	// ask makes a request and counts it.
	ask := func(url, method, path, key, body, name string, n usage) answer {
		got := call(t, method, url+path, key, body)
		names := []string{""}
		if got.status < 300 && name != "" {
			names = append(names, name)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, name := range names {
			u := want[key][name]
			u.Requests++
			u.BytesIn += int64(len(body))
			if got.status < 300 {
				u.BytesOut += int64(len(got.body))
				u.Sent, u.Received, u.Deleted, u.Published, u.Delivered = u.Sent+n.Sent, u.Received+n.Received, u.Deleted+n.Deleted, u.Published+n.Published, u.Delivered+n.Delivered
			}
			want[key][name] = u
		}
		return got
	}
	traffic := func(urls ...string) {
		var wg sync.WaitGroup
		for i := range 4 * len(urls) {
			url, key, queue := urls[i%len(urls)], mine, fmt.Sprint("q", i%3)
			if i%4 == 3 {
				key = theirs
			}
			wg.Go(func() {
				q := "/v1/queues/" + queue
				for range 10 {
					ask(url, http.MethodPost, q+"/messages", key, "hello", queue, usage{Sent: 1})
					ask(url, http.MethodPost, q+"/messages/batch", key, `{"messages":[{"body":"a"},{"body":"b"}]}`, queue, usage{Sent: 2})
				}
				ask(url, http.MethodGet, "/v1/queues/absent", key, "", "", usage{})
				ask(url, http.MethodPost, q+"/messages/batch", key, "no json", "", usage{})
			})
		}
		wg.Wait()
		for _, key := range []string{mine, theirs} {
			for i := range 3 {
				q := fmt.Sprintf("/v1/queues/q%d", i)
				ask(urls[0], http.MethodGet, q, key, "", fmt.Sprint("q", i), usage{})
			}
		}
	}
	for _, key := range []string{mine, theirs} {
		for i := range 3 {
			ask(a.URL(), http.MethodPut, fmt.Sprintf("/v1/queues/q%d", i), key, "", fmt.Sprint("q", i), usage{})
		}
		ask(a.URL(), http.MethodPut, "/v1/topics/news", key, "", "news", usage{})
	}
	traffic(a.URL(), b.URL())
	if err := b.Stop(); err != nil { // what it has counted it says before it ends
		t.Fatal(err)
	}
	c := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	traffic(a.URL(), c.URL())
	ask(c.URL(), http.MethodPost, "/v1/queues/q0/receive?max=7&ack=auto", mine, "", "q0", usage{Received: 7, Deleted: 7})
	var got struct{ Messages []received }
	answered := ask(a.URL(), http.MethodPost, "/v1/queues/q1/receive?max=2", mine, "", "q1", usage{Received: 2})
	if err := json.Unmarshal([]byte(answered.body), &got); err != nil || len(got.Messages) != 2 {
		t.Fatalf("receive: %s, %v", answered, err)
	}
	for _, n := range []int64{1, 0} { // an ack that is repeated counts once
		ask(a.URL(), http.MethodDelete, "/v1/queues/q1/receipts/"+got.Messages[0].ReceiptHandle, mine, "", "q1", usage{Deleted: n})
	}
	ask(a.URL(), http.MethodPut, "/v1/topics/news/subscriptions/s", mine, `{"queue":"q2"}`, "news", usage{})
	ask(c.URL(), http.MethodPost, "/v1/topics/news/messages", mine, "extra", "news", usage{Published: 1, Delivered: 1})
	must(t, http.StatusOK, nil, http.MethodGet, a.URL()+"/v1/queues", a.OperatorKey, "", "Tenant", "mine") // operators do not count

	// The answers about usage count too, but for the queues and topics that they tell about.
	check := func(key, query string, names ...string) {
		within(t, 15*time.Second, "usage of "+query, func() bool {
			told := used(t, a.URL(), key, query)
			for _, name := range names {
				if told[name] != want[key][name] {
					return false
				}
			}
			return len(told) == len(names)
		})
	}
	defer func() {
		if t.Failed() {
			for _, key := range []string{mine, theirs} {
				t.Logf("told %+v\n%+v\nwant %+v", used(t, a.URL(), key, "by=queue"), used(t, a.URL(), key, "by=topic"), want[key])
			}
		}
	}()
	check(mine, "by=queue", "q0", "q1", "q2")
	check(mine, "by=topic", "news")
	check(theirs, "by=queue&granularity=day", "q0", "q1", "q2")
	for _, key := range []string{mine, theirs} {
		told, wanted := used(t, c.URL(), key, "")[""], want[key][""]
		if told.Sent != wanted.Sent || told.Received != wanted.Received || told.Deleted != wanted.Deleted || told.Published != wanted.Published ||
			told.BytesIn != wanted.BytesIn || told.Requests < wanted.Requests {
			t.Errorf("in all: told %+v, want %+v and a few requests about usage", told, wanted)
		}
	}
	var q struct{ Totals struct{ Sent, Deleted int64 } }
	must(t, http.StatusOK, &q, http.MethodGet, a.URL()+"/v1/queues/q0", mine, "")
	if n := want[mine]["q0"]; q.Totals.Sent != n.Sent || q.Totals.Deleted != n.Deleted {
		t.Errorf("the queue says %+v, usage %+v", q.Totals, n)
	}
	var page struct{ Data []usage }
	must(t, http.StatusOK, &page, http.MethodGet, a.URL()+"/v1/tenants/theirs/usage", a.OperatorKey, "")
	if len(page.Data) == 0 || page.Data[0].Published != 0 {
		t.Errorf("the operator is told %+v", page.Data)
	}
	if got := call(t, http.MethodGet, a.URL()+"/v1/tenants/theirs/usage", mine, ""); got.status != http.StatusForbidden {
		t.Errorf("another tenant: %s", got)
	}
}
