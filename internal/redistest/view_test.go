package redistest

import (
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseView(t *testing.T) {
	t.Parallel()
	view, err := parseView(`a1 127.0.0.1:1@10001 myself,master - 0 0 7 connected 0-5460 9 [93->-b2]
b2 127.0.0.1:2@10002 slave,fail a1 0 0 3 disconnected
c3 127.0.0.1:3@10003 handshake - 0 0 0 connected
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []member{
		{id: "a1", self: true, master: true, epoch: 7, ranges: []string{"0-5460", "9"}},
		{id: "b2", of: "a1", epoch: 3},
		{id: "c3", of: "-", handshake: true},
	}
	if diff := cmp.Diff(want, view, cmp.AllowUnexported(member{})); diff != "" {
		t.Errorf("view (-want +got):\n%s", diff)
	}
	for slot, want := range map[int]bool{0: true, 5460: true, 5461: false, 9: true, 93: true, 16383: false} {
		if got := view[0].owns(slot); got != want {
			t.Errorf("owns(%d) = %t, want %t", slot, got, want)
		}
	}
	if me, err := myself(view); err != nil || me.id != "a1" {
		t.Errorf("myself = %v, %v; want a1", me, err)
	}
	if _, err := myself(view[1:]); err == nil {
		t.Error("myself of a view without it: no error")
	}
	if _, err := parseView("a1 127.0.0.1:1@10001 master - 0 0\n"); err == nil {
		t.Error("parseView of a short line: no error")
	}
}

func TestLastIncr(t *testing.T) {
	t.Parallel()
	got, err := lastIncr("file a.2.base.rdb seq 2 type b\nfile a.2.incr.aof seq 2 type i\nfile a.3.incr.aof seq 3 type i\n")
	if err != nil || got != "a.3.incr.aof" {
		t.Errorf("lastIncr = %q, %v; want the third file", got, err)
	}
	if _, err := lastIncr("file a.1.base.rdb seq 1 type b\n"); err == nil || !strings.Contains(err.Error(), "no incremental file") {
		t.Errorf("lastIncr of a manifest without one: %v", err)
	}
}

func TestPollGivesUpAtOnceOnAFinalError(t *testing.T) {
	t.Parallel()
	calls := 0
	err := poll(clusterLimit, func() error { calls++; return final{errPortTaken} })
	if err == nil || calls != 1 {
		t.Errorf("poll = %v after %d calls, want the error after one", err, calls)
	}
}

func TestPortsAreFreeAndOfferedOnce(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 20 {
		port, err := reservePort()
		if err != nil {
			t.Fatal(err)
		}
		defer releasePort(port)
		if seen[port] || port < firstPort || port+busOffset >= 32768 || !free(port) || !free(port+busOffset) {
			t.Errorf("port %d is not to be had", port)
		}
		seen[port] = true
		if names, ok := claim(port); ok && runtime.GOOS == "linux" { // as another binary asks
			t.Errorf("port %d is offered to two", port)
			unclaim(names)
		}
	}
}
