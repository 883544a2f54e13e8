package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/faultnet"
	"github.com/sluicemq/sluice/internal/redistest"
)

// verdict is what a caller is told in the end.
type verdict struct {
	Kind       errs.Kind
	Code       string
	RetryAfter time.Duration
}

var (
	unavailable = verdict{errs.Unavailable, "not_ready", time.Second}
	unknown     = verdict{errs.Unknown, "outcome_unknown", time.Second}
	full        = verdict{errs.StorageFull, "storage_full", 5 * time.Second}
	broken      = verdict{errs.Internal, "internal", 0}
)

func verdictOn(t *testing.T, err error) verdict {
	t.Helper()
	e, ok := errors.AsType[*errs.Error](err)
	if !ok {
		t.Fatalf("got %v, want an error of package errs", err)
	}
	return verdict{e.Kind, e.Code, e.RetryAfter}
}

// answers are what Redis says or does instead of running a script. The texts are those of Redis 7.0.
var answers = []struct {
	name    string
	reply   string
	outcome engine.Outcome
	retried bool
	final   verdict
}{
	{"OOM", "OOM command not allowed when used memory > 'maxmemory'.", engine.Full, false, full},
	{"OOM in a script", "OOM command not allowed when used memory > 'maxmemory'. script: f, on @user_script:1.", engine.Full, false, full},
	{"NOREPLICAS", "NOREPLICAS Not enough good replicas to write.", engine.NotDone, true, unavailable},
	{"MISCONF disk", "MISCONF Errors writing to the AOF file: No space left on device", engine.NotDone, true, unavailable},
	{"LOADING", "LOADING Redis is loading the dataset in memory", engine.NotDone, true, unavailable},
	{"WRONGPASS", "WRONGPASS invalid username-password pair or user is disabled.", engine.NotDone, true, unavailable},
	{"NOAUTH", "NOAUTH Authentication required.", engine.NotDone, true, unavailable},
	{"READONLY", "READONLY You can't write against a read only replica.", engine.Elsewhere, true, unavailable},
	{"READONLY in a script", "READONLY You can't write against a read only replica. script: f, on @user_script:1.", engine.Elsewhere, true, unavailable},
	{"MOVED", "MOVED 3999 127.0.0.1:1", engine.Elsewhere, true, unavailable},
	{"ASK", "ASK 3999 127.0.0.1:1", engine.Elsewhere, true, unavailable},
	{"TRYAGAIN", "TRYAGAIN Multiple keys request during rehashing of slot", engine.NotDone, true, unavailable},
	{"CLUSTERDOWN", "CLUSTERDOWN The cluster is down", engine.NotDone, true, unavailable},
	{"CLUSTERDOWN slot", "CLUSTERDOWN Hash slot not served", engine.NotDone, true, unavailable},
	{"BUSY", "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", engine.NotDone, true, unavailable},
	{"NOSCRIPT", "NOSCRIPT No matching script. Please use EVAL.", engine.Reload, true, unavailable},
	{"MASTERDOWN", "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", engine.NotDone, true, unavailable},
	{"WRONGTYPE", "WRONGTYPE Operation against a key holding the wrong kind of value script: f, on @user_script:1.", engine.Broken, false, broken},
	{"CROSSSLOT", "CROSSSLOT Keys in request don't hash to the same slot", engine.Broken, false, broken},
	{"Lua error", "ERR user_script:7: attempt to index a nil value script: f, on @user_script:7.", engine.Broken, false, broken},
	{"NOPERM", "NOPERM this user has no permissions to run the 'evalsha' command", engine.Broken, false, broken},
	{"EOF", hangUp, engine.Unknown, true, unknown},
	{"time-out", silence, engine.Unknown, true, unknown},
}

func wire(reply string) string {
	if reply == hangUp || reply == silence {
		return reply
	}
	return "-" + reply + "\r\n"
}

