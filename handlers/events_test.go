package handlers_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
)

// change returns the next change of a stream, once its clock has moved as far as it looks again.
func (s *streaming) change() (e handlers.ChangeEvent) {
	s.Helper()
	s.ticks(func() bool {
		select {
		case one, ok := <-s.items:
			if !ok {
				s.Fatal("the stream has ended")
			}
			if one.text == "" {
				return false
			}
			s.h.must(json.Unmarshal([]byte(one.text), &e))
			if s.media == "text/event-stream" && (one.kind != "change" || one.id != e.Cursor) {
				s.Errorf("got the event %+v, want a change with its cursor as id", one)
			}
			return true
		default:
			return false
		}
	})
	return e
}

// ticks moves the clock by the beat of streams until something is so.
func (s *streaming) ticks(so func() bool) {
	s.Helper()
	until(s.TB, "the stream says it", func() bool {
		s.h.clock.Advance(1500 * time.Millisecond)
		return so()
	})
}

func TestChangesAreTold(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]option{"redis": nil, "memory": {onMemory(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newAPITest(t, options...)
			path := h.queue("")
			lines, events := h.stream("GET", "/v1/events"), h.stream("GET", "/v1/events", "Accept", "text/event-stream")
			own := h.asOperator("GET", "/v1/tenants/"+h.tenant.Name, "")
			own.is(200)
			viaOperator := h.stream("GET", "/v1/events", "Authorization", "Bearer "+h.operator, "Tenant", h.tenant.Name)
			h.json("PATCH", path, `{"delay":7}`).is(200)
			h.json("PUT", "/v1/topics/t", "").is(201)
			for _, s := range []*streaming{lines, events, viaOperator} {
				first, second := s.change(), s.change()
				if first.Type == "topic" {
					first, second = second, first
				}
				if first.Type != "queue" || *first.Name != queueName(path) || *first.Operation != "updateQueue" || first.State != nil {
					t.Errorf("got %+v, want the change of the queue", first)
				}
				if second.Type != "topic" || *second.Name != "t" || *second.Operation != "putTopic" {
					t.Errorf("got %+v, want the new topic", second)
				}
			}
			// A subscription tells its topic, and who comes back hears of what was missed.
			var all []handlers.ChangeEvent
			h.json("PUT", "/v1/topics/t/subscriptions/s", `{"queue":"`+queueName(path)+`"}`).is(201)
			e := lines.change()
			if e.Type != "subscription" || *e.Topic != "t" {
				t.Errorf("got %+v, want the subscription of t", e)
			}
			lines.hang()
			h.clock.Advance(time.Minute)
			h.do("DELETE", "/v1/topics/t", "").is(204)
			again := h.stream("GET", "/v1/events?cursor=0000000000001", "Last-Event-ID", e.Cursor)
			for len(all) == 0 || all[len(all)-1].Type != "alarm" {
				all = append(all, again.change())
			}
			if n := len(all); all[n-3].Operation == nil || *all[n-3].Operation != "deleteTopic" || all[n-2].Type != "task" || all[n-2].Name != nil {
				t.Errorf("who came back hears %+v, want the deleted topic, and that tasks and alarms may have changed", all)
			}
			h.do("GET", "/v1/events?cursor=x", "").problem(422, "validation_failed")
			if p := h.do("GET", "/v1/events", "", "Last-Event-ID", "x").problem(422, "validation_failed"); p.Errors[0].Header != "Last-Event-ID" {
				t.Errorf("the fault is at %+v", p.Errors[0])
			}
		})
	}
}

func TestG19_ChangesAreToldToWhomTheyConcern(t *testing.T) {
	t.Parallel()
	h := newTaskTest(t) // nobody else changes anything in its installation
	path, other := h.queue(""), h.newTenant()
	stranger := h.stream("GET", "/v1/events", "Authorization", "Bearer "+h.newKey(other.ID))
	blind := h.stream("GET", "/v1/events", h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"topics:read"}})...)
	narrow := h.stream("GET", "/v1/events", h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"*"}, Queues: []string{"mine-*"}})...)
	installation := h.stream("GET", "/v1/events", "Authorization", "Bearer "+h.operator)
	whole := h.stream("GET", "/v1/events")

	h.json("PATCH", path, `{"delay":7}`).is(200)
	h.json("PUT", "/v1/queues/mine-1", "").is(201)
	h.json("PUT", "/v1/topics/t", "").is(201)
	h.json("PATCH", "/v1/queues/other", "", "Authorization", "Bearer "+h.newKey(other.ID)).problem(404, "queue_not_found")
	h.json("PUT", "/v1/queues/theirs", "", "Authorization", "Bearer "+h.newKey(other.ID)).is(201)
	h.asOperator("PATCH", "/v1/tenants/"+other.Name, `{"description":"x"}`)
	for range 3 {
		whole.change()
	}
	if e := blind.change(); e.Type != "topic" || *e.Name != "t" {
		t.Errorf("who may read topics hears %+v, want t", e)
	}
	if e := narrow.change(); e.Type != "queue" || *e.Name != "mine-1" {
		t.Errorf("who reaches mine-* hears %+v, want mine-1", e)
	}
	if e := stranger.change(); e.Type != "queue" || *e.Name != "theirs" {
		t.Errorf("another tenant hears %+v, want theirs", e)
	}
	h.asOperator("PUT", "/v1/plans/events-"+other.Name, `{"limits":{}}`)
	for {
		if e := installation.change(); e.Type == "plan" && *e.Name == "events-"+other.Name {
			break
		} else if e.Type == "queue" || e.Type == "topic" {
			t.Errorf("the installation hears %+v", e)
		}
	}
	h.asOperator("DELETE", "/v1/plans/events-"+other.Name, "").is(204)
	for _, s := range []*streaming{blind, narrow, stranger} {
		s.none()
	}
}

func TestG20_TheStreamOfChangesEndsWithItsKey(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	key, err := h.keys.CreateTenantKey(t.Context(), h.tenant.ID, auth.NewKey{Name: "short"})
	h.must(err)
	s := h.stream("GET", "/v1/events", "Authorization", "Bearer "+key.Secret.Reveal())
	h.do("DELETE", "/v1/keys/"+key.ID, "").is(204)
	reason := ""
	s.ticks(func() bool {
		select {
		case one, ok := <-s.items:
			if ok && one.Event == "end" {
				reason = one.Reason
			}
			return !ok
		default:
			return false
		}
	})
	if reason != "key_revoked" && reason != "unauthenticated" {
		t.Errorf("the stream ended for %q", reason)
	}
}
