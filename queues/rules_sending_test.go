package queues_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
)

// sized makes a queue that takes messages of at most so many bytes.
func (b *bench) sized(tb testing.TB, most int) string {
	tb.Helper()
	return b.queue(tb, func(s *queues.Settings) { s.MaxMessageSize = most })
}

func TestQ50_ABodyIsAnyBytes(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		for _, body := range []string{"\x00", "\x08\x1f\x7f", "\xff\xfe", "\xed\xa0\x80", "\uffff", "é\r\n\t", strings.Repeat("\x00", 1000)} {
			value := queues.Attribute{Name: "a", Type: "String", Value: body}
			if err := b.one(t, q, queues.Outgoing{Body: []byte(body), Attributes: []queues.Attribute{value}}); err != nil {
				t.Errorf("%q: %v", body, err)
				continue
			}
			m := b.take(t, q, 1, body)[0]
			if diff := cmp.Diff([]queues.Attribute{value}, m.Attributes); diff != "" {
				t.Errorf("%q as a value (-sent +received):\n%s", body, diff)
			}
			b.ack(t, q, m)
		}
	})
}

func TestQ51_TheSizeIsThatOfTheBodyAndTheAttributes(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.sized(t, 2048)
		attributes := []queues.Attribute{
			{Name: "ab", Type: "String.label", Value: "ä"},       // 2 + 12 + 2 bytes
			{Name: "n", Type: "Number", Value: "007"},            // 1 + 6 + 3
			{Name: "bytes", Type: "Binary", Value: "\x00\xff12"}, // 5 + 6 + 4
		}
		const size = 16 + 10 + 15
		if err := b.one(t, q, queues.Outgoing{Body: make([]byte, 2048-size), Attributes: attributes}); err != nil {
			t.Errorf("body and attributes of 2,048 bytes: %v", err)
		}
		err := b.one(t, q, queues.Outgoing{Body: make([]byte, 2049-size), Attributes: attributes})
		if !errors.Is(err, queues.ErrMessageTooLarge) {
			t.Errorf("body and attributes of 2,049 bytes: got %v, want %v", err, queues.ErrMessageTooLarge)
		}
		// What else goes with a message does not count.
		long := strings.Repeat("x", 100)
		others := queues.Outgoing{Body: make([]byte, 2048), ContentType: long, TraceParent: long, GroupID: long, IdempotencyKey: long}
		if err := b.one(t, q, others); err != nil {
			t.Errorf("a body of 2,048 bytes with type, trace, group and key: %v", err)
		}
		if got := b.counts(t, q); got != [3]int64{2} {
			t.Errorf("counts: got %v, want two messages", got)
		}
	})
}

func TestQ52_AMessageMayBeAsLargeAsItsQueueSays(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		for _, most := range []int{queues.MinMessageSize, 5000, queues.MaxMessageSize} {
			q := b.sized(t, most)
			for _, body := range []string{strings.Repeat("x", most), strings.Repeat("ä", most/2)} {
				if err := b.one(t, q, queues.Outgoing{Body: []byte(body)}); err != nil {
					t.Errorf("%d bytes of %d: %v", len(body), most, err)
				}
				if err := b.one(t, q, queues.Outgoing{Body: []byte(body + "x")}); !errors.Is(err, queues.ErrMessageTooLarge) {
					t.Errorf("%d bytes of %d: got %v, want %v", len(body)+1, most, err, queues.ErrMessageTooLarge)
				}
			}
			if got := b.counts(t, q); got != [3]int64{2} {
				t.Errorf("counts: got %v, want two messages", got)
			}
		}
	})
}

