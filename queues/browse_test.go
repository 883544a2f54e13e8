package queues_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
)

// contents returns everything that lies in a queue's keys.
func (b *bench) contents(t *testing.T, q string) map[string]string {
	t.Helper()
	r, all := b.engine.Single(), map[string]string{}
	for part, key := range b.Keys(b.tenant, q) {
		var v any
		switch part {
		case "h", "b", "s", "i":
			v = r.HGetAll(t.Context(), key).Val()
		case "r", "j":
			v = r.LRange(t.Context(), key, 0, -1).Val()
		default:
			v = fmt.Sprint(r.ZRangeWithScores(t.Context(), key, 0, -1).Val())
		}
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		all[part] = string(raw)
	}
	return all
}

func (b *bench) peek(t *testing.T, q string, opt queues.PeekOptions) queues.Page {
	t.Helper()
	page, err := b.Peek(t.Context(), b.tenant, q, opt)
	if err != nil {
		t.Fatalf("peek: %v", err)
	}
	return page
}

func TestLookingChangesNothing(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, ids := b.mixed(t)
		before := b.contents(t, q)
		for _, d := range []time.Duration{0, time.Minute, time.Hour, 5 * 24 * time.Hour} { // what has ended meanwhile as well
			b.clock.Advance(d)
			for _, state := range []queues.State{"", queues.Available, queues.InFlight, queues.Delayed} {
				for opt := (queues.PeekOptions{State: state, Limit: 2}); ; {
					page := b.peek(t, q, opt)
					if opt.Cursor = page.Next; opt.Cursor == "" {
						break
					}
				}
			}
			for _, id := range ids {
				if _, err := b.Message(t.Context(), b.tenant, q, id); err != nil && !errors.Is(err, queues.ErrMessageNotFound) {
					t.Error(err)
				}
			}
			if _, err := b.Check(t.Context(), b.tenant, q); err != nil {
				t.Error(err)
			}
			if _, err := b.Get(t.Context(), b.tenant, q); err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff(before, b.contents(t, q)); diff != "" {
			t.Errorf("something changed (-before +after):\n%s", diff)
		}
	})
}

// Pages are stable: what is there throughout is shown once, whatever comes and goes meanwhile.
func TestPagesAreStable(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		var stays []string
		send := func(n int, keep bool) (ids []engine.ID) {
			for i := range n {
				s := b.send(t, q, fmt.Sprint(i))
				ids = append(ids, s.ID)
				if keep {
					stays = append(stays, s.ID.String())
				}
			}
			return ids
		}
		send(30, false) // will be received
		deleted := send(5, false)
		send(60, true)
		got := map[string]int{}
		for opt, pages := (queues.PeekOptions{State: queues.Available, Limit: 7}), 0; ; pages++ {
			page := b.peek(t, q, opt)
			for _, m := range page.Messages {
				got[m.ID.String()]++
			}
			if opt.Cursor = page.Next; opt.Cursor == "" {
				break
			}
			switch pages {
			case 1:
				b.receive(t, q, 20)
			case 2:
				b.receive(t, q, 10)
				if err := b.DeleteMessage(t.Context(), b.tenant, q, deleted[3]); err != nil {
					t.Fatal(err)
				}
			case 4:
				send(10, false)
			}
		}
		for _, id := range stays {
			if got[id] != 1 {
				t.Errorf("message %s, there throughout, was shown %d times", id, got[id])
			}
		}
		for id, n := range got {
			if n > 1 {
				t.Errorf("message %s was shown %d times", id, n)
			}
		}
	})
}

func TestACursorOutlivesAPurge(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		for i := range 20 {
			b.send(t, q, fmt.Sprint("old ", i))
		}
		next := b.peek(t, q, queues.PeekOptions{State: queues.Available, Limit: 5}).Next
		if _, err := b.Purge(t.Context(), b.tenant, q); err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range 4 {
			want = append(want, fmt.Sprint("new ", i))
			b.send(t, q, want[i])
		}
		// The cursor stands before all that has come since.
		got := bodies(b.peek(t, q, queues.PeekOptions{State: queues.Available, Cursor: next}).Messages)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("after the purge (-want +got):\n%s", diff)
		}
	})
}

func TestMembersWithOneScoreArePagedByTheirBytes(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		var want []string
		for i := range 230 {
			sent := b.delayed(t, q, fmt.Sprint(i), time.Hour) // all are due at one instant
			want = append(want, sent.ID.String())
		}
		sort.Strings(want)
		for _, limit := range []int{1, 9, 100} {
			var got []string
			for opt := (queues.PeekOptions{State: queues.Delayed, Limit: limit}); ; {
				page := b.peek(t, q, opt)
				for _, m := range page.Messages {
					got = append(got, m.ID.String())
				}
				if opt.Cursor = page.Next; opt.Cursor == "" {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("limit %d (-want +got):\n%s", limit, diff)
			}
		}
	})
}

func TestForeignCursorsAreRefused(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		for i := range 10 {
			b.send(t, q, fmt.Sprint(i))
		}
		good := b.peek(t, q, queues.PeekOptions{State: queues.Available, Limit: 3}).Next
		for _, c := range []queues.PeekOptions{
			{Cursor: "!"}, {Cursor: "AAAA"}, {Cursor: good + "="}, {Cursor: good, State: queues.Delayed},
			{Cursor: queues.Cursor("z", "1")}, {Cursor: queues.Cursor("r", "-1")}, {Cursor: queues.Cursor("r", "1e9")},
			{Cursor: queues.Cursor("r", "99999999999999999999")}, {Cursor: queues.Cursor("r", "9007199254740992")},
			{Cursor: queues.Cursor("", "1")}, {State: "other"}, {Limit: 101}, {Limit: -1},
		} {
			if page, err := b.Peek(t.Context(), b.tenant, q, c); err == nil {
				t.Errorf("%+v: got %d messages, want an error", c, len(page.Messages))
			}
		}
		// A position that no page gave is harmless.
		for _, c := range []string{queues.Cursor("r", "9007199254740991"), queues.Cursor("a", "0"), queues.Cursor("F", "9007199254740991")} {
			if _, err := b.Peek(t.Context(), b.tenant, q, queues.PeekOptions{Cursor: c}); err != nil {
				t.Errorf("cursor %s: %v", c, err)
			}
		}
	})
}
