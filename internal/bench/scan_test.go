package bench

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestScanReceive(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, answer string
		want         []string // handle, body, handle, body, …
		failed       int
	}{
		{"none", `{"messages":[]}`, nil, 0},
		{"null", `{"messages":null}`, nil, 0},
		{"two", `{"messages":[{"id":"msg_1","receipt_handle":"rh_1","body":"a"},{"id":"msg_2","receipt_handle":"rh_2","body":"b"}]}`, []string{"rh_1", "a", "rh_2", "b"}, 0},
		{"another order", `{"messages":[{"body":"a","receipt_handle":"rh_1","id":"msg_1"}]}`, []string{"rh_1", "a"}, 0},
		{"escapes", `{"messages":[{"receipt_handle":"rh_1","body":"{\"order\":7,\"s\":\"\\\"\\\\\",\"u\":\"\u00e9\ud83d\ude00\"}\n"}]}`,
			[]string{"rh_1", `{"order":7,"s":"\"\\","u":"é😀"}` + "\n"}, 0},
		{"a body that looks like an answer", `{"messages":[{"receipt_handle":"rh_1","body":"{\"messages\":[{\"receipt_handle\":\"rh_9\",\"body\":\"x\"}]}"}]}`,
			[]string{"rh_1", `{"messages":[{"receipt_handle":"rh_9","body":"x"}]}`}, 0},
		{"ends in a backslash", `{"messages":[{"receipt_handle":"rh_1","body":"a\\"},{"receipt_handle":"rh_2","body":"\\\\\""}]}`,
			[]string{"rh_1", `a\`, "rh_2", `\\"`}, 0},
		{"an attribute named body", `{"messages":[{"attributes":{"body":{"type":"String","value":"no"},"receipt_handle":{"value":"no"}},"receipt_handle":"rh_1","body":"yes","group_id":null,"n":-1.5e3,"list":[1,[2,{"a":"]"}],true]}]}`,
			[]string{"rh_1", "yes"}, 0},
		{"white space", "{\n  \"messages\" : [ {\n \"receipt_handle\" :\t\"rh_1\" ,\r\n \"body\" : \"a b\" } ]\n}\n", []string{"rh_1", "a b"}, 0},
		{"base64", `{"messages":[{"receipt_handle":"rh_1","body":"` + base64.StdEncoding.EncodeToString([]byte("\xff\x00")) + `","body_encoding":"base64"}]}`,
			[]string{"rh_1", "\xff\x00"}, 0},
		{"acked", `{"acked":[{"receipt_handle":"rh_0","status":204},{"receipt_handle":"rh_7","status":410,"error":{"code":"receipt_handle_expired"}}],"messages":[{"receipt_handle":"rh_1","body":"a"}]}`,
			[]string{"rh_1", "a"}, 1},
		{"acked in another form", `{"acked":["rh_0"],"messages":[]}`, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			list, failed, err := scanReceive([]byte(test.answer), nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range list {
				got = append(got, string(m.handle), string(m.body))
			}
			if diff := cmp.Diff(test.want, got); diff != "" || failed != test.failed {
				t.Errorf("%d failed acks, want %d; messages (-want +got):\n%s", failed, test.failed, diff)
			}
		})
	}
}

func TestScanEndsInWrongJSON(t *testing.T) {
	t.Parallel()
	whole := `{"messages":[{"id":"msg_1","receipt_handle":"rh_1","body":"a\"b","n":[1,{"x":2}]}],"acked":[{"status":204}]}`
	for cut := range len(whole) {
		if _, _, err := scanReceive([]byte(whole[:cut]), nil); err == nil {
			t.Errorf("%q: no error", whole[:cut])
		}
	}
	for _, wrong := range []string{`[]`, `"messages"`, `{"messages":[{"body":"no handle"}]}`, `{"messages":[{"receipt_handle":7,"body":""}]}`, `{"messages":{}}`} {
		if _, _, err := scanReceive([]byte(wrong), nil); err == nil {
			t.Errorf("%q: no error", wrong)
		}
	}
}

func FuzzScanReceive(f *testing.F) {
	f.Add(`{"messages":[{"id":"msg_1","receipt_handle":"rh_1","body":"a\"b","n":[1,{"x":2}]}],"acked":[{"status":204}]}`)
	f.Fuzz(func(t *testing.T, answer string) {
		var want struct {
			Messages []struct {
				Handle *string `json:"receipt_handle"`
				Body   *string
			}
		}
		got, _, err := scanReceive([]byte(answer), nil)
		if err != nil || !json.Valid([]byte(answer)) || strings.Count(answer, "messages") > 1 ||
			strings.Contains(answer, "body_encoding") || json.Unmarshal([]byte(answer), &want) != nil || len(want.Messages) != len(got) {
			return // it must end; what it says about wrong or unusual JSON is free
		}
		for i, m := range want.Messages {
			if m.Handle != nil && string(got[i].handle) != *m.Handle && strings.Count(answer, "receipt_handle") == len(got) {
				t.Errorf("%q: handle %q, want %q", answer, got[i].handle, *m.Handle)
			}
		}
	})
}

func TestScanResults(t *testing.T) {
	t.Parallel()
	var got []string
	err := scanResults([]byte(`{"results":[{"ref":"a","status":201,"id":"msg_1"},{"status":413,"ref":"b","error":{"status":413,"ref":"x"}}]}`),
		func(ref []byte, status int) { got = append(got, fmt.Sprintf("%s %d", ref, status)) })
	if diff := cmp.Diff([]string{"a 201", "b 413"}, got); diff != "" || err != nil {
		t.Errorf("error %v, results (-want +got):\n%s", err, diff)
	}
}

func TestProblemCode(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"type":"x","status":404,"code":"queue_not_found","errors":[{"code":"no"}]}`: "queue_not_found",
		`<html>`: "",
		``:       "",
		`{}`:     "",
		`{"code":"` + strings.Repeat("x", 100) + `"}`: "",
	} {
		if got := problemCode([]byte(answer)); got != want {
			t.Errorf("%.60s: got %q, want %q", answer, got, want)
		}
	}
}

func TestQuantilesAreOfTheNearestRank(t *testing.T) {
	t.Parallel()
	var h histogram
	for i := range 100 { // 1 to 100 ns: each has a bucket of its own
		h.record(time.Duration(100 - i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.01: 1, 0.5: 50, 0.501: 51, 0.99: 99, 0.999: 100, 1: 100} {
		if got := h.quantile(q); got != want {
			t.Errorf("quantile %v: got %d, want %d", q, got, want)
		}
	}
	if got := (&histogram{}).quantile(0.5); got != 0 {
		t.Errorf("of nothing: got %d", got)
	}
}

func TestQuantilesStayWithinTheBucket(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var values []time.Duration
	var one, two histogram
	for i := range 20_000 {
		d := time.Duration(random.ExpFloat64() * float64(3*time.Millisecond))
		values = append(values, d)
		if i%3 == 0 {
			one.record(d)
		} else {
			two.record(d)
		}
	}
	one.add(&two)
	slices.Sort(values)
	for _, q := range []float64{0.5, 0.9, 0.99, 0.999} {
		want := values[int(q*float64(len(values)))-1]
		if got := one.quantile(q); float64(got) < float64(want)*(1-1./256) || float64(got) > float64(want)*(1+1./256) {
			t.Errorf("quantile %v: got %s, want %s", q, got, want)
		}
	}
	if one.quantile(1) != values[len(values)-1] || one.n != 20_000 {
		t.Errorf("max %s of %d, want %s of 20000", one.quantile(1), one.n, values[len(values)-1])
	}
}

func TestBucketsFollowOneAnother(t *testing.T) {
	t.Parallel()
	last := -1
	for v := uint64(0); v < 1<<20; v++ {
		b := bucket(v)
		if b != last && b != last+1 {
			t.Fatalf("value %d: bucket %d after %d", v, b, last)
		}
		if m := uint64(middle(b)); bucket(m) != b {
			t.Fatalf("bucket %d: its middle %d is in bucket %d", b, m, bucket(m))
		}
		last = b
	}
	if b := bucket(1<<63 - 1); b >= 7296 {
		t.Errorf("the longest duration is in bucket %d", b)
	}
}

func BenchmarkScanReceive(b *testing.B) {
	answer := `{"messages":[`
	for i := range 10 {
		if i > 0 {
			answer += ","
		}
		answer += fmt.Sprintf(`{"id":"msg_01jabcdefghijklmnop%d","receipt_handle":"rh_%s","ack_url":"/v1/queues/q/receipts/rh_%s","body":"%d-%s","body_encoding":"utf8","content_type":"text/plain","attributes":{},"group_id":null,"receive_count":1,"sent_at":"2026-01-02T03:04:05.678Z","first_received_at":"2026-01-02T03:04:05.678Z","lease_expires_at":"2026-01-02T03:05:05.678Z"}`,
			i, strings.Repeat("h", 100), strings.Repeat("h", 100), i, padding(250))
	}
	answer += "]}"
	text := []byte(answer)
	var list []message
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		list, _, _ = scanReceive(text, list[:0])
	}
	if len(list) != 10 {
		b.Fatal(len(list))
	}
}
