package logtail_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/logtail"
)

var at = time.Date(2030, 1, 2, 3, 4, 5, 678e6, time.UTC)

// written returns the line that a logger of this format writes.
func written(t *testing.T, format string, level slog.Level, message string, args ...any) []byte {
	t.Helper()
	var b bytes.Buffer
	opt := &slog.HandlerOptions{Level: slog.LevelDebug}
	h := slog.Handler(slog.NewJSONHandler(&b, opt))
	if format == "text" {
		h = slog.NewTextHandler(&b, opt)
	}
	r := slog.NewRecord(at, level, message, 0)
	r.Add(args...)
	if err := h.Handle(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func follow(t *testing.T, r *logtail.Ring, cursor string) *logtail.Follower {
	t.Helper()
	f, err := r.Follow(cursor)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// messages returns what lines say, and fails unless just so many were gone.
func messages(t *testing.T, f *logtail.Follower, gone int64) (list []string) {
	t.Helper()
	lines, n := f.Take()
	if n != gone {
		t.Errorf("%d lines were gone, want %d", n, gone)
	}
	for _, l := range lines {
		list = append(list, l.Message)
	}
	return list
}

func TestALineIsTheSameInEachFormat(t *testing.T) {
	t.Parallel()
	args := []any{"status", 201, "ms", 1.25, "ok", true, "queue", "", "error", errors.New(`no "such" queue = 7`), "none", nil, "a name", "two words",
		"lines", "one\ntwo\\", "markup", "<b>&amp;</b>", "level", "of a field", "unicode", "grün \u202e 漢字"}
	want := logtail.Line{Cursor: "r-0", Time: at, Level: slog.LevelWarn, Message: "a message, in = words", Fields: []logtail.Field{
		{Name: "status", Value: "201"}, {Name: "ms", Value: "1.25"}, {Name: "ok", Value: "true"}, {Name: "queue"}, {Name: "error", Value: `no "such" queue = 7`}, {Name: "none"},
		{Name: "a name", Value: "two words"}, {Name: "lines", Value: "one\ntwo\\"}, {Name: "markup", Value: "<b>&amp;</b>"}, {Name: "level", Value: "of a field"},
		{Name: "unicode", Value: "grün \u202e 漢字"}}}
	for _, format := range []string{"json", "text"} {
		r := logtail.New("one", "r")
		r.Write(written(t, format, slog.LevelWarn, "a message, in = words", args...))
		got, _ := follow(t, r, "").Take()
		if diff := cmp.Diff([]logtail.Line{want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
		if text := got[0].Text(); !strings.HasPrefix(text, "a message, in = words status=201 ms=1.25 ok=true queue= error=no") {
			t.Errorf("%s reads %q", format, text)
		}
	}
}

// What is nested in a log of JSON stays JSON.
func TestANestedValueStaysJSON(t *testing.T) {
	t.Parallel()
	r := logtail.New("one", "r")
	r.Write(written(t, "json", slog.LevelInfo, "m", slog.Group("g", "a", 1, "b", `}"],`), "list", []any{1, "x]", []int{}}, "last", "y"))
	got, _ := follow(t, r, "").Take()
	want := []logtail.Field{{Name: "g", Value: `{"a":1,"b":"}\"],"}`}, {Name: "list", Value: `[1,"x]",[]]`}, {Name: "last", Value: "y"}}
	if diff := cmp.Diff(want, got[0].Fields); diff != "" {
		t.Error(diff)
	}
}

// A panic of a library, for example: it must not be lost for being in another form, nor below the level that somebody chose.
func TestALineOfAnotherFormIsAnErrorAsAWhole(t *testing.T) {
	t.Parallel()
	r := logtail.New("one", "r")
	lines := []string{"panic: out of luck", `{"a":1}`, `{"time":"2030-01-02T03:04:05Z","level":"INFO","msg":"x"`, `time=yesterday level=INFO msg=x`, "time=2030-01-02T03:04:05Z level=INFO",
		`{"time":"2030-01-02T03:04:05Z","level":"LOUD","msg":"x"}`, "[1]", "{", "", "\xff", `time=2030-01-02T03:04:05Z level=INFO msg="x`, "null", `{"time":"2030-01-02T03:04:05Z","level":"INFO","msg":"x","a":1`, `{"time":"2030-01-02T03:04:05Z","level":"INFO","msg":"x","a":"\x"}`,
		`{"time":"2030-01-02T03:04:05Z","level":"INFO","msg":"x","a"}`, `{"time":"2030-01-02T03:04:05Z","level":"INFO","msg":"x"}}`, `{"time":"2030-01-02T03:04:05Z","level":"INFO","msg":`}
	for _, l := range lines {
		r.Write([]byte(l + "\n"))
	}
	got, _ := follow(t, r, "").Take()
	if len(got) != len(lines) {
		t.Fatalf("got %d lines, want %d", len(got), len(lines))
	}
	for i, l := range got {
		want := logtail.Line{Cursor: fmt.Sprintf("r-%d", i), Level: slog.LevelError, Message: strings.ToValidUTF8(lines[i], "\uFFFD")}
		if diff := cmp.Diff(want, l); diff != "" {
			t.Errorf("%q (-want +got):\n%s", lines[i], diff)
		}
	}
}

func TestALongLineIsCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", logtail.MaxLine)
	for _, format := range []string{"json", "text"} {
		r := logtail.New("one", "r")
		r.Write(written(t, format, slog.LevelInfo, "short", "first", "x", "long", long, "last", "y"))
		r.Write(written(t, format, slog.LevelInfo, long))
		r.Write(written(t, format, slog.LevelInfo, "short", strings.Repeat("n", logtail.MaxLine), "x"))
		r.Write([]byte(strings.Repeat("?", logtail.MaxLine+1)))
		r.Write([]byte(strings.Repeat("!", logtail.MaxLine) + "\n"))
		got, _ := follow(t, r, "").Take()
		for i, l := range got {
			if l.Cut != (i < 4) || !utf8.ValidString(l.Text()) || len(l.Text()) > logtail.MaxLine {
				t.Errorf("%s: line %d: cut is %t, %d bytes of text", format, i, l.Cut, len(l.Text()))
			}
		}
		if f := got[0].Fields; got[0].Message != "short" || len(f) != 2 || f[0].Value != "x" || f[1].Name != "long" || !strings.HasPrefix(f[1].Value, long[:3000]) {
			t.Errorf("%s: the line with a long field is %+v", format, got[0])
		}
		if m := got[1]; !strings.HasPrefix(m.Message, long[:3000]) || m.Level != slog.LevelInfo || !m.Time.Equal(at) {
			t.Errorf("%s: the line with a long message is %+v", format, m)
		}
		if m := got[2]; m.Message != "short" || m.Level != slog.LevelInfo {
			t.Errorf("%s: the line with a long name is %+v", format, m)
		}
	}
}

func TestTheRingIsBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size, want int
	}{
		{size: 10, want: logtail.MaxLines},
		{size: logtail.MaxBytes / logtail.MaxLines, want: logtail.MaxLines},
		{size: 600, want: logtail.MaxBytes / 600},
		{size: logtail.MaxLine, want: logtail.MaxBytes / logtail.MaxLine},
		{size: 10 * logtail.MaxLine, want: logtail.MaxBytes / logtail.MaxLine},
	} {
		r := logtail.New("one", "r")
		f := follow(t, r, "")
		const all = 3 * logtail.MaxLines
		for i := range all {
			r.Write(fmt.Appendf(nil, "%0*d\n", c.size, i)) // of digits, and the last ones say which line it is
		}
		got, gone := f.Take()
		// Where a line does not fit before the end of the memory, the rest of that stays free.
		if n := len(got); n > c.want || n < c.want-c.want*min(c.size, logtail.MaxLine)/logtail.MaxBytes-1 || int64(n)+gone != all {
			t.Fatalf("lines of %d bytes: %d are kept and %d gone, want %d", c.size, n, gone, c.want)
		}
		for i, l := range got {
			want := fmt.Sprintf("%0*d", c.size, all-len(got)+i)
			if l.Message != want[:min(len(want), logtail.MaxLine)] {
				t.Fatalf("lines of %d bytes: line %d is %.40q", c.size, i, l.Message)
			}
		}
	}
	// Of all lengths, so that lines lie across the end of the memory in all ways.
	r := logtail.New("one", "r")
	for i := range 5 * logtail.MaxLines {
		r.Write(fmt.Appendf(nil, "%0*d\n", i%logtail.MaxLine+1, i))
	}
	got, _ := follow(t, r, "").Take()
	size := 0
	for i, l := range got {
		n := 5*logtail.MaxLines - len(got) + i
		size += len(l.Message)
		if want := fmt.Sprintf("%0*d", n%logtail.MaxLine+1, n); l.Message != want {
			t.Fatalf("line %d is %.40q, want %.40q", n, l.Message, want)
		}
	}
	if size > logtail.MaxBytes || size < logtail.MaxBytes-2*logtail.MaxLine {
		t.Errorf("%d bytes are kept of %d", size, logtail.MaxBytes)
	}
}

func TestAFollowerIsToldAndGoesOn(t *testing.T) {
	t.Parallel()
	r := logtail.New("one", "r")
	r.Write([]byte("0\n"))
	f := follow(t, r, "")
	<-f.Changed() // there is something already
	if diff := cmp.Diff([]string{"0"}, messages(t, f, 0)); diff != "" {
		t.Error(diff)
	}
	r.Write([]byte("1\n"))
	r.Write([]byte("2\n"))
	select {
	case <-f.Changed():
		t.Error("a follower was told of a line that is not written yet")
	default:
	}
	r.Tell()
	r.Tell()
	<-f.Changed()
	lines, _ := f.Take()
	if len(lines) != 2 || len(messages(t, f, 0)) != 0 || f.Resumed() {
		t.Errorf("got %+v", lines)
	}
	again := follow(t, r, lines[0].Cursor)
	if diff := cmp.Diff([]string{"2"}, messages(t, again, 0)); diff != "" || !again.Resumed() {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string(nil), messages(t, follow(t, r, lines[1].Cursor), 0)); diff != "" {
		t.Error(diff)
	}

	// Who is slow is told how much is gone, and so is who comes back late.
	for i := range logtail.MaxLines + 5 {
		r.Write(fmt.Appendf(nil, "%d\n", i+3))
	}
	if got := messages(t, f, 5); len(got) != logtail.MaxLines || got[0] != "8" {
		t.Errorf("a slow follower gets %d lines from %q on", len(got), got[0])
	}
	if got := messages(t, follow(t, r, lines[0].Cursor), 6); len(got) != logtail.MaxLines {
		t.Errorf("who comes back gets %d lines", len(got))
	}
	other := follow(t, logtail.New("two", "s"), lines[0].Cursor)
	if other.Resumed() || other.Server() != "two" || len(messages(t, other, 0)) != 0 {
		t.Error("another server knows the line")
	}
	for _, cursor := range []string{"x", "r", "r-", "r--1", "r-x", "rr-1", "-1", fmt.Sprintf("r-%d", logtail.MaxLines+8), "r-18446744073709551615"} {
		if _, err := r.Follow(cursor); !errors.Is(err, logtail.ErrCursor) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
	follow(t, r, fmt.Sprintf("r-%d", logtail.MaxLines+7)) // the last line
}

// What is parsed is only what somebody reads; a write is a copy.
func TestAWriteMakesNoGarbage(t *testing.T) {
	r := logtail.New("one", "r")
	line := []byte(strings.Repeat("x", 199) + "\n")
	if n := testing.AllocsPerRun(2*logtail.MaxLines, func() { r.Write(line) }); n != 0 {
		t.Errorf("%v allocations for a line", n)
	}
}

// The line of a request, of a ring that is full.
func BenchmarkTake(b *testing.B) {
	for name, line := range map[string]string{
		"json": `{"time":"2030-01-02T03:04:05.678Z","level":"INFO","msg":"request","method":"POST","route":"/v1/queues/:queue/messages","status":201,"queue":"orders","tenant":"9yz5hwr5nj","key":"key_8etp3t0sn6tb8s3e93w0","client":"127.0.0.1","in":11,"out":348,"ms":1.809,"request_id":"req_0dwt6pwtg000008001c0","client_request_id":""}`,
		"text": `time=2030-01-02T03:04:05.678Z level=INFO msg=request method=POST route=/v1/queues/:queue/messages status=201 queue=orders tenant=9yz5hwr5nj key=key_8etp3t0sn6tb8s3e93w0 client=127.0.0.1 in=11 out=348 ms=1.809 request_id=req_0dwt6pwtg000008001c0 client_request_id=""`,
	} {
		b.Run(name, func(b *testing.B) {
			r := logtail.New("one", "r")
			for range logtail.MaxLines {
				r.Write([]byte(line + "\n"))
			}
			for b.Loop() {
				f, err := r.Follow("")
				if err != nil {
					b.Fatal(err)
				}
				if lines, _ := f.Take(); len(lines) != logtail.MaxLines || len(lines[0].Fields) != 12 {
					b.Fatalf("%+v", lines[0])
				}
				f.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/logtail.MaxLines, "ns/line")
		})
	}
}
