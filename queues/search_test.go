package queues_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
)

// find searches until the end and returns everything that was found and how many messages were looked at.
func (b *bench) find(tb testing.TB, q, filter string, state queues.State, limit int) (all []queues.Message, looked int) {
	tb.Helper()
	f, err := queues.ParseFilter(filter)
	if err != nil {
		tb.Fatal(err)
	}
	for opt := (queues.SearchOptions{PeekOptions: queues.PeekOptions{State: state, Limit: limit}, Match: f.Match}); ; {
		found, err := b.Search(tb.Context(), b.tenant, q, opt)
		if err != nil {
			tb.Fatalf("search %s: %v", filter, err)
		}
		if len(found.Messages) > max(limit, 50) {
			tb.Fatalf("search %s with limit %d found %d at once", filter, limit, len(found.Messages))
		}
		all, looked = append(all, found.Messages...), looked+found.Looked
		if opt.Cursor = found.Next; opt.Cursor == "" {
			return all, looked
		}
	}
}

func TestSearchFindsWhatTheFilterSays(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		minute := time.Minute
		ids := map[string]string{}
		for _, m := range []queues.Outgoing{
			{Body: []byte(`{"n":1,"tier":"pro"}`), ContentType: "application/json", Attributes: []queues.Attribute{{Name: "type", Type: "String", Value: "order.paid"}, {Name: "n", Type: "Number", Value: "7.0"}}},
			{Body: []byte(`{"n":2,"tier":"free"}`), ContentType: "application/json", Attributes: []queues.Attribute{{Name: "type", Type: "String", Value: "order.new"}, {Name: "n", Type: "Number.int", Value: "8"}}},
			{Body: []byte("later"), Delay: &minute, TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
			{Body: []byte("timed out")}, {Body: []byte("returned")}, {Body: []byte("held")},
		} {
			sent, err := b.Send(t.Context(), b.tenant, q, m)
			if err != nil {
				t.Fatal(err)
			}
			ids[string(m.Body)] = sent.ID.String()
			b.clock.Advance(time.Second)
		}
		got := b.receive(t, q, 5)
		for _, m := range got[:2] {
			b.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: m.ReceiptHandle, For: time.Second})
		}
		b.settle(t, q, queues.Settlement{Verb: queues.Extend, ReceiptHandle: got[2].ReceiptHandle, For: time.Second},
			queues.Settlement{Verb: queues.Return, ReceiptHandle: got[3].ReceiptHandle})
		b.clock.Advance(2 * time.Second) // three leases have ended, and nothing has been moved since
		all := []string{`{"n":1,"tier":"pro"}`, `{"n":2,"tier":"free"}`, "later", "timed out", "returned", "held"}
		for filter, want := range map[string][]string{
			"": all, "state:*": all, "tier": all[:2], "attr.type:order.*": all[:2], "attr.type=order.new": all[1:2], "attr.n=7": all[:1], "attr.n>=7 attr.n<8": all[:1], "attr.n>7.5": all[1:2],
			"body.tier=pro": all[:1], "body.n>1": all[1:2], "body.n:*": all[:2], "-body.n:*": all[2:], "state:delayed": all[2:3], "state:in_flight": all[5:],
			"state:available": {all[0], all[1], all[3], all[4]}, "receives>=1": {all[0], all[1], all[3], all[4], all[5]}, "receives:0": all[2:3],
			"failures:1": {all[0], all[1], all[3], all[4]}, "failures:0": {all[2], all[5]}, "content_type:*json": all[:2], "traceparent:00-4bf*": all[2:3],
			"size<5": all[5:], "size=20": all[:1], "age>6s": all[:2], "age<=6s": all[2:], "available_at:*": all[2:3], "available_at>2026-03-01T12:01:00Z": all[2:3], "lease_expires_at:*": all[5:],
			"first_received_at:*": {all[0], all[1], all[3], all[4], all[5]}, "sent_at<2026-03-01T12:00:02Z": all[:2], "sent_at>=2026-03-02": nil,
			"id:msg_" + ids["held"]: all[5:], "id:msg_* HELD": all[5:], "timed OR later": {all[2], all[3]}, "-(tier OR held)": {all[2], all[3], all[4]},
		} {
			for _, limit := range []int{1, 4, 100} {
				found, looked := b.find(t, q, filter, "", limit)
				got := bodies(found)
				slices.SortFunc(got, func(x, y string) int { return cmp.Compare(slices.Index(all, x), slices.Index(all, y)) })
				if diff := gocmp.Diff(append([]string{}, want...), got); diff != "" || looked != len(all) {
					t.Errorf("%s, limit %d, looked at %d (-want +got):\n%s", filter, limit, looked, diff)
				}
			}
		}
		if found, looked := b.find(t, q, "held OR later", queues.Delayed, 10); len(found) != 1 || looked != 1 {
			t.Errorf("of the delayed ones: found %q, looked at %d; want later, and no other looked at", bodies(found), looked)
		}
	})
}

