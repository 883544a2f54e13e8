package queues_test

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/queues/queuetest"
)

const (
	// modelChecks is how many random histories TestModel plays on real Redis, and memoryChecks on the in-memory engine,
	// whose Lua is slow. Each has about modelSteps steps.
	modelChecks  = 300
	memoryChecks = 40
	modelSteps   = 50
)

// TestModel plays random histories on a queue, with two servers, and on a model of it that is too plain to be wrong.
func TestModel(t *testing.T) {
	t.Parallel()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		// On a Redis without a disk: thousands of steps, and no promise about disks.
		server := redistest.Start(t, redistest.Options{NoAOF: true})
		playModel(t, newBench(t, engine.Options{URL: server.URL()}))
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		playModel(t, newBench(t, engine.Options{URL: redistest.Memory(t), Memory: true}))
	})
}

func playModel(t *testing.T, b *bench) {
	servers := []*bench{b, b.another(t)}
	other := b.queue(t, nil)
	b.send(t, other, "m")
	stage := queuetest.Stage{
		Drivers: []queuetest.Driver{servers[0].Store, servers[1].Store}, Tenant: b.tenant, Clock: b.clock, Engine: b.engine,
		Foreign: b.receive(t, other, 1)[0].ReceiptHandle,
		Inside: &queuetest.Inside{
			Size: func(m queues.Outgoing) int64 { return int64(len(queues.Stamp(0)) + len(queues.Pack(&m))) },
			Carrying: func(queue string) bool {
				return servers[0].Carrying(b.tenant, queue) || servers[1].Carrying(b.tenant, queue)
			},
			Forget: func(driver int) { servers[driver].ForgetDesks() },
		},
	}
	play(t, b, modelChecks, memoryChecks, []string{"Send", "SendBatch", "Receive", "Settle", "AdvanceToEdge"}, func(rt *rapid.T) (rapid.StateMachine, []string) {
		set := queues.DefaultSettings()
		// Timelines change nothing else, and Check holds them against where the messages are.
		set.TraceRetention = time.Duration(rapid.SampledFrom([]int{0, 60, 14 * 86400}).Draw(rt, "trace retention")) * time.Second
		s := queuetest.New(stage, set)
		s.Queue = b.queue(t, func(was *queues.Settings) { *was = set })
		return s, []string{s.Queue}
	})
}

// play plays random histories on the machines that begin makes, at most so many on real Redis and in memory, unless the
// command line says it; see queuetest.Play. The queues of a history are deleted after it.
func play(t *testing.T, b *bench, most, memoryMost int, often []string, begin func(*rapid.T) (rapid.StateMachine, []string)) {
	if b.engine.Memory() {
		most = memoryMost
	}
	if checksGiven {
		most = 0
	}
	var list []string
	queuetest.Play(t, b.clock, most, often, func(rt *rapid.T) (s rapid.StateMachine) {
		s, list = begin(rt)
		return s
	}, func(rt *rapid.T) {
		for _, name := range list {
			if err := b.Delete(context.Background(), b.tenant, name, queues.Condition{}); err != nil {
				rt.Fatalf("delete the queue: %v", err)
			}
		}
	})
}

// checksGiven says that the command line asks for a number of checks.
var checksGiven bool

// setModelChecks sets how many histories TestModel plays, unless the command line says it.
func setModelChecks() { checksGiven = queuetest.Flags(modelChecks, modelSteps) }