// The answer stays the same for as long as the caller is willing to wait.
func TestEachAnswerHasItsOutcome(t *testing.T) {
	t.Parallel()
	for _, tc := range answers {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(int, *fakeConn, []string) string { return wire(tc.reply) })
			budget := 500 * time.Millisecond // a first attempt took longer than 100 ms on a busy machine
			if tc.reply == silence {         // so that there is time for a second attempt
				budget = engine.AttemptTimeout + 500*time.Millisecond
			}
			e := open(t, engine.Options{URL: f.url(), Budget: budget})
			began := time.Now()
			_, err := e.Do(t.Context(), countScript, []string{key("k")}, "op", "")
			took := time.Since(began)
			if diff := cmp.Diff(tc.final, verdictOn(t, err)); diff != "" {
				t.Errorf("final error (-want +got):\n%s", diff)
			}
			if got := f.attempts() > 1; got != tc.retried {
				t.Errorf("%d attempts; want it tried again: %t", f.attempts(), tc.retried)
			}
			if n := e.Outcomes()[tc.outcome.String()]; n == 0 {
				t.Errorf("outcomes %v, want %s", e.Outcomes(), tc.outcome)
			}
			if most := budget + engine.AttemptTimeout + 500*time.Millisecond; took > most {
				t.Errorf("took %v, at most %v is right for a budget of %v", took, most, budget)
			}
		})
	}
}

// The answer comes once and the call is carried out the next time.
func TestWhatPassesIsNotNoticed(t *testing.T) {
	t.Parallel()
	for _, tc := range answers {
		if !tc.retried {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(n int, _ *fakeConn, _ []string) string {
				if n == 0 {
					return wire(tc.reply)
				}
				return fakeOK
			})
			e := open(t, engine.Options{URL: f.url()})
			got, err := e.Do(t.Context(), countScript, []string{key("k")}, "op", "")
			if err != nil || got != "done" {
				t.Errorf("got %v, %v; want done", got, err)
			}
			if f.attempts() != 2 {
				t.Errorf("%d attempts, want 2", f.attempts())
			}
		})
	}
}

// What was perhaps done is never called refused, whatever a later attempt says.
func TestAnUnknownOutcomeStaysUnknown(t *testing.T) {
	t.Parallel()
	for _, tc := range answers {
		if tc.outcome == engine.Broken || tc.reply == silence {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(n int, _ *fakeConn, _ []string) string {
				if n == 0 {
					return hangUp
				}
				return wire(tc.reply)
			})
			e := open(t, engine.Options{URL: f.url(), Budget: 100 * time.Millisecond})
			_, err := e.Do(t.Context(), countScript, []string{key("k")}, "op", "")
			if diff := cmp.Diff(unknown, verdictOn(t, err)); diff != "" {
				t.Errorf("a lost answer, then %s (-want +got):\n%s", tc.name, diff)
			}
		})
	}
}

func TestErrorsOfTheClientHaveTheirOutcome(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want engine.Outcome
	}{
		{nil, engine.Done},
		{redis.Nil, engine.Done},
		{redis.ErrPoolTimeout, engine.NotDone},
		{redis.ErrPoolExhausted, engine.NotDone},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, engine.NotDone},
		{fmt.Errorf("wrapped: %w", &net.OpError{Op: "dial", Err: context.DeadlineExceeded}), engine.NotDone},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, engine.Unknown},
		{&net.OpError{Op: "write", Err: errors.New("broken pipe")}, engine.Unknown},
		{context.DeadlineExceeded, engine.Unknown},
		{context.Canceled, engine.Unknown},
		{redis.ErrClosed, engine.Unknown},
	} {
		if got := engine.OutcomeOf(tc.err); got != tc.want {
			t.Errorf("OutcomeOf(%v) = %s, want %s", tc.err, got, tc.want)
		}
	}
}

func TestARefusedConnectionIsCertainlyNotDone(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{Port: true})
	p := faultnet.New(t, s.Network(), s.Addr())
	e := open(t, engine.Options{URL: s.URL(), Dialer: p.Dialer(), Budget: 500 * time.Millisecond})
	p.Refuse()
	_, err := count(e, key("k"), "op")
	if diff := cmp.Diff(unavailable, verdictOn(t, err)); diff != "" {
		t.Errorf("final error (-want +got):\n%s", diff)
	}
	if e.Outcomes()["not_done"] < 2 {
		t.Errorf("outcomes %v, want more than one attempt", e.Outcomes())
	}
	p.Heal()
	mustCount(t, e, key("k"), "op")
}

