package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// mentions returns what masters hold of a tenant: the keys that are its own, and those of the installation that name it.
func mentions(tb testing.TB, masters []*redistest.Server, id string) (found []string) {
	tb.Helper()
	for _, m := range masters {
		found = append(found, mentionsOf(tb, m.Client(tb), id)...)
	}
	slices.Sort(found)
	return found
}

func mentionsOf(tb testing.TB, c *redis.Client, id string) (found []string) {
	tb.Helper()
	ctx := context.Background()
	keys := c.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		if strings.Contains(key, id) {
			found = append(found, key)
			continue
		}
		var members []string
		switch kind := c.Type(ctx, key).Val(); {
		case !strings.HasPrefix(key, "sl:-:"):
			continue
		case kind == "hash":
			for field, value := range c.HGetAll(ctx, key).Val() {
				members = append(members, field+" "+value)
			}
		case kind == "zset":
			members = c.ZRange(ctx, key, 0, -1).Val()
		}
		for _, m := range members {
			if strings.Contains(m, id) {
				found = append(found, key+": "+m)
			}
		}
	}
	if err := keys.Err(); err != nil {
		tb.Fatal(err)
	}
	return found
}

// stockTenant gives a tenant some of all that there is, and many queues.
func stockTenant(tb testing.TB, url, key, operator, name string, queues int) {
	tb.Helper()
	must(tb, http.StatusOK, nil, http.MethodPatch, url+"/v1/tenants/"+name, operator, `{"plan":"some","limits":{"requests_per_second":100000}}`)
	var wg sync.WaitGroup
	for part := range 8 {
		wg.Go(func() {
			for i := part; i < queues; i += 8 {
				q := fmt.Sprintf("%s/v1/queues/q%d", url, i)
				must(tb, http.StatusCreated, nil, http.MethodPut, q, key, "")
				must(tb, http.StatusCreated, nil, http.MethodPost, q+"/messages", key, "m")
			}
		})
	}
	wg.Wait()
	q := url + "/v1/queues/"
	must(tb, http.StatusCreated, nil, http.MethodPut, q+"spread", key, `{"shards":3}`)
	must(tb, http.StatusCreated, nil, http.MethodPut, q+"order.fifo", key, "")
	must(tb, http.StatusCreated, nil, http.MethodPost, q+"order.fifo/messages", key, "m", "Message-Group-Id", "g", "Message-Deduplication-Id", "d")
	must(tb, http.StatusOK, nil, http.MethodPatch, q+"q0", key, `{"redrive":{"dead_letter_queue":"dead","max_receives":1}}`)
	must(tb, http.StatusCreated, nil, http.MethodPost, q+"spread/messages", key, "m", "Message-Delay", "600")
	must(tb, http.StatusOK, nil, http.MethodPost, q+"q0/receive", key, "")
	must(tb, http.StatusCreated, nil, http.MethodPut, q+"q1/schedules/often", key, `{"every":1,"message":{"body":"tick"}}`)
	must(tb, http.StatusAccepted, nil, http.MethodPost, q+"q1/purge", key, `{"confirm":"q1","older_than":5}`)
	topic := url + "/v1/topics/news"
	must(tb, http.StatusCreated, nil, http.MethodPut, topic, key, `{"message_retention":3600}`)
	must(tb, http.StatusCreated, nil, http.MethodPut, topic+"/subscriptions/s", key, `{"queue":"q2"}`)
	must(tb, http.StatusCreated, nil, http.MethodPut, url+"/v1/topic_subscriptions/all", key, `{"pattern":"#","queue":"q1"}`)
	must(tb, http.StatusCreated, nil, http.MethodPost, topic+"/messages", key, "m")
	must(tb, http.StatusCreated, nil, http.MethodPut, topic+"/subscriptions/hook", key, `{"endpoint":"https://example.com/hook"}`)
	must(tb, http.StatusCreated, nil, http.MethodPost, url+"/v1/members", key, `{"email":"ana@example.com","role":"owner"}`)
	must(tb, http.StatusCreated, nil, http.MethodPost, url+"/v1/keys", key, `{"name":"aws","aws":true}`)
	if got := call(tb, http.MethodDelete, q+"q3?x=y", key, ""); got.status < 400 {
		tb.Errorf("a refused change: %s", got)
	}
}

