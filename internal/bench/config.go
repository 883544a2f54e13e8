package bench

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds of what may be asked for. The books take about 9 bytes a message, so the longest run stays below 1 GiB.
const (
	maxConnections = 4096
	maxWaiters     = 50_000
	maxBatch       = 1000 // the server takes no larger batch
	maxReceive     = 100  // nor hands out more in one receive
	maxSize        = 1 << 20
	maxBatchBytes  = 12 << 20 // below the server's 16 MiB, with room for the JSON around the bodies
	maxDuration    = 5 * time.Minute
	maxRounds      = 100
	maxMessages    = 10_000_000
	maxShards      = 64
	maxAWSBatch    = 10 // of SQS: the same for a receive
)

// Bounds of what a run waits for.
const (
	modeLimit     = 5 * time.Minute  // a whole run, draining included, above its own duration
	drainLimit    = 90 * time.Second // longer than leaseSeconds, so that a lost answer's messages come back
	cleanupLimit  = 10 * time.Second // deleting the queue, also after an interrupt
	leaseSeconds  = 60               // long enough that no lease ends in a run: a second delivery is then a fault
	holdSeconds   = 900              // the lease of messages that a run keeps in hand, longer than modeLimit
	shortPoll     = 1                // seconds a lifecycle's receive may wait; messages are there, so it does not
	longPoll      = 20               // seconds of a waiting receive
	maxExamples   = 5                // messages named in a failed check
	maxErrorKinds = 20               // different errors counted apart
	maxFailures   = 50               // failures in a row after which a worker gives up
	failurePause  = 5 * time.Millisecond
	grace         = 3 * time.Second      // for messages to reach a receive that waits for them
	dryLimit      = 2 * time.Second      // with nothing found for so long, the rest of a backlog is missing
	dryPause      = 2 * time.Millisecond // before it looks again
)

// The protocols, in the order in which they take turns.
const (
	REST = "rest"
	AWS  = "aws"
)

// Protocols returns the names of all protocols.
func Protocols() []string { return []string{REST, AWS} }

// Config says what to drive and how.
type Config struct {
	URL         string        // the server, http or https; required
	Key         string        // API key of the tenant that does the work; required
	OtherKey    string        // of another tenant, for the mode that compares two; empty: it is left out
	Modes       []string      // names of Modes; empty: all
	Protocols   []string      // each mode runs once with each that it knows; empty: REST
	Connections []int         // each mode runs once with each; empty: 16
	Batch       int           // messages in one batch; 0: 10
	Size        int           // bytes of a body; 0: 256
	Duration    time.Duration // measured part of a timed mode; 0: 3 s
	WarmUp      time.Duration // before it; 0: a sixth of Duration, at most 500 ms
	Rounds      int           // the whole plan is run this often, modes taking turns; 0: 1
	Messages    int           // backlog of the modes that have one; 0: each mode's own
	Waiters     int           // waiting receives of the mode waiting; 0: 5,000
	Shards      int           // of the queue, unless it is a FIFO queue; 0: 1
	RedisURL    string        // to ask for memory, AOF size and command counts; empty: look for the server's child
	ServerPID   int           // whose CPU to count; 0: whoever listens on URL, when that is this machine
	RedisPID    int           // the same for Redis; 0: the one behind RedisURL, when that is this machine
	Budgets     bool          // run what the budgets ask for, instead of Protocols, Connections, Batch, Size, and judge it

	OnStart  func(Environment) // called once, before the first run; may be nil
	OnResult func(Result)      // called after each run; may be nil

	// For tests, which have no time; 0 takes the constant of the same name.
	drainLimit  time.Duration
	settlePause time.Duration
	grace       time.Duration
	dryLimit    time.Duration
}

