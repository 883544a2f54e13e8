package topics_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

const (
	orderV1 = `{"type":"object","required":["order"],"properties":{"order":{"type":"integer"}},"additionalProperties":false}`
	orderV2 = `{"type":"object","required":["order"],"properties":{"order":{"type":"integer"},"note":{"type":"string"}},"additionalProperties":false}`
	texts   = `{"type":"string"}`
)

// schema adds a version to a topic's schema and returns its number.
func (w *world) schema(tb testing.TB, topic, text string) int64 {
	tb.Helper()
	v, _, err := w.AddSchema(tb.Context(), w.tenant, topic, text, false)
	must(tb, err)
	return v.Number
}

// refusedAt returns the pointers of a refusal by a schema, and fails for any other answer.
func refusedAt(tb testing.TB, err error) []string {
	tb.Helper()
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || !errors.Is(err, topics.ErrSchemaMismatch) {
		tb.Fatalf("not refused by the schema: %v", err)
	}
	var at []string
	for _, f := range e.Fields {
		at = append(at, f.Pointer)
	}
	return at
}

func (w *world) publishOne(tb testing.TB, topic, body string) error {
	tb.Helper()
	_, err := w.Publish(tb.Context(), w.tenant, topic, queues.Outgoing{Body: []byte(body), GroupID: group(topic), DeduplicationID: dedup(topic)})
	return err
}

func group(topic string) string {
	if topics.IsFIFOName(topic) {
		return "g"
	}
	return ""
}

func dedup(topic string) string {
	if topics.IsFIFOName(topic) {
		return fmt.Sprintf("d%d", names.Add(1))
	}
	return ""
}

// stamps returns the bodies of messages with the versions by which they were checked.
func stamps(list []queues.Message) []string {
	var out []string
	for _, m := range list {
		at := "-"
		for _, a := range m.Attributes {
			if a.Name == topics.SchemaAttribute {
				at = a.Type + " " + a.Value
			}
		}
		out = append(out, m.Body+" "+at)
	}
	return out
}

func TestPublishesAreCheckedAndStamped(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		for _, tp := range []string{w.topic(t, topics.Settings{}), w.fifo(t, topics.Settings{})} {
			suffix := ""
			if topics.IsFIFOName(tp) {
				suffix = ".fifo"
			}
			q := w.queue(t, suffix, nil)
			w.subscribe(t, tp, "s", topics.SubscriptionSettings{Queue: q})
			must(t, w.publishOne(t, tp, "before"))
			if v := w.schema(t, tp, orderV1); v != 1 {
				t.Fatalf("version %d", v)
			}
			must(t, w.publishOne(t, tp, `{"order":1}`))
			if diff := cmp.Diff([]string{"/body/order"}, refusedAt(t, w.publishOne(t, tp, `{"order":"x"}`))); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"/body"}, refusedAt(t, w.publishOne(t, tp, `hello`))); diff != "" {
				t.Error(diff)
			}
			// What it says to web endpoints is checked, too.
			_, err := w.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: []byte(`{"order":1}`), HTTPS: `{"order":"y"}`, GroupID: group(tp), DeduplicationID: dedup(tp)})
			if diff := cmp.Diff([]string{"/body/order"}, refusedAt(t, err)); diff != "" {
				t.Error(diff)
			}
			batch := []queues.Outgoing{{Body: []byte(`{"order":2}`)}, {Body: []byte(`{}`)}, {Body: []byte(`{"order":3}`), Attributes: []queues.Attribute{
				{Name: topics.SchemaAttribute, Type: "String", Value: "forged"}}}}
			for i := range batch {
				batch[i].GroupID, batch[i].DeduplicationID = group(tp), dedup(tp)
			}
			if _, err := w.PublishBatch(t.Context(), w.tenant, tp, batch, true); !errors.Is(err, topics.ErrSchemaMismatch) {
				t.Errorf("atomic: %v", err)
			}
			out, err := w.PublishBatch(t.Context(), w.tenant, tp, batch, false)
			must(t, err)
			if out[0].Err != nil || out[2].Err != nil {
				t.Errorf("%v, %v", out[0].Err, out[2].Err)
			}
			refusedAt(t, out[1].Err)
			w.settled(t, tp, "s")
			want := []string{"before -", `{"order":1} Number 1`, `{"order":2} Number 1`, `{"order":3} Number 1`}
			if diff := cmp.Diff(want, stamps(w.drain(t, q))); diff != "" {
				t.Errorf("%s:\n%s", tp, diff)
			}
		}
	})
}

