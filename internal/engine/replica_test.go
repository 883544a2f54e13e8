package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/faultnet"
	"github.com/sluicemq/sluice/internal/redistest"
)

// pair returns a master and its replica, in step.
func pair(t *testing.T, opts redistest.Options) (master, replica *redistest.Server) {
	t.Helper()
	opts.Port = true
	opts.Extra = append(opts.Extra, "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
	master = redistest.Start(t, opts)
	_, port, _ := strings.Cut(master.Addr(), ":")
	opts.Extra = append(slices.Clone(opts.Extra), "--replicaof", "127.0.0.1 "+port)
	replica = redistest.Start(t, opts)
	linked(t, replica)
	return master, replica
}

func linked(t *testing.T, replica *redistest.Server) {
	t.Helper()
	c := replica.Client(t)
	until(t, "the replica is in step", func() bool {
		return strings.Contains(c.Info(context.Background(), "replication").Val(), "master_link_status:up")
	})
}

func TestAWriteIsDoneWhenAReplicaHasIt(t *testing.T) {
	t.Parallel()
	const budget = 500 * time.Millisecond
	master, replica := pair(t, redistest.Options{})
	e := open(t, engine.Options{URL: master.URL(), Replicas: 1, Budget: budget})
	k := key("k")
	mustCount(t, e, k, "before")
	there := func() string { return replica.Client(t).HGet(context.Background(), k, "count").Val() }
	if there() != "1" {
		t.Errorf("the replica has %q, want 1: it was not waited for", there())
	}

	replica.Pause()
	began := time.Now()
	_, err := count(e, k, "during")
	if !errors.Is(err, engine.ErrUnknown) {
		t.Errorf("while the replica sleeps: got %v, want %v", err, engine.ErrUnknown)
	}
	if took := time.Since(began); took > budget+engine.AttemptTimeout+engine.AttemptTimeout/2 {
		t.Errorf("it took %v", took)
	}
	if n := total(t, e, k); n != 2 { // a read waits for nobody
		t.Errorf("the master has %d operations, want 2", n)
	}

	// Its caller sends it again, the replica wakes up meanwhile, and then it is done.
	done := make(chan error, 1)
	go func() {
		n, err := count(e, k, "during")
		if err == nil && n != 2 {
			err = fmt.Errorf("the operation has number %d, want 2", n)
		}
		done <- err
	}()
	time.Sleep(20 * time.Millisecond)
	replica.Cont()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if there() != "2" {
		t.Errorf("the replica has %q, want 2", there())
	}

	e.SetReplicas(0)
	replica.Pause()
	mustCount(t, e, k, "alone")
	replica.Cont()
}

// A repeated call finds its work done and writes nothing. That must not make a WAIT speak of nothing: on a server on
// which WAIT asks about the writes of its own connection only, a replica that has nothing would seem to have it all.
func TestARepeatedCallProvesItsOldWrite(t *testing.T) {
	t.Parallel()
	var applied bool
	f := newFake(t, func(_ int, c *fakeConn, _ []string) string {
		c.wrote = c.wrote || !applied
		applied = true
		return fakeOK
	})
	fails := 0
	f.other = func(c *fakeConn, args []string) string {
		switch strings.ToLower(args[0]) {
		case "eval": // a write of another kind
			c.wrote = true
			return "$-1\r\n"
		case "wait":
			if !c.wrote {
				return ":1\r\n" // it has nothing to ask about
			}
			if fails++; fails == 1 {
				return hangUp
			}
			return ":0\r\n"
		}
		return ""
	}
	e := open(t, engine.Options{URL: f.url(), Replicas: 1, Budget: 300 * time.Millisecond})
	_, err := e.Do(t.Context(), countScript, []string{key("k")}, "op", "")
	if !errors.Is(err, engine.ErrUnknown) {
		t.Errorf("no replica has the write: got %v, want %v; commands %v", err, engine.ErrUnknown, f.commands()[:min(20, len(f.commands()))])
	}
}

// A lost answer to a write that is on its way to a paused replica, on real Redis.
func TestALostReplyDoesNotReplaceAReplica(t *testing.T) {
	t.Parallel()
	master, replica := pair(t, redistest.Options{})
	p := faultnet.New(t, master.Network(), master.Addr())
	e := open(t, engine.Options{URL: master.URL(), Dialer: p.Dialer(), Replicas: 1, Budget: time.Second})
	k := key("k")
	mustCount(t, e, k, "before")
	replica.Pause()
	p.CutReplyAfter(0)
	if _, err := count(e, k, "op"); !errors.Is(err, engine.ErrUnknown) {
		t.Errorf("got %v, want %v", err, engine.ErrUnknown)
	}
	replica.Cont()
	if n := mustCount(t, e, k, "op"); n != 2 {
		t.Errorf("the operation has number %d, want 2", n)
	}
	if keys := master.Client(t).Keys(t.Context(), "*").Val(); len(keys) != 1 {
		t.Errorf("keys %q, want the one of the test", keys)
	}
}

// What is asked for from now on holds for calls that join a stream of others.
func TestSetReplicasHoldsInTheMidstOfLoad(t *testing.T) {
	t.Parallel()
	master, replica := pair(t, redistest.Options{Fsync: "no"})
	e := open(t, engine.Options{URL: master.URL(), Budget: 100 * time.Millisecond})
	k := key("k")
	var stop atomic.Bool
	var load sync.WaitGroup
	for i := range 50 {
		load.Go(func() {
			for j := 0; !stop.Load(); j++ {
				_, _ = count(e, k, fmt.Sprint("load", i, ".", j))
			}
		})
	}
	until(t, "the load runs", func() bool { return e.Outcomes()["done"] > 2000 })
	replica.Pause()
	e.SetReplicas(1)
	var wrong atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			if _, err := count(e, k, fmt.Sprint("op", i)); err == nil {
				wrong.Add(1)
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	load.Wait()
	replica.Cont()
	if wrong.Load() > 0 {
		t.Errorf("%d of 200 calls were done although the replica slept", wrong.Load())
	}
}

// One WAIT serves all calls of a round trip, on their connection.
func TestOneWaitServesAllCallsOfARoundTrip(t *testing.T) {
	t.Parallel()
	var waits, mixed atomic.Int64
	f := newFake(t, func(_ int, c *fakeConn, _ []string) string {
		c.wrote = true
		time.Sleep(100 * time.Microsecond)
		return fakeOK
	})
	f.other = func(c *fakeConn, args []string) string {
		if strings.EqualFold(args[0], "wait") {
			waits.Add(1)
			if !c.wrote {
				mixed.Add(1)
			}
			if n, _ := strconv.Atoi(args[1]); n != 2 {
				return "-ERR asked for " + args[1] + "\r\n"
			}
			return ":2\r\n"
		}
		return ""
	}
	e := open(t, engine.Options{URL: f.url(), Replicas: 2})
	const calls = 500
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() {
			if _, err := e.Do(context.Background(), countScript, []string{key("k")}, "op", ""); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	t.Logf("%d calls, %d waits", calls, waits.Load())
	if waits.Load() > calls/4 || mixed.Load() > 0 {
		t.Errorf("%d waits for %d calls, %d of them on a connection that had written nothing", waits.Load(), calls, mixed.Load())
	}
}