func TestSearchKnowsGroups(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		standard, fifo := b.queue(t, nil), b.fifo(t, nil)
		for _, q := range []string{standard, fifo} {
			for _, m := range []queues.Outgoing{{Body: []byte("a"), GroupID: "g1"}, {Body: []byte("b"), GroupID: "g2"}, {Body: []byte("c"), GroupID: "g1"}} {
				if err := b.one(t, q, m); err != nil {
					t.Fatal(err)
				}
			}
			b.receive(t, q, 1)
			if found, _ := b.find(t, q, "state:in_flight group:g*", "", 2); len(found) != 1 {
				t.Errorf("found %q in flight in %s, want one message", bodies(found), q)
			}
			for filter, want := range map[string][]string{"group:g1": {"a", "c"}, "group=g2": {"b"}, "group:g*": {"a", "b", "c"}, "-group:*": {}} {
				found, looked := b.find(t, q, filter, "", 2)
				got := bodies(found)
				slices.Sort(got)
				if diff := gocmp.Diff(want, append([]string{}, got...)); diff != "" || looked != 3 {
					t.Errorf("%s in %s, looked at %d (-want +got):\n%s", filter, q, looked, diff)
				}
			}
		}
		if found, _ := b.find(t, fifo, "deduplication_id:*", "", 10); len(found) != 3 {
			t.Errorf("found %d messages with a deduplication id, want all 3", len(found))
		}
	})
}

// stock sends n messages of a size whose bodies end in their number.
func (b *bench) stock(tb testing.TB, q string, n, size int) (ids []engine.ID) {
	tb.Helper()
	for i := 0; i < n; i += queues.MaxBatch {
		batch := make([]queues.Outgoing, min(queues.MaxBatch, n-i))
		for k := range batch {
			batch[k].Body = fmt.Appendf(bytes.Repeat([]byte("x"), size), " %d", i+k)
		}
		sent, err := b.SendBatch(tb.Context(), b.tenant, q, batch, false)
		if err != nil {
			tb.Fatal(err)
		}
		for _, s := range sent {
			if s.Err != nil {
				tb.Fatal(s.Err)
			}
			ids = append(ids, s.ID)
		}
	}
	return ids
}

func TestASearchIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, engine.Options{URL: redistest.URL(t)})
	never := func(*queues.Message, time.Time) bool { return false }
	search := func(q string, opt queues.SearchOptions) queues.Found {
		t.Helper()
		found, err := b.Search(t.Context(), b.tenant, q, opt)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}

	many := b.queue(t, nil)
	b.stock(t, many, queues.MaxSearch+150, 10)
	part := search(many, queues.SearchOptions{Match: never})
	if part.Looked != queues.MaxSearch || part.Next == "" || len(part.Messages) != 0 {
		t.Errorf("of many: looked at %d, next %q; want %d and more to come", part.Looked, part.Next, queues.MaxSearch)
	}
	rest := search(many, queues.SearchOptions{PeekOptions: queues.PeekOptions{Cursor: part.Next}, Match: never})
	if rest.Looked != 150 || rest.Next != "" {
		t.Errorf("of the rest: looked at %d, next %q; want 150 and the end", rest.Looked, rest.Next)
	}

	large := b.queue(t, nil)
	b.stock(t, large, 40, 500_000)
	part = search(large, queues.SearchOptions{Match: never})
	if want := queues.MaxSearchBytes/500_000 + 1; part.Looked != want || part.Next == "" {
		t.Errorf("of large ones: looked at %d, next %q; want %d and more to come", part.Looked, part.Next, want)
	}

	// A second is over once all of the first hundred have been looked at.
	slow := func(m *queues.Message, _ time.Time) bool {
		b.clock.Advance(queues.MaxSearchTime / 100)
		return false
	}
	if part = search(many, queues.SearchOptions{Match: slow}); part.Looked != 100 || part.Next == "" {
		t.Errorf("slowly: looked at %d, next %q; want 100 and more to come", part.Looked, part.Next)
	}

	// Once it has enough it looks no further, and goes on right behind what it found.
	third := func(m *queues.Message, _ time.Time) bool { return strings.HasSuffix(m.Body, "3") }
	part = search(many, queues.SearchOptions{PeekOptions: queues.PeekOptions{Limit: 2}, Match: third})
	if part.Looked != 14 || len(part.Messages) != 2 {
		t.Errorf("found %q, looked at %d; want two of 14", bodies(part.Messages), part.Looked)
	}
	part = search(many, queues.SearchOptions{PeekOptions: queues.PeekOptions{Limit: 1, Cursor: part.Next}, Match: third})
	if part.Looked != 10 || len(part.Messages) != 1 || !strings.HasSuffix(part.Messages[0].Body, " 23") {
		t.Errorf("found %q, looked at %d; want 23, the tenth", bodies(part.Messages), part.Looked)
	}
}