func TestOtherTenantsHaveOtherSchemas(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{})
		w.schema(t, tp, orderV1)
		other := *w
		other.tenant = w.newTenant(t)
		other.topicNamed(t, tp, topics.Settings{})
		must(t, other.publishOne(t, tp, "anything"))
		if _, _, _, err := other.GetSchema(t.Context(), other.tenant, tp, 1); !errors.Is(err, topics.ErrSchemaNotFound) {
			t.Errorf("another tenant's schema: %v", err)
		}
		if err := other.DeleteSchema(t.Context(), other.tenant, tp, 1); !errors.Is(err, topics.ErrSchemaNotFound) {
			t.Errorf("another tenant's schema: %v", err)
		}
		refusedAt(t, w.publishOne(t, tp, "anything"))
	})
}

// A server that knows an older version, or none, checks by the new one from its first publish on.
func TestServersLearnOfAVersionAtOnce(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		other := w.another(t)
		tp := w.topic(t, topics.Settings{Retention: time.Hour})
		must(t, other.publishOne(t, tp, "free"))
		w.schema(t, tp, orderV1)
		refusedAt(t, other.publishOne(t, tp, "free"))
		must(t, other.publishOne(t, tp, `{"order":1}`))
		refusedAt(t, other.publishOne(t, tp, `{"order":1,"note":"a"}`))
		w.schema(t, tp, orderV2)
		must(t, other.publishOne(t, tp, `{"order":1,"note":"a"}`)) // before it refuses it asks
		must(t, w.publishOne(t, tp, `{"order":1,"note":"b"}`))
		one := int64(1)
		_, err := w.UpdateSchemas(t.Context(), w.tenant, tp, &one, nil)
		must(t, err)
		refusedAt(t, other.publishOne(t, tp, `{"order":1,"note":"a"}`)) // was good by what it knew
		out, err := other.PublishBatch(t.Context(), w.tenant, tp, []queues.Outgoing{{Body: []byte(`{"order":5}`)}, {Body: []byte(`{"order":6,"note":""}`)}}, false)
		must(t, err)
		must(t, out[0].Err)
		refusedAt(t, out[1].Err)
		none := int64(0)
		_, err = w.UpdateSchemas(t.Context(), w.tenant, tp, &none, nil)
		must(t, err)
		must(t, other.publishOne(t, tp, "free"))
		log, err := w.Read(t.Context(), w.tenant, tp, topics.ReadOptions{Limit: 100})
		must(t, err)
		var got []string
		for _, m := range log.Messages {
			got = append(got, stamps([]queues.Message{{Body: string(m.Message.Body), Attributes: m.Message.Attributes}})...)
		}
		want := []string{"free -", `{"order":1} Number 1`, `{"order":1,"note":"a"} Number 2`, `{"order":1,"note":"b"} Number 2`, `{"order":5} Number 1`, "free -"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		after := w.another(t) // as after a restart
		must(t, after.publishOne(t, tp, "free"))
		_, err = w.UpdateSchemas(t.Context(), w.tenant, tp, &one, nil)
		must(t, err)
		refusedAt(t, after.publishOne(t, tp, "free"))
		refusedAt(t, w.another(t).publishOne(t, tp, "free"))
	})
}