// The server that deletes a tenant is killed in the middle, and another one goes on. Of the tenant nothing is left, and the
// one beside it keeps all.
func TestADeletedTenantLeavesNothing(t *testing.T) {
	t.Parallel()
	t.Run("one Redis", func(t *testing.T) {
		t.Parallel()
		redis := redistest.Start(t, redistest.Options{})
		deletedTenantLeavesNothing(t, redis.URL(), []*redistest.Server{redis}, 400)
	})
	t.Run("a Cluster", func(t *testing.T) {
		t.Parallel()
		c := redistest.Cluster(t, 3, 0)
		var addrs []string
		for _, n := range c.Nodes {
			addrs = append(addrs, n.Addr())
		}
		deletedTenantLeavesNothing(t, "redis+cluster://"+strings.Join(addrs, ","), c.Nodes, 200)
	})
}

func deletedTenantLeavesNothing(t *testing.T, redisURL string, masters []*redistest.Server, queues int) {
	t.Helper()
	env := []string{servertest.SharedKey(), "SLUICE_REDIS_URL=" + redisURL, "SLUICE_LOG_REQUESTS=false"}
	dying := servertest.StartProcess(t, servertest.ProcessOptions{Env: env})
	dying.WaitReady()
	s := servertest.New(t, servertest.WithRedis(redisURL), quiet)
	must(t, http.StatusCreated, nil, http.MethodPut, s.URL()+"/v1/plans/some", s.OperatorKey, "")
	key, _ := newTenant(t, s, "leaving")
	staying, _ := newTenant(t, s, "staying")
	stockTenant(t, s.URL(), key, s.OperatorKey, "leaving", queues)
	stockTenant(t, s.URL(), staying, s.OperatorKey, "staying", 10)
	var tn struct {
		ID            string
		AccountNumber string `json:"account_number"`
	}
	owner := dying.URL + "/v1/tenants/leaving"
	must(t, http.StatusOK, &tn, http.MethodGet, owner, s.OperatorKey, "")

	confirmed := owner + "?confirm=leaving"
	for what, want := range map[string]struct {
		url, key string
		status   int
		code     string
	}{
		"by the tenant itself":  {confirmed, key, http.StatusForbidden, "permission_denied"},
		"without the name":      {owner, s.OperatorKey, http.StatusConflict, "tenant_not_empty"},
		"with another name":     {owner + "?confirm=staying", s.OperatorKey, http.StatusUnprocessableEntity, "confirmation_mismatch"},
		"while it may do a lot": {confirmed, s.OperatorKey, http.StatusConflict, "tenant_not_suspended"},
	} {
		if got := call(t, http.MethodDelete, want.url, want.key, ""); got.status != want.status || got.code() != want.code {
			t.Errorf("%s: %s, want %d %s", what, got, want.status, want.code)
		}
	}
	must(t, http.StatusOK, nil, http.MethodPost, owner+"/suspend", s.OperatorKey, "")
	var before []string
	until(t, "there is some of everything", func() bool { // usage and series are ten seconds behind
		before = mentions(t, masters, tn.ID)
		return !slices.ContainsFunc([]string{"audit", "request-log", "usage-periods", "series"}, func(part string) bool {
			return !slices.ContainsFunc(before, func(key string) bool { return strings.HasSuffix(key, ":"+part) })
		})
	})
	if len(before) < 10*queues {
		t.Fatalf("Redis holds only %d things of the tenant", len(before))
	}
	for _, m := range masters {
		if len(mentionsOf(t, m.Client(t), tn.ID)) == 0 {
			t.Error("a master holds nothing of the tenant")
		}
	}

	var begun, again task
	must(t, http.StatusAccepted, &begun, http.MethodDelete, confirmed, s.OperatorKey, "")
	if want := int64(queues + 3 + 1); begun.Progress.Total < want {
		t.Errorf("the task has %+v to do, want at least %d queues and topics", begun.Progress, want)
	}
	until(t, "the deletion is under way", func() bool { return getTask(t, s.URL(), s.OperatorKey, begun.ID).Progress.Done > 0 })
	dying.Kill9()
	now := getTask(t, s.URL(), s.OperatorKey, begun.ID)
	t.Logf("killed after %d of %d", now.Progress.Done, now.Progress.Total)
	if got := call(t, http.MethodDelete, s.URL()+"/v1/tenants/leaving?confirm=leaving", s.OperatorKey, ""); got.status == http.StatusAccepted {
		if err := json.Unmarshal([]byte(got.body), &again); err != nil || again.ID != begun.ID {
			t.Errorf("a second request began task %s, want %s; %v", again.ID, begun.ID, err)
		}
	} else if got.status != http.StatusNotFound {
		t.Errorf("a second request: %s", got)
	}
	within(t, 5*time.Second, "the keys are dead on the other server", func() bool {
		return call(t, http.MethodGet, s.URL()+"/v1/whoami", key, "").status == http.StatusUnauthorized
	})
	var got task
	until(t, "the task has ended", func() bool {
		got = getTask(t, s.URL(), s.OperatorKey, begun.ID)
		return got.Status != "running"
	})
	if p := got.Progress; got.Status != "succeeded" || p.Done != p.Total || p.Done != begun.Progress.Total {
		t.Errorf("in the end: %+v, want %d done", got, begun.Progress.Total)
	}
	// Entries of indexes that lead nowhere go when somebody meets them, after a minute at most; keys are gone now.
	for _, m := range mentions(t, masters, tn.ID) {
		key, _, _ := strings.Cut(m, ": ")
		switch key {
		case "sl:-:{sys}:installation-tasks", "sl:-:{sys}:audit", "sl:-:{sys}:refusals":
			// What operators did stays.
		case "sl:-:{sys}:tasks", "sl:-:{sys}:topics", "sl:-:{sys}:rates":
		default:
			t.Errorf("this is left of the tenant: %s", m)
		}
	}
	if got := call(t, http.MethodGet, s.URL()+"/v1/tenants/leaving", s.OperatorKey, ""); got.status != http.StatusNotFound {
		t.Errorf("the tenant: %s", got)
	}
	if got := call(t, http.MethodPut, s.URL()+"/v1/tenants/leaving", s.OperatorKey, `{"account_number":"`+tn.AccountNumber+`"}`); got.code() != "account_taken" {
		t.Errorf("a tenant with the account number of the old one: %s", got)
	}
	fresh, _ := newTenant(t, s, "leaving")
	if got := call(t, http.MethodGet, s.URL()+"/v1/queues", fresh, ""); strings.Contains(got.body, `"name"`) {
		t.Errorf("a new tenant of that name begins with %s", got)
	}
	for i := range 10 {
		want := counts{Available: 1}
		switch i {
		case 0:
			want = counts{InFlight: 1}
		case 1:
			continue // it has a schedule
		case 2:
			want = counts{Available: 2}
		}
		if got := queueCounts(t, s.URL(), staying, fmt.Sprint("q", i)); got != want {
			t.Errorf("queue q%d of the tenant beside it has %+v, want %+v", i, got, want)
		}
	}
	if got := call(t, http.MethodGet, s.URL()+"/v1/tasks", staying, ""); strings.Contains(got.body, begun.ID) || got.status != http.StatusOK {
		t.Errorf("the tenant beside it sees %s", got)
	}
}
