// Package bench drives any Sluice over HTTP, by REST or as a client of SQS, checks that nothing is lost or doubled, and prints what it cost.
//
// The generator shares the machine with what it measures, so it is as light as it can be: one goroutine and one
// keep-alive connection per worker, requests put together by hand, answers read without encoding/json. Every body
// names its sender and a counter; after each run the queue is drained and every message accounted for.
package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"time"
)

// Environment is what a figure must be read with.
type Environment struct {
	URL        string    `json:"url"`
	Durability string    `json:"durability"` // as the server says in /readyz; "unknown" when it does not
	CPUs       int       `json:"cpus"`
	ServerPID  int       `json:"server_pid,omitempty"`
	RedisPID   int       `json:"redis_pid,omitempty"`
	Redis      string    `json:"redis,omitempty"` // address, without credentials
	Started    time.Time `json:"started"`
	Notes      []string  `json:"notes,omitempty"` // what could not be found, and the flag that helps
}

// Report is all that one call of Run found.
type Report struct {
	Environment Environment `json:"environment"`
	Results     []Result    `json:"results"`           // in the order in which they were run
	Summary     []Result    `json:"summary,omitempty"` // medians per plan line, when there was more than one round
	Budgets     []Verdict   `json:"budgets,omitempty"`
	OK          bool        `json:"ok"`
}

// Result is one run of one mode.
type Result struct {
	Spec
	Round   int                `json:"round"`            // from 1; 0 in a summary
	Figures map[Figure]float64 `json:"figures"`          // a figure that is not there is not known
	Spread  float64            `json:"spread,omitempty"` // summary only: half of (max-min)/median of the rate
	Check   Check              `json:"check"`
	Errors  map[string]int     `json:"errors,omitempty"`  // answers and failures that should not have been
	Notes   []string           `json:"notes,omitempty"`   // what else to know, in sentences
	Skipped string             `json:"skipped,omitempty"` // why there are no figures
}

// OK reports whether every message is accounted for and every answer was as it should be.
func (r Result) OK() bool {
	return r.Check.Lost == 0 && r.Check.Duplicated == 0 && r.Check.Unexpected == 0 && len(r.Errors) == 0
}

// Spec is one line of the plan: a mode with its numbers.
type Spec struct {
	Mode        string `json:"mode"`
	Protocol    string `json:"protocol"` // of Protocols
	Connections int    `json:"connections"`
	Batch       int    `json:"batch"`
	Size        int    `json:"size"`
	Messages    int    `json:"backlog,omitempty"` // stored before the measured part, or kept waiting
}

// Figure names a measured number; the unit is in the name.
type Figure string

// The figures. CPU is user plus system time, for 1,000 messages.
const (
	Rate          Figure = "messages_per_second"
	P50           Figure = "p50_ms"
	P99           Figure = "p99_ms"
	P999          Figure = "p999_ms"
	Max           Figure = "max_ms"
	CPUServer     Figure = "server_cpu_ms_per_1000"
	CPURedis      Figure = "redis_cpu_ms_per_1000"
	CPUTotal      Figure = "cpu_ms_per_1000"
	CPUClient     Figure = "client_cpu_ms_per_1000"
	AOFBytes      Figure = "aof_bytes_per_message"
	StoredBytes   Figure = "redis_bytes_per_message"
	SurvivorRatio Figure = "survivor_memory_ratio"
	BacklogRatio  Figure = "backlog_p99_ratio"
	ScaleRatio    Figure = "scale_rate_ratio"
	DoorRatio     Figure = "cpu_ratio_to_rest" // by AWS only: CPUTotal against that of the same work by REST in the same round
	QuietRatio    Figure = "quiet_p99_ratio"
	RedisCommands Figure = "redis_commands_per_second"
	WaiterBytes   Figure = "server_bytes_per_waiter"
	Goodput       Figure = "overload_goodput_ratio"
	RefusalP99    Figure = "overload_refusal_p99_ms"
	Recovery      Figure = "overload_recovery_s"
)

// Mode is a kind of work.
type Mode struct {
	Name  string
	About string

	aws      bool // can be done by AWS as well
	batched  bool // takes the batch from the plan; otherwise messages go one at a time
	batch    int  // messages in a batch, whatever the plan says; 0: as above
	fixed    int  // connections that the mode always uses; 0: as planned
	extra    int  // connections beside those that the plan names
	messages int  // default backlog; 0: none
	most     int  // largest backlog; 0: any
	run      func(*rig, context.Context) error
}