// While versions come and go under many publishers, each message has the version by which it is good.
func TestNoMessageHasAVersionByWhichItIsNone(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		other := w.another(t)
		tp := w.topic(t, topics.Settings{Retention: time.Hour})
		number := w.schema(t, tp, orderV1)
		mode := topics.Incompatible
		_, err := w.UpdateSchemas(t.Context(), w.tenant, tp, nil, &mode)
		must(t, err)
		text := w.schema(t, tp, texts)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				at := []*world{w, other}[i%2]
				for n := range 30 {
					body := []string{`"x"`, fmt.Sprintf(`{"order":%d}`, n)}
					out, err := at.PublishBatch(t.Context(), w.tenant, tp, []queues.Outgoing{{Body: []byte(body[0])}, {Body: []byte(body[1])}}, false)
					if err != nil {
						t.Error(err)
						return
					}
					if (out[0].Err == nil) == (out[1].Err == nil) && out[0].Err != nil && !errors.Is(out[0].Err, topics.ErrSchemaMismatch) {
						t.Errorf("%v, %v", out[0].Err, out[1].Err)
					}
				}
			})
		}
		for n := range 20 {
			current := []int64{number, text}[n%2]
			_, err := w.UpdateSchemas(t.Context(), w.tenant, tp, &current, nil)
			must(t, err)
		}
		all.Wait()
		seen := 0
		for after := int64(0); ; {
			log, err := w.Read(t.Context(), w.tenant, tp, topics.ReadOptions{Place: topics.Place{After: &after}, Limit: 100})
			must(t, err)
			for _, m := range log.Messages {
				after, seen = m.Sequence, seen+1
				want := number
				if m.Message.Body[0] == '"' {
					want = text
				}
				if got := m.Message.Attributes[0].Value; got != fmt.Sprint(want) {
					t.Errorf("%s has version %s", m.Message.Body, got)
				}
			}
			if len(log.Messages) == 0 {
				break
			}
		}
		if seen == 0 {
			t.Error("nothing was published")
		}
	})
}

func TestNewVersionsFollowTheCurrentOne(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		add := func(tp, text string) error {
			_, _, err := w.AddSchema(t.Context(), w.tenant, tp, text, false)
			return err
		}
		for mode, want := range map[topics.Compatibility][2]bool{"": {true, false}, topics.Backward: {true, false}, topics.Forward: {false, true},
			topics.Full: {false, false}, topics.Incompatible: {true, true}} {
			for i, steps := range [][2]string{{orderV1, orderV2}, {orderV2, orderV1}} {
				tp := w.topic(t, topics.Settings{})
				if mode != "" {
					_, err := w.UpdateSchemas(t.Context(), w.tenant, tp, nil, &mode)
					must(t, err)
				}
				w.schema(t, tp, steps[0])
				err := add(tp, steps[1])
				if (err == nil) != want[i] || err != nil && !errors.Is(err, topics.ErrSchemaIncompatible) {
					t.Errorf("%q, step %d: %v", mode, i, err)
				}
				if e, ok := errors.AsType[*errs.Error](err); ok && (len(e.Fields) == 0 || !strings.HasPrefix(e.Fields[0].Pointer, "/schema")) {
					t.Errorf("%q, step %d: %+v", mode, i, e.Fields)
				}
				if err != nil {
					must(t, add(tp, steps[0])) // it is the current one still
				}
			}
		}
		tp := w.topic(t, topics.Settings{})
		w.schema(t, tp, `{"oneOf":[{"type":"string"}]}`)
		e, _ := errors.AsType[*errs.Error](add(tp, `{"oneOf":[{"type":"string"},{"type":"null"}]}`))
		if e == nil || e.Fields[0].Code != "not_judged" {
			t.Errorf("what cannot be judged: %+v", e)
		}
		if err := add(tp, `{"type":3}`); errs.KindOf(err) != errs.Invalid {
			t.Errorf("no schema: %v", err)
		}
		if v, added, err := w.AddSchema(t.Context(), w.tenant, tp, `{"oneOf":[{"type":"string"}],"title":"x"}`, true); err != nil || !added || v.Number != 2 {
			t.Errorf("only a look: %v %t %v", v, added, err)
		}
		set, err := w.GetSchemas(t.Context(), w.tenant, tp)
		must(t, err)
		if len(set.Versions) != 1 || set.Current != 1 || set.Compatibility != topics.Backward {
			t.Errorf("after refusals and a look: %+v", set)
		}
	})
}