func TestQ53_AttributesAreTenWithOrdinaryNames(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		named := func(names ...string) queues.Outgoing {
			m := queues.Outgoing{Body: []byte("m")}
			for _, name := range names {
				m.Attributes = append(m.Attributes, queues.Attribute{Name: name, Type: "String", Value: "v"})
			}
			return m
		}
		ten := []string{"a", "B", "9", "_", "-", "a.b-c_d", "AWSome", "amazonian.x", "x.aws.y", strings.Repeat("x", 256)}
		if err := b.one(t, q, named(ten...)); err != nil {
			t.Fatal(err)
		}
		for i, a := range b.take(t, q, 1, "m")[0].Attributes {
			if a.Name != ten[i] {
				t.Errorf("attribute %d came back as %q, want %q", i, a.Name, ten[i])
			}
		}
		refusedWith(t, b.one(t, q, named(append(ten, "eleventh")...)), "validation_failed", "/attributes")
		for _, bad := range []string{
			"", strings.Repeat("x", 257), "a b", "a/b", "ä", "a\n", ".a", "a.", "a..b", ".",
			"AWS.x", "aws.x", "Aws.x", "Amazon.x", "amazon.x", "aMaZoN.x",
		} {
			refusedWith(t, b.one(t, q, named("fine", bad)), "validation_failed", "")
		}
		refusedWith(t, b.one(t, q, named("twice", "twice")), "validation_failed", "/attributes/twice")
		b.take(t, q, 10)
	})
}

func TestQ54_AnAttributeIsTextANumberOrBytes(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		digits := strings.Repeat("9", 38)
		typed := func(typ, value string) queues.Outgoing {
			return queues.Outgoing{Body: []byte("m"), Attributes: []queues.Attribute{{Name: "a", Type: typ, Value: value}}}
		}
		for _, good := range [][2]string{
			{"String", "v"}, {"Binary", "\x00"}, {"String.json", "{}"}, {"Number.int", "7"}, {"Binary.png", "v"}, {"String.a.b", "v"},
			{"String." + strings.Repeat("x", 249), "v"}, {"String", "not a number"},
			{"Number", "19.12"}, {"Number", "007"}, {"Number", "-1"}, {"Number", "+3"}, {"Number", "0"}, {"Number", "-0.00"}, {"Number", ".5"},
			{"Number", "1E5"}, {"Number", "1e126"}, {"Number", "-1e126"}, {"Number", "0.01e128"}, {"Number", "1e-128"}, {"Number", "100e-130"}, {"Number", digits}, {"Number", "-0." + digits[1:]},
		} {
			if err := b.one(t, q, typed(good[0], good[1])); err != nil {
				t.Errorf("%q: %v", good, err)
				continue
			}
			m := b.take(t, q, 1, "m")[0]
			if a := m.Attributes[0]; a.Type != good[0] || a.Value != good[1] {
				t.Errorf("%q came back as %q", good, a)
			}
			b.ack(t, q, m)
		}
		for _, bad := range [][2]string{
			{"", "v"}, {"string", "v"}, {"Text", "v"}, {"String.", "v"}, {"Stringy", "v"}, {"String." + strings.Repeat("x", 250), "v"}, {"String.\n", "v"},
			{"Number", "x"}, {"Number", " 1"}, {"Number", "1,5"}, {"Number", "0x1"}, {"Number", "1_0"}, {"Number", "NaN"}, {"Number", "Inf"}, {"Number.int", "x"},
			{"Number", "1e127"}, {"Number", "-1e127"}, {"Number", "12e126"}, {"Number", "1e999"}, {"Number", "1e-129"}, {"Number", "0.1e-128"}, {"Number", "1e-999"}, {"Number", digits + "9"},
		} {
			if err := b.one(t, q, typed(bad[0], bad[1])); err == nil {
				t.Errorf("%q was taken", bad)
			} else {
				refusedWith(t, err, "validation_failed", "/attributes/a")
			}
		}
		b.take(t, q, 10)
	})
}

func TestQ55_AnAttributeHasAValue(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.queue(t, nil)
		for _, typ := range []string{"String", "Number", "Binary", "String.label"} {
			m := queues.Outgoing{Body: []byte("m"), Attributes: []queues.Attribute{{Name: "a", Type: typ}}}
			refusedWith(t, b.one(t, q, m), "validation_failed", "/attributes/a")
			m.Attributes[0].Value = "0"
			if err := b.one(t, q, m); err != nil {
				t.Errorf("%s with a value: %v", typ, err)
			}
		}
		b.take(t, q, 10, "m", "m", "m", "m")
	})
}