// Modes returns the kinds of work in the order in which they run. Waiting comes first: memory that busier modes leave
// unused in the server would hide what a waiter takes.
func Modes() []Mode {
	return []Mode{
		{Name: "waiting", About: "many waiting receives on one empty queue: Redis commands/s, server memory each", fixed: 5000, extra: 1, messages: 5000, run: (*rig).waiting},
		{Name: "send", About: "one message a request", aws: true, run: (*rig).send},
		{Name: "send-batch", About: "a batch of messages a request", aws: true, batched: true, run: (*rig).send},
		{Name: "lifecycle", About: "send one, receive one, delete it", aws: true, run: (*rig).lifecycle},
		{Name: "lifecycle-batch", About: "send a batch, receive as many, ack them in one request", aws: true, batched: true, run: (*rig).lifecycle},
		{Name: "lifecycle-carried", About: "send a batch, receive as many; the receive carries the acks of the batch before", batched: true, run: (*rig).carried},
		{Name: "latency", About: "200 messages/s to one waiting receive, from before the send to the body's arrival", fixed: 2, run: (*rig).latency},
		{Name: "drain", About: "receive and ack a backlog in batches", aws: true, batched: true, messages: 200_000, run: (*rig).drain},
		{Name: "consume", About: "take a backlog by websockets: ten messages ahead, each acked by itself on the same connection", messages: 200_000, run: (*rig).consume},
		{Name: "memory", About: "bytes in Redis for each stored message", fixed: 16, messages: 200_000, run: (*rig).memory},
		{Name: "survivors", About: "memory left when 99 of 100 messages, chosen at random, are gone", fixed: 16, messages: 1_000_000, run: (*rig).survivors},
		{Name: "fifo", About: "a FIFO queue with as many groups as messages: send and take all, and the rate against 100 groups", batch: fillBatch, messages: mostFIFO, most: mostFIFO, run: (*rig).fifo},
		{Name: "fifo-group", About: "a FIFO queue with one long group: send and take all, and the rate against a short group", batch: fillBatch, fixed: 1, messages: mostFIFO, most: mostFIFO, run: (*rig).fifoGroup},
		{Name: "fair", About: "p99 of twenty quiet groups beside one that sends 100 times as much as each, against p99 without", fixed: fairConsumers, extra: quietSenders + 1, messages: 10_000, run: (*rig).fair},
		{Name: "fan-out", About: "publish to a topic with ten queues, until all have all; a message counts in each", batched: true, run: (*rig).fanOut},
		{Name: "webhooks", About: "a topic with 100 webhooks: from the publish to the arrivals at 500/s, then the rate and the CPU of many", batch: 10, fixed: 1, messages: 20_000, run: (*rig).webhooks},
		{Name: "webhook-latency", About: "200 messages/s to one webhook, from the confirmed publish to the arrival", fixed: 1, run: (*rig).webhookLatency},
		{Name: "noisy-webhooks", About: "p99 of 1,000 webhooks at 500 deliveries/s beside 100 that hang, against p99 without", fixed: noisyTopics, messages: 1000, run: (*rig).noisyWebhooks},
		{Name: "fair-webhooks", About: "p99 of a tenant's webhooks beside another tenant with 100 times the deliveries, against p99 alone", fixed: 1, run: (*rig).fairWebhooks},
		{Name: "overload", About: "five times the batches that it can do: the share of those that it still does, time to refuse others, time to recover", batch: fillBatch, fixed: overloadPool, run: (*rig).overload},
		{Name: "backlog", About: "p99 of a lifecycle with a backlog against p99 without", aws: true, messages: 1_000_000, run: (*rig).backlog},
	}
}

// Run carries out the plan and returns what it found. The error is non-nil when the plan could not be carried out;
// what was found until then is in the report all the same.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	target, err := newTarget(cfg.URL, cfg.Key)
	if err != nil {
		return nil, err
	}
	admin := &admin{conn: newConn(target)}
	defer admin.conn.close()
	defer context.AfterFunc(ctx, admin.conn.abort)()

	durability, err := admin.durability()
	if err != nil {
		return nil, fmt.Errorf("reach %s: %w", target.shown, err)
	}
	probe := newProbe(cfg, target)
	defer probe.close()

	report := &Report{Environment: Environment{
		URL: target.shown, Durability: durability, CPUs: runtime.NumCPU(), Started: time.Now().UTC(),
		ServerPID: probe.serverPID, RedisPID: probe.redisPID, Redis: probe.redis.address(), Notes: probe.notes,
	}}
	if cfg.OnStart != nil {
		cfg.OnStart(report.Environment)
	}
	plan := cfg.plan(durability)
	for round := range cfg.Rounds {
		for _, spec := range plan {
			if err := ctx.Err(); err != nil {
				return report, err
			}
			result, err := runOne(ctx, cfg, target, probe, spec)
			if err != nil {
				return report, fmt.Errorf("%s: %w", spec.Mode, err)
			}
			result.Round = round + 1
			result.compare(report.Results)
			report.Results = append(report.Results, result)
			if cfg.OnResult != nil {
				cfg.OnResult(result)
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return report, err
	}
	judged := report.Results
	if cfg.Rounds > 1 {
		report.Summary = summarize(plan, report.Results)
		judged = report.Summary
	}
	if cfg.Budgets {
		report.Budgets = judge(durability, judged)
	}
	report.OK = !slices.ContainsFunc(report.Results, func(r Result) bool { return !r.OK() })
	return report, nil
}

// compare sets DoorRatio when the same work was done by REST earlier in this round.
func (r *Result) compare(earlier []Result) {
	rest := r.Spec
	rest.Protocol = REST
	for _, e := range earlier {
		if cost := e.Figures[CPUTotal]; r.Protocol != REST && e.Round == r.Round && e.Spec == rest && cost > 0 && r.Figures[CPUTotal] > 0 {
			r.Figures[DoorRatio] = r.Figures[CPUTotal] / cost
		}
	}
}

// summarize returns one result per plan line: the median of each figure, the sum of all that was counted.
func summarize(plan []Spec, results []Result) []Result {
	var summary []Result
	for _, spec := range plan {
		sum := Result{Spec: spec, Figures: map[Figure]float64{}}
		values := map[Figure][]float64{}
		for _, r := range results {
			if r.Spec != spec {
				continue
			}
			for figure, v := range r.Figures {
				values[figure] = append(values[figure], v)
			}
			for kind, n := range r.Errors {
				sum.countError(kind, n)
			}
			sum.Check.add(r.Check)
			sum.Skipped = r.Skipped
		}
		for figure, v := range values {
			sum.Figures[figure] = median(v)
		}
		if rates := values[Rate]; len(rates) > 0 && sum.Figures[Rate] > 0 {
			sum.Spread = (slices.Max(rates) - slices.Min(rates)) / 2 / sum.Figures[Rate]
		}
		summary = append(summary, sum)
	}
	return summary
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	return (values[(n-1)/2] + values[n/2]) / 2
}

// WriteJSON writes the report as one indented JSON object.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