func TestVersionsOfASchema(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{})
		mode := topics.Incompatible
		_, err := w.UpdateSchemas(t.Context(), w.tenant, tp, nil, &mode)
		must(t, err)
		if _, _, _, err := w.GetSchema(t.Context(), w.tenant, tp, 0); !errors.Is(err, topics.ErrSchemaNotFound) {
			t.Errorf("no current version: %v", err)
		}
		text := func(n int) string { return fmt.Sprintf(`{"maxLength":%d}`, n) }
		for n := range topics.MaxSchemas {
			w.schema(t, tp, text(n))
		}
		if _, _, err := w.AddSchema(t.Context(), w.tenant, tp, text(99), false); errs.KindOf(err) != errs.Quota {
			t.Errorf("one more: %v", err)
		}
		must(t, w.DeleteSchema(t.Context(), w.tenant, tp, 3))
		if err := w.DeleteSchema(t.Context(), w.tenant, tp, 3); !errors.Is(err, topics.ErrSchemaNotFound) {
			t.Errorf("deleted twice: %v", err)
		}
		if err := w.DeleteSchema(t.Context(), w.tenant, tp, topics.MaxSchemas); !errors.Is(err, topics.ErrSchemaCurrent) {
			t.Errorf("the current one: %v", err)
		}
		if _, _, _, err := w.GetSchema(t.Context(), w.tenant, tp, 3); !errors.Is(err, topics.ErrSchemaNotFound) {
			t.Errorf("deleted: %v", err)
		}
		if _, _, got, err := w.GetSchema(t.Context(), w.tenant, tp, 4); err != nil || got != text(3) {
			t.Errorf("version 4: %q, %v", got, err)
		}
		three := int64(3)
		if _, err := w.UpdateSchemas(t.Context(), w.tenant, tp, &three, nil); errs.KindOf(err) != errs.Invalid {
			t.Errorf("a version that is not there: %v", err)
		}
		wrong := topics.Compatibility("sideways")
		if _, err := w.UpdateSchemas(t.Context(), w.tenant, tp, nil, &wrong); errs.KindOf(err) != errs.Invalid {
			t.Errorf("a compatibility that is none: %v", err)
		}
		if v := w.schema(t, tp, text(99)); v != topics.MaxSchemas+1 {
			t.Errorf("version %d: numbers are given once", v)
		}
		// Whoever replaces the settings leaves the schema.
		w.topicNamed(t, tp, topics.Settings{Retention: time.Hour})
		set, err := w.GetSchemas(t.Context(), w.tenant, tp)
		must(t, err)
		if set.Current != topics.MaxSchemas+1 || len(set.Versions) != topics.MaxSchemas {
			t.Errorf("after Put: %+v", set)
		}
		keys, _, err := w.Keys(t.Context(), w.tenant, tp)
		must(t, err)
		must(t, w.Delete(t.Context(), w.tenant, tp, topics.Condition{}))
		if n, err := w.engine.Single().Exists(t.Context(), keys...).Result(); err != nil || n != 0 {
			t.Errorf("%d keys are left, %v", n, err)
		}
	})
}

func TestARepeatedPublishIsTheSameAfterANewVersion(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{})
		w.schema(t, tp, orderV1)
		m := queues.Outgoing{Body: []byte(`{"order":1}`), IdempotencyKey: "k"}
		first, err := w.Publish(t.Context(), w.tenant, tp, m)
		must(t, err)
		w.schema(t, tp, orderV2)
		again, err := w.Publish(t.Context(), w.tenant, tp, m)
		if err != nil || !again.Replayed || again.ID != first.ID {
			t.Errorf("%+v, %v", again, err)
		}
	})
}