func TestQ58_EachMessageHasAnIDOfItsOwn(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q, servers, sent := b.queue(t, nil), []*bench{b, b.another(t)}, map[engine.ID]bool{}
		for i := range 4 {
			for _, r := range servers[i%2].batch(t, q, false, make([]queues.Outgoing, 25)...) {
				if r.Err != nil || sent[r.ID] {
					t.Errorf("got %s, %v; want a new id", r.ID, r.Err)
				}
				sent[r.ID] = true
			}
		}
		for _, m := range b.receive(t, q, 100) {
			if !sent[m.ID] {
				t.Errorf("%s was received, and not sent or received before", m.ID)
			}
			delete(sent, m.ID)
		}
		if len(sent) > 0 {
			t.Errorf("%d messages were not received", len(sent))
		}
	})
}

func TestQ67_AMessageThatIsTooLargeHarmsNoOtherOfItsBatch(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.sized(t, 1024)
		large := queues.Outgoing{Body: make([]byte, 1025)}
		got := b.batch(t, q, false, queues.Outgoing{Body: []byte("a")}, large, queues.Outgoing{Body: []byte("b")}, large, queues.Outgoing{Body: []byte("c")})
		for i, r := range got {
			if want := i%2 == 1; errors.Is(r.Err, queues.ErrMessageTooLarge) != want || !want && r.Err != nil {
				t.Errorf("message %d: got %v, too large %t", i, r.Err, want)
			}
		}
		b.take(t, q, 10, "a", "b", "c")
	})
}

func TestQ68_AMessageWithoutItsGroupHarmsNoOtherOfItsBatch(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, func(s *queues.Settings) { s.FIFO.ContentBased = false })
		batch := []queues.Outgoing{
			{Body: []byte("a"), GroupID: "g", DeduplicationID: "1"},
			{Body: []byte("no group"), DeduplicationID: "2"},
			{Body: []byte("no deduplication id"), GroupID: "g"},
			{Body: []byte("b"), GroupID: "g", DeduplicationID: "3"},
		}
		if _, err := b.SendBatch(t.Context(), b.tenant, q, batch, true); !errors.Is(err, queues.ErrGroupRequired) {
			t.Errorf("all or none: got %v, want %v", err, queues.ErrGroupRequired)
		}
		b.take(t, q, 10)
		for i, r := range b.batch(t, q, false, batch...) {
			if want := []error{nil, queues.ErrGroupRequired, queues.ErrDeduplicationRequired, nil}[i]; !errors.Is(r.Err, want) {
				t.Errorf("message %d: got %v, want %v", i, r.Err, want)
			}
		}
		b.take(t, q, 10, "a", "b")
	})
}

func TestQ70_ABatchKeepsItsOrder(t *testing.T) {
	engines(t, func(t *testing.T, b *bench) {
		q := b.fifo(t, nil)
		var batch []string
		want := map[string][]string{}
		for i := range 250 { // more than go to Redis at once
			group, body := fmt.Sprint("g", i*i%3), fmt.Sprint(i)
			batch = append(batch, group+":"+body)
			want[group] = append(want[group], body)
		}
		last := ""
		for i, r := range b.post(t, q, batch...) {
			if r.SequenceNumber <= last {
				t.Errorf("message %d has number %s, the one before %s", i, r.SequenceNumber, last)
			}
			last = r.SequenceNumber
		}
		got := map[string][]string{}
		for {
			list := b.receive(t, q, 100)
			if len(list) == 0 {
				break
			}
			for _, m := range list {
				got[m.GroupID] = append(got[m.GroupID], m.Body)
			}
			b.ack(t, q, list...)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("received by group (-want +got):\n%s", diff)
		}
	})
}