func TestASearchPassesWhatDeletedMessagesLeaveBehind(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		for _, id := range b.stock(t, q, 350, 1)[20:330] {
			if err := b.DeleteMessage(t.Context(), b.tenant, q, id); err != nil {
				t.Fatal(err)
			}
		}
		if found, looked := b.find(t, q, `body:*9`, "", 100); len(found) != 4 || looked != 40 {
			t.Errorf("found %q, looked at %d; want 9, 19, 339 and 349 of 40", bodies(found), looked)
		}
	})
}

// Parts are stable: what matches and is there throughout is found once, whatever comes and goes meanwhile, and whichever
// server is asked.
func TestSearchesAreStable(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		servers := []*bench{b, b.another(t)}
		q := b.queue(t, nil)
		b.stock(t, q, 30, 1) // will be received
		stays := map[engine.ID]bool{}
		for i, id := range b.stock(t, q, 60, 1) {
			stays[id] = i%2 == 0
		}
		even := func(m *queues.Message, _ time.Time) bool {
			return strings.IndexByte("02468", m.Body[len(m.Body)-1]) >= 0
		}
		got := map[engine.ID]int{}
		for opt, parts := (queues.SearchOptions{PeekOptions: queues.PeekOptions{Limit: 4}, Match: even}), 0; ; parts++ {
			server := servers[parts%2]
			found, err := server.Search(t.Context(), server.tenant, q, opt)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range found.Messages {
				got[m.ID]++
			}
			if opt.Cursor = found.Next; opt.Cursor == "" {
				break
			}
			switch parts {
			case 1, 2:
				for _, m := range b.receive(t, q, 15) {
					b.settle(t, q, queues.Settlement{Verb: queues.Ack, ReceiptHandle: m.ReceiptHandle})
				}
			case 4:
				b.stock(t, q, 10, 1)
			}
		}
		for id, want := range stays {
			if want != (got[id] == 1) {
				t.Errorf("message %s, there throughout: found %d times, matches: %t", id, got[id], want)
			}
		}
		for id, n := range got {
			if n > 1 {
				t.Errorf("message %s was found %d times", id, n)
			}
		}
	})
}

func TestASearchSeesOneTenant(t *testing.T) {
	t.Parallel()
	b := newBench(t, engine.Options{URL: redistest.URL(t)})
	other := newBench(t, engine.Options{URL: redistest.URL(t)})
	q := b.queue(t, nil)
	b.send(t, q, "mine")
	b.send(t, q, "mine too")
	if _, _, err := other.Put(t.Context(), other.tenant, q, queues.DefaultSettings(), queues.Condition{}); err != nil {
		t.Fatal(err)
	}
	other.send(t, q, "theirs")
	if found, looked := b.find(t, q, "theirs OR mine", "", 1); len(found) != 2 || looked != 2 {
		t.Errorf("found %q, looked at %d", bodies(found), looked)
	}
	if found, looked := other.find(t, q, "theirs OR mine", "", 1); len(found) != 1 || looked != 1 {
		t.Errorf("the other tenant found %q, looked at %d", bodies(found), looked)
	}
	all := func(*queues.Message, time.Time) bool { return true }
	if _, err := b.Search(t.Context(), b.tenant, "nothing", queues.SearchOptions{Match: all}); !errors.Is(err, queues.ErrQueueNotFound) {
		t.Errorf("search of no queue: %v", err)
	}
	for _, opt := range []queues.PeekOptions{{Cursor: "!"}, {State: "other"}, {Limit: queues.MaxSearch + 1}, {Limit: -1}} {
		if _, err := b.Search(t.Context(), b.tenant, q, queues.SearchOptions{PeekOptions: opt, Match: all}); err == nil {
			t.Errorf("%+v: got no error", opt)
		}
	}
}

