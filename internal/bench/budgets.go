package bench

import (
	"cmp"
	"fmt"
	"slices"
)

// budget is one promise about cost. Figures hold for two cores shared with the generator.
type budget struct {
	work  string // for the reader; with its unit
	level levels // of durability at which it is judged

	// Which run gives the figure; 0 matches any. An empty mode means that this program does not measure it.
	mode        string
	protocol    string // empty: REST
	connections int
	batch       int
	size        int
	messages    int // smallest backlog at which it is judged

	figure  Figure
	limit   float64
	atLeast bool // the figure must not be below the limit, instead of not above
}

// levels says at which durability a figure can be held against a budget.
type levels int

const (
	anyLevel levels = iota // durability changes nothing
	synced                 // each write is on disk before it is acknowledged: the default
	everySecond
)

func (l levels) holds(durability string) bool {
	switch l {
	case synced:
		return durability == "fsync" || durability == "replicated+fsync"
	case everySecond:
		return durability == "everysec"
	}
	return true
}

func (l levels) String() string {
	switch l {
	case synced:
		return "fsync"
	case everySecond:
		return "everysec"
	}
	return "any"
}

// logarithmic is by how much the rate may fall from 100 to 100,000 when a message costs O(log n): log 100 / log 100,000.
const logarithmic = 0.4

// budgets is the first stage: what the service must cost at most from its first release on.
var budgets = []budget{
	{work: "lifecycle, batch 10, 16 connections: CPU ms/1,000", level: synced, mode: "lifecycle-batch", connections: 16, batch: 10, size: 256, figure: CPUTotal, limit: 36},
	{work: "lifecycle, batch 10, 64 connections: CPU ms/1,000", level: synced, mode: "lifecycle-batch", connections: 64, batch: 10, size: 256, figure: CPUTotal, limit: 24},
	{work: "lifecycle, batch 10, 16 connections, everysec: CPU ms/1,000", level: everySecond, mode: "lifecycle-batch", connections: 16, batch: 10, size: 256, figure: CPUTotal, limit: 26},
	{work: "lifecycle, batch 10, 64 connections, everysec: CPU ms/1,000", level: everySecond, mode: "lifecycle-batch", connections: 64, batch: 10, size: 256, figure: CPUTotal, limit: 19},
	{work: "lifecycle, batch 10, 16 connections, 4 KiB, everysec: CPU ms/1,000", level: everySecond, mode: "lifecycle-batch", connections: 16, batch: 10, size: 4096, figure: CPUTotal, limit: 60},
	{work: "lifecycle, single, 16 connections: CPU ms/1,000", level: synced, mode: "lifecycle", connections: 16, batch: 1, size: 256, figure: CPUTotal, limit: 240},
	{work: "lifecycle, single, 64 connections: CPU ms/1,000", level: synced, mode: "lifecycle", connections: 64, batch: 1, size: 256, figure: CPUTotal, limit: 140},
	{work: "send, batch 10, 64 connections: CPU ms/1,000", level: synced, mode: "send-batch", connections: 64, batch: 10, size: 256, figure: CPUTotal, limit: 11},
	{work: "send, single, 64 connections: CPU ms/1,000", level: synced, mode: "send", connections: 64, batch: 1, size: 256, figure: CPUTotal, limit: 42},
	{work: "end to end at 200/s, p50 ms", level: synced, mode: "latency", size: 256, figure: P50, limit: 1},
	{work: "end to end at 200/s, p99 ms", level: synced, mode: "latency", size: 256, figure: P99, limit: 4},
	{work: "drain of a backlog, batch 10: messages/s", level: synced, mode: "drain", connections: 16, batch: 10, size: 256, messages: 200_000, figure: Rate, limit: 60_000, atLeast: true},
	{work: "consume by websocket, single acks, 16 connections: CPU ms/1,000", level: synced, mode: "consume", connections: 16, batch: 1, size: 256, messages: 200_000, figure: CPUTotal, limit: 50},
	{work: "lifecycle p99 at a backlog of 1,000,000 against empty", level: synced, mode: "backlog", connections: 16, size: 256, messages: 1_000_000, figure: BacklogRatio, limit: 1.5},
	{work: "FIFO, 100,000 groups: rate against 100 groups", level: anyLevel, mode: "fifo", connections: 16, size: 256, messages: mostFIFO, figure: ScaleRatio, limit: logarithmic, atLeast: true},
	{work: "FIFO, a group of 100,000: rate against a group of 100", level: anyLevel, mode: "fifo-group", size: 256, messages: mostFIFO, figure: ScaleRatio, limit: logarithmic, atLeast: true},
	{work: "dwell p99 of quiet groups beside a noisy one against without", level: anyLevel, mode: "fair", size: 256, messages: 10_000, figure: QuietRatio, limit: 1.5},
	{work: "five times what it can do: share of that which it still does", level: anyLevel, mode: "overload", batch: fillBatch, size: 256, figure: Goodput, limit: 0.8, atLeast: true},
	{work: "five times what it can do: p99 of a refusal, ms", level: anyLevel, mode: "overload", batch: fillBatch, size: 256, figure: RefusalP99, limit: 50},
	{work: "after five times what it can do: s until it is as fast as before", level: anyLevel, mode: "overload", batch: fillBatch, size: 256, figure: Recovery, limit: 5},
	{work: "Redis memory for a stored message, bytes", level: anyLevel, mode: "memory", size: 256, figure: StoredBytes, limit: 460},
	{work: "memory of 1% survivors against sent afresh", level: anyLevel, mode: "survivors", size: 256, messages: 1_000_000, figure: SurvivorRatio, limit: 1.5},
	{work: "AOF bytes for a lifecycle", level: anyLevel, mode: "lifecycle-batch", connections: 16, batch: 10, size: 256, figure: AOFBytes, limit: 520},
	{work: "5,000 waiting receives: Redis commands/s", level: anyLevel, mode: "waiting", messages: 5000, figure: RedisCommands, limit: 1},
	{work: "5,000 waiting receives: server bytes each", level: anyLevel, mode: "waiting", messages: 5000, figure: WaiterBytes, limit: 20 << 10},
	{work: "Redis CPU against the same scripts called bare", figure: "ratio", limit: 1.5},
	{work: "idle: 10,000 queues, 10,000 subscriptions: Redis commands/s", figure: "commands_per_second", limit: 50},
	{work: "AWS door against REST, lifecycle, batch 10, 16 connections: CPU", level: synced, mode: "lifecycle-batch", protocol: AWS, connections: 16, batch: 10, size: 256, figure: DoorRatio, limit: 1.3},
	{work: "AWS door against REST, lifecycle, single, 16 connections: CPU", level: synced, mode: "lifecycle", protocol: AWS, connections: 16, batch: 1, size: 256, figure: DoorRatio, limit: 1.3},
	{work: "publish to 10 queues, a delivered message: CPU ms/1,000", level: synced, mode: "fan-out", connections: 16, batch: 10, size: 256, figure: CPUTotal, limit: 20},
	{work: "webhook deliveries: CPU ms/1,000", level: synced, mode: "webhooks", size: 256, figure: CPUTotal, limit: 250},
	{work: "webhook, from the confirmed publish to the arrival at 200/s: p50 ms", level: synced, mode: "webhook-latency", size: 256, figure: P50, limit: 5},
	{work: "dwell p99 of webhooks beside one in eleven that hangs against without", level: anyLevel, mode: "noisy-webhooks", size: 256, messages: 1000, figure: QuietRatio, limit: 1.2},
	{work: "dwell p99 of webhooks beside a tenant with 100 times as many against alone", level: anyLevel, mode: "fair-webhooks", size: 256, figure: QuietRatio, limit: 2},
}