func TestTheStampNeedsRoom(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, q := w.topic(t, topics.Settings{}), w.queue(t, "", nil)
		w.subscribe(t, tp, "s", topics.SubscriptionSettings{Queue: q})
		w.schema(t, tp, texts)
		m := queues.Outgoing{Body: []byte(`"x"`)}
		for i := range queues.MaxAttributes {
			m.Attributes = append(m.Attributes, queues.Attribute{Name: fmt.Sprint("a", i), Type: "String", Value: "v"})
		}
		if _, err := w.Publish(t.Context(), w.tenant, tp, m); errs.KindOf(err) != errs.Invalid {
			t.Errorf("ten attributes: %v", err)
		}
		m.Attributes = m.Attributes[1:]
		_, err := w.Publish(t.Context(), w.tenant, tp, m)
		must(t, err)
		large := `"` + strings.Repeat("x", topics.MaxMessageSize-2) + `"`
		if err := w.publishOne(t, tp, large); errs.KindOf(err) != errs.TooLarge {
			t.Errorf("no room for the stamp: %v", err)
		}
		stamp := len(topics.SchemaAttribute) + len("Number") + len("1")
		must(t, w.publishOne(t, tp, large[:len(large)-stamp-1]+`"`))
		w.settled(t, tp, "s")
		if got := w.drain(t, q); len(got) != 2 {
			t.Errorf("%d messages arrived", len(got))
		}
	})
}

// What comes from another topic or a queue was acknowledged there: nothing is lost, and the stamp tells what was good.
func TestWhatIsForwardedIsStampedWhereItFits(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		first, tp, q := w.topic(t, topics.Settings{}), w.topic(t, topics.Settings{}), w.queue(t, "", nil)
		w.subscribe(t, first, "on", topics.SubscriptionSettings{Topic: tp})
		w.subscribe(t, tp, "all", topics.SubscriptionSettings{Queue: q})
		good := w.queue(t, "", nil)
		w.subscribe(t, tp, "good", topics.SubscriptionSettings{Queue: good, FilterPolicy: `{"` + topics.SchemaAttribute + `":[{"exists":true}]}`})
		from := w.queue(t, "", func(s *queues.Settings) { s.ForwardTo = queues.TopicTarget(tp) })
		w.schema(t, first, texts)
		w.schema(t, tp, `{"type":"string","maxLength":3}`)
		must(t, w.publishOne(t, first, `"abc"`))
		must(t, w.publishOne(t, first, `"abcd"`))
		w.settled(t, first, "on")
		for _, body := range []string{`"def"`, `no`} {
			_, err := w.queues.Send(t.Context(), w.tenant, from, queues.Outgoing{Body: []byte(body)})
			must(t, err)
		}
		until(t, "all have come", func() bool {
			got, err := w.Get(t.Context(), w.tenant, tp)
			return err == nil && got.Published == 4
		})
		w.settled(t, tp, "all", "good")
		want := []string{`"abc" Number 1`, `"abcd" -`, `"def" Number 1`, `no -`}
		got := stamps(w.drain(t, q))
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if n := len(w.drain(t, good)); n != 2 {
			t.Errorf("%d messages got past the policy", n)
		}
	})
}

func TestASchemaIsTried(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{Retention: time.Hour})
		w.schema(t, tp, orderV1)
		w.schema(t, tp, orderV2)
		try := func(text string, number int64, body string) (int64, int) {
			t.Helper()
			out, err := w.TestSchema(t.Context(), w.tenant, tp, text, number, []byte(body))
			must(t, err)
			return out.Version, len(out.Faults)
		}
		for _, c := range []struct {
			text    string
			number  int64
			want, n int
		}{{"", 0, 2, 0}, {"", 1, 1, 1}, {texts, 0, 0, 1}} {
			if v, n := try(c.text, c.number, `{"order":1,"note":""}`); v != int64(c.want) || n != c.n {
				t.Errorf("%+v: version %d, %d faults", c, v, n)
			}
		}
		if _, err := w.TestSchema(t.Context(), w.tenant, tp, "", 9, []byte("1")); !errors.Is(err, topics.ErrSchemaNotFound) {
			t.Errorf("no such version: %v", err)
		}
		if _, err := w.TestSchema(t.Context(), w.tenant, tp, "{", 0, []byte("1")); errs.KindOf(err) != errs.Invalid {
			t.Errorf("no schema: %v", err)
		}
		if got, err := w.Get(t.Context(), w.tenant, tp); err != nil || got.Published != 0 {
			t.Errorf("%d published, %v", got.Published, err)
		}
	})
}