// One script, its writes refused for want of memory, while those that drain and those that read still run.
func TestRealMemoryFull(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	e := open(t, engine.Options{URL: s.URL()})
	k := key("k")
	mustCount(t, e, k, "first")
	if err := s.Client(t).ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	_, err := count(e, k, "second")
	if diff := cmp.Diff(full, verdictOn(t, err)); diff != "" {
		t.Errorf("a script that adds (-want +got):\n%s", diff)
	}
	if n := total(t, e, k); n != 1 {
		t.Errorf("%d operations are noted, want 1: a refused one left a trace", n)
	}
	if _, err := e.Do(t.Context(), drainScript, []string{k}, "first"); err != nil {
		t.Errorf("a script that drains: %v", err)
	}
}

func TestRealTooFewReplicas(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{Extra: []string{"--min-replicas-to-write", "1"}})
	e := open(t, engine.Options{URL: s.URL(), Budget: 500 * time.Millisecond})
	_, err := count(e, key("k"), "op")
	if diff := cmp.Diff(unavailable, verdictOn(t, err)); diff != "" {
		t.Errorf("final error (-want +got):\n%s", diff)
	}
	if n := total(t, e, key("k")); n != 0 {
		t.Errorf("a read returned %d, want 0", n)
	}
}

func TestRealScriptFlush(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	e := open(t, engine.Options{URL: s.URL()})
	k := key("k")
	for i := range 3 {
		if n := mustCount(t, e, k, fmt.Sprint("op", i)); n != int64(i+1) {
			t.Errorf("operation %d has number %d", i, n)
		}
		if err := s.Client(t).ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if got := e.Outcomes(); got["done"] != 3 || got["unknown"] != 0 {
		t.Errorf("outcomes %v, want 3 done and nothing unknown", got)
	}
}

func TestRealWrongTypeAndCrossSlot(t *testing.T) {
	t.Parallel()
	e := open(t, engine.Options{URL: redistest.URL(t)})
	k := key("k")
	if err := e.Single().Set(t.Context(), k, "text", 0).Err(); err != nil {
		t.Fatal(err)
	}
	_, err := count(e, k, "op")
	if diff := cmp.Diff(broken, verdictOn(t, err)); diff != "" {
		t.Errorf("wrong type (-want +got):\n%s", diff)
	}
	c := redistest.Cluster(t, 3, 0)
	ce := open(t, engine.Options{URL: clusterURL(c)})
	_, err = ce.Do(t.Context(), countScript, []string{"sl:{a}", "sl:{b}"}, "op", "")
	if diff := cmp.Diff(broken, verdictOn(t, err)); diff != "" {
		t.Errorf("two slots (-want +got):\n%s", diff)
	}
}

// A server that is busy for longer than a call may take answers the same call in the end, or the caller is told that
// nobody knows.
func TestRealSlowServer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	e := open(t, engine.Options{URL: s.URL()})
	k := key("k")
	mustCount(t, e, k, "warm")
	s.Pause()
	goesOn := make(chan struct{})
	go func() {
		defer close(goesOn)
		until(t, "the call times out", func() bool { return e.Outcomes()["unknown"] > 0 })
		s.Cont()
	}()
	if n := mustCount(t, e, k, "op"); n != 2 {
		t.Errorf("the operation has number %d, want 2", n)
	}
	<-goesOn
	if n := total(t, e, k); n != 2 {
		t.Errorf("%d operations, want 2: the call that was sent twice counted twice", n)
	}
}

func TestACrashIsUnknownUntilTheServerIsBack(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	e := open(t, engine.Options{URL: s.URL()})
	k := key("k")
	mustCount(t, e, k, "before")
	s.Kill9()
	type result struct {
		n   int64
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := count(e, k, "during")
		done <- result{n, err}
	}()
	s.Restart()
	if r := <-done; r.err != nil || r.n != 2 {
		t.Errorf("a call during the restart: got %+v, want number 2", r)
	}
}