// complete fills in the defaults and names the first field that cannot be.
func (c *Config) complete() error {
	if len(c.Connections) == 0 {
		c.Connections = []int{16}
	}
	if len(c.Protocols) == 0 {
		c.Protocols = []string{REST}
	}
	c.Batch = cmp.Or(c.Batch, 10)
	c.Size = cmp.Or(c.Size, 256)
	c.Duration = cmp.Or(c.Duration, 3*time.Second)
	c.WarmUp = cmp.Or(c.WarmUp, min(c.Duration/6, 500*time.Millisecond))
	c.Rounds = cmp.Or(c.Rounds, 1)
	c.Waiters = cmp.Or(c.Waiters, 5000)
	c.Shards = cmp.Or(c.Shards, 1)
	c.drainLimit = cmp.Or(c.drainLimit, drainLimit)
	c.settlePause = cmp.Or(c.settlePause, settlePause)
	c.grace = cmp.Or(c.grace, grace)
	c.dryLimit = cmp.Or(c.dryLimit, dryLimit)
	for _, name := range c.Modes {
		if !slices.ContainsFunc(Modes(), func(m Mode) bool { return m.Name == name }) {
			return fmt.Errorf("mode: there is no %q; there are %s", name, strings.Join(modeNames(), ", "))
		}
	}
	for _, name := range c.Protocols {
		if !slices.Contains(Protocols(), name) {
			return fmt.Errorf("protocol: there is no %q; there are %s", name, strings.Join(Protocols(), ", "))
		}
	}
	for _, mode := range Modes() {
		if slices.Contains(c.Modes, mode.Name) && !c.Budgets && !slices.ContainsFunc(c.Protocols, mode.speaks) {
			return fmt.Errorf("mode: %s is only for the protocol %s", mode.Name, REST)
		}
	}
	for _, n := range c.Connections {
		if n < 1 || n > maxConnections {
			return fmt.Errorf("connections: must be 1-%d, got %d", maxConnections, n)
		}
	}
	switch {
	case c.URL == "":
		return errors.New("url: must be given")
	case c.Key == "":
		return errors.New("key: must be given")
	case c.Batch < 1 || c.Batch > maxBatch:
		return fmt.Errorf("batch: must be 1-%d, got %d", maxBatch, c.Batch)
	case c.Batch > maxAWSBatch && !c.Budgets && slices.Contains(c.Protocols, AWS):
		return fmt.Errorf("batch: must be 1-%d for the protocol %s, got %d", maxAWSBatch, AWS, c.Batch)
	case c.Size < 1 || c.Size > maxSize:
		return fmt.Errorf("size: must be 1-%d bytes, got %d", maxSize, c.Size)
	case c.Batch*c.Size > maxBatchBytes:
		return fmt.Errorf("batch, size: a batch must stay below %d bytes, got %d", maxBatchBytes, c.Batch*c.Size)
	case c.Duration < 0 || c.Duration > maxDuration:
		return fmt.Errorf("duration: must be at most %s, got %s", maxDuration, c.Duration)
	case c.WarmUp < 0 || c.WarmUp > maxDuration:
		return fmt.Errorf("warm-up: must be at most %s, got %s", maxDuration, c.WarmUp)
	case c.Rounds < 1 || c.Rounds > maxRounds:
		return fmt.Errorf("rounds: must be 1-%d, got %d", maxRounds, c.Rounds)
	case c.Messages < 0 || c.Messages > maxMessages:
		return fmt.Errorf("messages: must be at most %d, got %d", maxMessages, c.Messages)
	case c.Shards < 1 || c.Shards > maxShards:
		return fmt.Errorf("shards: must be 1-%d, got %d", maxShards, c.Shards)
	case c.Waiters < 1 || c.Waiters > maxWaiters:
		return fmt.Errorf("waiters: must be 1-%d, got %d", maxWaiters, c.Waiters)
	}
	return nil
}

// plan lists the runs of one round, in the order of Modes.
func (c *Config) plan(durability string) []Spec {
	var plan []Spec
	for _, mode := range Modes() {
		if len(c.Modes) > 0 && !slices.Contains(c.Modes, mode.Name) {
			continue
		}
		if c.Budgets {
			for _, spec := range budgetSpecs(mode.Name, durability) {
				plan = append(plan, c.spec(mode, spec.Protocol, spec.Connections, spec.Batch, spec.Size))
			}
			continue
		}
		for _, connections := range c.Connections {
			for _, protocol := range Protocols() {
				spec := c.spec(mode, protocol, connections, c.Batch, c.Size)
				// A mode with a fixed number of connections runs once.
				if slices.Contains(c.Protocols, protocol) && mode.speaks(protocol) && !slices.Contains(plan, spec) {
					plan = append(plan, spec)
				}
			}
		}
	}
	return plan
}

func (c *Config) spec(mode Mode, protocol string, connections, batch, size int) Spec {
	spec := Spec{Mode: mode.Name, Protocol: protocol, Connections: connections, Batch: 1, Size: size, Messages: mode.messages}
	if mode.batched {
		spec.Batch = batch
	}
	if mode.batch > 0 {
		spec.Batch = mode.batch
	}
	if mode.fixed > 0 {
		spec.Connections = mode.fixed
	}
	if mode.Name == "waiting" {
		spec.Connections, spec.Messages = c.Waiters, c.Waiters
	} else if mode.messages > 0 && c.Messages > 0 {
		spec.Messages = c.Messages
	}
	if mode.most > 0 {
		spec.Messages = min(spec.Messages, mode.most)
	}
	return spec
}

// speaks reports whether the work can be done by a protocol.
func (m Mode) speaks(protocol string) bool { return protocol == REST || m.aws }

func modeNames() []string {
	var names []string
	for _, mode := range Modes() {
		names = append(names, mode.Name)
	}
	return names
}