func TestASearchEndsWithItsCaller(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		b.stock(t, q, 1000, 1)
		ctx, cancel := context.WithCancel(t.Context())
		looked := 0
		_, err := b.Search(ctx, b.tenant, q, queues.SearchOptions{Match: func(*queues.Message, time.Time) bool {
			looked++
			cancel()
			return false
		}})
		if !errors.Is(err, context.Canceled) || looked > queues.MaxPeek {
			t.Errorf("looked at %d messages, error %v; want at most %d and the context's", looked, err, queues.MaxPeek)
		}
	})
}

func TestSearchingChangesNothing(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, _ := b.mixed(t)
		before := b.contents(t, q)
		for _, d := range []time.Duration{0, time.Minute, time.Hour, 5 * 24 * time.Hour} {
			b.clock.Advance(d)
			b.find(t, q, `d OR receives>=1 OR body.a:*`, "", 2)
		}
		if diff := gocmp.Diff(before, b.contents(t, q)); diff != "" {
			t.Errorf("something changed (-before +after):\n%s", diff)
		}
	})
}

// Each field stands in the table of the documentation, and each example there is read.
func TestTheDocumentationOfTheLanguageIsTrue(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/search.md")
	if err != nil {
		t.Fatal(err)
	}
	_, err = queues.ParseFilter("no_such_field_at_all:x")
	list := regexp.MustCompile(`The fields are ([a-z_, ]+), body\.PATH`).FindStringSubmatch(fixOf(err))
	if list == nil {
		t.Fatalf("no list of fields in %q", fixOf(err))
	}
	for _, name := range append(strings.Split(list[1], ", "), "body.PATH", "attr.NAME") {
		if !strings.Contains(string(raw), "\n| `"+name+"` |") {
			t.Errorf("the field %s has no row", name)
		}
	}
	rows := regexp.MustCompile("(?m)^\\| `.*\\| (`.*) \\|$").FindAllStringSubmatch(string(raw), -1)
	if len(rows) < 20 {
		t.Fatalf("%d rows with examples", len(rows))
	}
	for _, row := range rows {
		for _, example := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			if _, err := queues.ParseFilter(strings.ReplaceAll(example[1], `\|`, "|")); err != nil {
				t.Errorf("%s: %v", example[1], err)
			}
		}
	}
}

func fixOf(err error) string {
	e, ok := errors.AsType[*errs.Error](err)
	if !ok {
		return ""
	}
	return e.Fix
}

// BenchmarkSearch looks at a hundred thousand messages that do not match. One operation is one message.
func BenchmarkSearch(b *testing.B) {
	for _, filter := range []string{"receives>=3", "body.customer.tier=free", `body~"nothing"`} {
		b.Run(filter, func(b *testing.B) {
			s := newBench(b, engine.Options{URL: redistest.URL(b)})
			s.realClock(b)
			q := s.queue(b, nil)
			const n = 100_000
			body := fmt.Sprintf(`{"customer":{"tier":"pro","name":"%0200d"},"total":12.50}`, 0)
			for i := 0; i < n; i += queues.MaxBatch {
				batch := make([]queues.Outgoing, queues.MaxBatch)
				for k := range batch {
					batch[k].Body = []byte(body)
				}
				if _, err := s.SendBatch(b.Context(), s.tenant, q, batch, false); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += n {
				if found, looked := s.find(b, q, filter, "", 100); len(found) != 0 || looked != n {
					b.Fatalf("found %d, looked at %d", len(found), looked)
				}
			}
		})
	}
}
