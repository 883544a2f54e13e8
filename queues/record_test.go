package queues_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
)

// FuzzRecord packs whatever may be sent and reads it back, byte for byte; and reading anything at all never panics.
func FuzzRecord(f *testing.F) {
	f.Add([]byte("body"), "text/plain", "00-1", "n", "String", "v", uint8(1), uint64(1_772_000_000_000))
	f.Add([]byte{}, "", "", "", "", "", uint8(0), uint64(0))
	f.Add([]byte{0, 1, 2, 255}, "application/json", "", "a.b", "Binary", "\x00\xff", uint8(10), uint64(1)<<48-1)
	f.Add([]byte("\x80\x80\x80\x80\x80"), strings.Repeat("t", 127), strings.Repeat("p", 256), strings.Repeat("n", 256), "Number.x", strings.Repeat("9", 300), uint8(3), uint64(7))
	f.Fuzz(func(t *testing.T, body []byte, contentType, trace, name, kind, value string, n uint8, ms uint64) {
		m := queues.Outgoing{Body: body, ContentType: contentType[:min(len(contentType), 127)], TraceParent: trace}
		for i := range n % (queues.MaxAttributes + 1) {
			m.Attributes = append(m.Attributes, queues.Attribute{Name: name + string(rune('a'+i)), Type: kind, Value: value})
		}
		ms %= 1 << 48
		m.Priority, m.Hops, m.TTL = int(n%(queues.MaxPriority+1)), int(n%7), time.Duration(ms%(14*86400_000))*time.Millisecond
		if n%2 == 1 {
			policy := queues.DefaultRetry()
			policy.Backoff, policy.Jitter = queues.LinearBackoff, float64(n)/1000
			m.Retry = &policy
		}
		record := queues.Stamp(ms) + queues.Pack(&m)
		got, err := queues.Parse(record)
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		want := queues.Message{
			Body: string(body), ContentType: m.ContentType, TraceParent: trace, Attributes: m.Attributes,
			SentAt: time.UnixMilli(int64(ms)).UTC(), Priority: m.Priority, Retry: m.Retry, Hops: m.Hops,
		}
		if m.TTL > 0 {
			want.ExpiresAt = want.SentAt.Add(m.TTL)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-packed +parsed):\n%s", diff)
		}
		// What is cut off or damaged is read as something else or refused.
		for _, damaged := range []string{record[:len(record)/2], record[:min(len(record), 8)], record[1:], string(body), queues.Stamp(ms) + string(body), "\x00" + value} {
			if m, err := queues.Parse(damaged); err == nil && len(m.Body) > len(damaged) {
				t.Fatalf("%d bytes hold a body of %d", len(damaged), len(m.Body))
			}
		}
		_ = queues.ParseSide(value)
	})
}

// FuzzReceiptHandle presents handles of this queue's making and others: only its own are read, and say what was written.
func FuzzReceiptHandle(f *testing.F) {
	key := []byte("0123456789abcdef0123456789abcdef")
	own := queues.NewReceipts(key, "tenant", "uid")
	others := map[string]queues.Receipts{
		"tenant":       queues.NewReceipts(key, "tenanu", "uid"),
		"queue":        queues.NewReceipts(key, "tenant", "uie"),
		"installation": queues.NewReceipts([]byte("0123456789abcdef0123456789abcdeF"), "tenant", "uid"),
		"border":       queues.NewReceipts(key, "tenan", "tuid"),
	}
	id := func(s string) (id engine.ID) {
		copy(id[:], s)
		return id
	}
	good := own.Write(id("0123456789ab"), 1, time.UnixMilli(1_772_000_000_000), 256)
	f.Add("0123456789ab", uint32(1), int64(1_772_000_000_000), good, uint16(0))
	f.Add("", uint32(0), int64(0), "rh_", uint16(5))
	f.Add("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", uint32(1<<32-1), int64(1<<48-1), good+"A", uint16(279))
	f.Add("x", uint32(4096), int64(1), "rh_"+strings.Repeat("A", 51), uint16(100))
	f.Fuzz(func(t *testing.T, name string, delivery uint32, ms int64, foreign string, bit uint16) {
		at := time.UnixMilli(ms & (1<<48 - 1))
		size := int(bit) << 8
		handle := own.Write(id(name), delivery, at, size)
		gotID, gotDelivery, gotAt, gotSize, err := own.Read(handle)
		if err != nil || gotID != id(name) || gotDelivery != delivery || !gotAt.Equal(at) || gotSize != size {
			t.Fatalf("%q says %s, %d, %s, %d, %v; want %s, %d, %s, %d", handle, gotID, gotDelivery, gotAt, gotSize, err, id(name), delivery, at, size)
		}
		for whose, r := range others {
			if _, _, _, _, err := r.Read(handle); !errors.Is(err, queues.ErrReceiptInvalid) {
				t.Fatalf("a handle of another %s: %v", whose, err)
			}
		}
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(handle, "rh_"))
		if err != nil {
			t.Fatal(err)
		}
		raw[int(bit/8)%len(raw)] ^= 1 << (bit % 8)
		if _, _, _, _, err := own.Read("rh_" + base64.RawURLEncoding.EncodeToString(raw)); !errors.Is(err, queues.ErrReceiptInvalid) {
			t.Fatalf("bit %d of %q flipped: %v", bit, handle, err)
		}
		// One handle has one spelling, and what others made up is none.
		for _, s := range []string{foreign, strings.ToUpper(handle), handle + "=", handle[:len(handle)-1], " " + handle, handle + "\n"} {
			if s == handle {
				continue
			}
			if gotID, gotDelivery, gotAt, gotSize, err := own.Read(s); err == nil && own.Write(gotID, gotDelivery, gotAt, gotSize) != s {
				t.Fatalf("%q is read as %s, %d, %s, %d", s, gotID, gotDelivery, gotAt, gotSize)
			}
		}
	})
}