// budgetSpecs lists the runs of a mode that the budgets ask for at that durability.
func budgetSpecs(mode, durability string) []Spec {
	var specs []Spec
	for _, b := range budgets {
		if b.mode != mode || !b.level.holds(durability) {
			continue
		}
		spec := Spec{Protocol: b.speaks(), Connections: max(b.connections, 1), Batch: max(b.batch, 1), Size: b.size}
		if spec.Size == 0 {
			spec.Size = 256
		}
		if !slices.Contains(specs, spec) {
			specs = append(specs, spec)
		}
	}
	return specs
}

// speaks returns the protocol of the work.
func (b budget) speaks() string { return cmp.Or(b.protocol, REST) }

// Verdict is a budget beside what was measured.
type Verdict struct {
	Work    string  `json:"work"`
	Figure  Figure  `json:"figure"`
	Limit   float64 `json:"limit"`
	AtLeast bool    `json:"at_least,omitempty"` // the limit is a floor
	Value   float64 `json:"value"`
	Ratio   float64 `json:"ratio"` // value by limit: met when at most 1, with AtLeast at least 1
	Met     bool    `json:"met"`
	Open    string  `json:"open,omitempty"` // why there is no verdict, and perhaps no value
}

// judge holds the results against every budget.
func judge(durability string, results []Result) []Verdict {
	var verdicts []Verdict
	for _, b := range budgets {
		verdicts = append(verdicts, b.judge(durability, results))
	}
	return verdicts
}

func (b budget) judge(durability string, results []Result) Verdict {
	v := Verdict{Work: b.work, Figure: b.figure, Limit: b.limit, AtLeast: b.atLeast}
	if b.mode == "" {
		v.Open = "not measured by this program"
		return v
	}
	if !b.level.holds(durability) {
		v.Open = fmt.Sprintf("for durability %s, this is %s", b.level, durability)
		return v
	}
	at := slices.IndexFunc(results, b.matches)
	if at < 0 {
		v.Open = "not run"
		return v
	}
	value, known := results[at].Figures[b.figure]
	switch {
	case results[at].Skipped != "":
		v.Open = results[at].Skipped
	case !known:
		v.Open = "not known"
	case results[at].Messages < b.messages:
		v.Open = fmt.Sprintf("measured with %s instead of %s", thousands(float64(results[at].Messages)), thousands(float64(b.messages)))
	}
	if !known {
		return v
	}
	v.Value, v.Ratio = value, value/b.limit
	if v.Met = v.Ratio <= 1; b.atLeast {
		v.Met = v.Ratio >= 1
	}
	v.Met = v.Met && v.Open == ""
	return v
}

func (b budget) matches(r Result) bool {
	return r.Mode == b.mode && r.Protocol == b.speaks() &&
		(b.connections == 0 || r.Connections == b.connections) &&
		(b.batch == 0 || r.Batch == b.batch) &&
		(b.size == 0 || r.Size == b.size)
}
