package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// quick is a Config that makes each mode short. It has patience for what is late, which takes no time where nothing is missing.
func quick(fake *fakeSluice, modes ...string) Config {
	return Config{
		URL: fake.url, Key: fakeKey, Modes: modes, Connections: []int{3}, Batch: 4, Size: 64,
		ServerPID: os.Getpid(), // looking for it costs more than the run
		Duration:  40 * time.Millisecond, WarmUp: 10 * time.Millisecond, Messages: 500, Waiters: 20,
		drainLimit: 10 * time.Second, settlePause: time.Millisecond, grace: 10 * time.Second, dryLimit: 10 * time.Second,
	}
}

// hasty gives up soon, for runs in which something stays missing or undone.
func (c Config) hasty() Config {
	c.drainLimit, c.grace, c.dryLimit = 100*time.Millisecond, 300*time.Millisecond, 200*time.Millisecond
	return c
}

func mustRun(t *testing.T, cfg Config) *Report {
	t.Helper()
	report, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	return report
}

func TestEveryModeAccountsForEveryMessage(t *testing.T) {
	t.Parallel()
	for _, mode := range Modes() {
		t.Run(mode.Name, func(t *testing.T) {
			t.Parallel()
			fake := startFake(t, faults{})
			cfg := quick(fake, mode.Name)
			cfg.RedisURL, cfg.OtherKey = startFakeRedis(t, fake), otherFakeKey
			report := mustRun(t, cfg)
			if len(report.Results) != 1 {
				t.Fatalf("got %d results, want 1", len(report.Results))
			}
			r := report.Results[0]
			if !report.OK || !r.OK() || r.Skipped != "" {
				t.Errorf("a correct server was found wanting: %+v", r)
			}
			c := r.Check
			if c.Attempted == 0 || c.Acknowledged != c.Attempted || c.Delivered != c.Attempted {
				t.Errorf("attempted, acknowledged, delivered: got %d, %d, %d, want the same number, not 0", c.Attempted, c.Acknowledged, c.Delivered)
			}
			if stored, _, queues := fake.seen(); c.Attempted != stored || queues != 0 {
				t.Errorf("attempted: got %d, the server saw %d; it has %d queues left, want 0", c.Attempted, stored, queues)
			}
			for figure, v := range r.Figures {
				if v < 0 || v != v {
					t.Errorf("%s: got %v", figure, v)
				}
			}
		})
	}
}

func TestEveryModeOfAWSAccountsForEveryMessage(t *testing.T) {
	t.Parallel()
	for _, mode := range Modes() {
		if !mode.aws {
			continue
		}
		t.Run(mode.Name, func(t *testing.T) {
			t.Parallel()
			fake := startFake(t, faults{})
			cfg := quick(fake, mode.Name)
			cfg.Protocols = []string{AWS}
			r := mustRun(t, cfg).Results[0]
			c := r.Check
			stored, requests, queues := fake.seen()
			if !r.OK() || r.Skipped != "" || r.Protocol != AWS || c.Attempted == 0 || c.Acknowledged != c.Attempted || c.Delivered != c.Attempted || c.Attempted != stored || queues != 0 {
				t.Errorf("%d messages were stored, %d queues are left: got %+v", stored, queues, r)
			}
			for kind := range requests {
				if !slices.Contains([]string{"PUT", "GET", "DELETE", "POST keys", "DELETE keys"}, kind) && !strings.HasPrefix(kind, sqsTarget) {
					t.Errorf("a request by REST: %s", kind)
				}
			}
			if requests["POST keys"] != 1 || requests["DELETE keys"] != 1 {
				t.Errorf("keys: %d made, %d deleted, want one", requests["POST keys"], requests["DELETE keys"])
			}
		})
	}
}

func TestFaultsAreFoundByAWS(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"send", "send-batch", "lifecycle", "lifecycle-batch", "drain"} {
		for name, test := range map[string]struct {
			faults faults
			found  func(Result) bool
		}{
			"lost":    {faults{loseEvery: 20}, func(r Result) bool { return r.Check.Lost > 0 && r.Check.Duplicated == 0 }},
			"doubled": {faults{doubleEvery: 20}, func(r Result) bool { return r.Check.Duplicated > 0 && r.Check.Lost == 0 }},
			"changed": {faults{changeEvery: 20}, func(r Result) bool { return r.Check.Unexpected > 0 && r.Check.Lost > 0 }},
			"refused": {faults{refuseEvery: 20}, func(r Result) bool { return len(r.Errors) > 0 && r.Check.Lost == 0 }},
			"acks":    {faults{refuseAckEvery: 10}, func(r Result) bool { return len(r.Errors) > 0 }},
		} {
			t.Run(mode+"/"+name, func(t *testing.T) {
				t.Parallel()
				cfg := quick(startFake(t, test.faults), mode)
				cfg.Protocols = []string{AWS}
				if name != "doubled" {
					cfg = cfg.hasty()
				}
				if report := mustRun(t, cfg); report.OK || !test.found(report.Results[0]) {
					t.Errorf("the fault was not found: OK %t, %+v", report.OK, report.Results[0])
				}
			})
		}
	}
}

func TestProtocolsTakeTurnsAndAreCompared(t *testing.T) {
	t.Parallel()
	cfg := quick(startFake(t, faults{}), "send", "consume")
	cfg.Protocols, cfg.Rounds = []string{AWS, REST}, 2
	if err := cfg.complete(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, spec := range cfg.plan("fsync") {
		got = append(got, spec.Mode+" "+spec.Protocol)
	}
	if diff := cmp.Diff([]string{"send rest", "send aws", "consume rest"}, got); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	result := func(protocol string, round int, cpu float64) Result {
		return Result{Spec: Spec{Mode: "send", Protocol: protocol, Batch: 1}, Round: round, Figures: map[Figure]float64{CPUTotal: cpu}}
	}
	earlier := []Result{result(REST, 1, 40), result(REST, 2, 20), {Spec: Spec{Mode: "send", Protocol: REST, Batch: 10}, Round: 2, Figures: map[Figure]float64{CPUTotal: 5}}}
	for _, test := range []struct {
		result Result
		want   float64 // 0: not compared
	}{
		{result(AWS, 2, 30), 1.5}, {result(AWS, 1, 30), 0.75}, {result(AWS, 3, 30), 0}, {result(AWS, 2, 0), 0}, {result(REST, 2, 30), 0},
	} {
		if test.result.compare(earlier); test.result.Figures[DoorRatio] != test.want {
			t.Errorf("%+v: got %v, want %v", test.result, test.result.Figures[DoorRatio], test.want)
		}
	}
}

func TestModesMakeTheRequestsTheyAreNamedFor(t *testing.T) {
	t.Parallel()
	const control = "DELETE GET PUT "
	for mode, want := range map[string]string{
		"send":              control + "POST ack POST messages POST receive",
		"send-batch":        control + "POST ack POST messages/batch POST receive",
		"lifecycle":         control + "DELETE receipts POST messages POST receive",
		"lifecycle-batch":   control + "POST ack POST messages/batch POST receive",
		"lifecycle-carried": control + "POST ack POST messages/batch POST receive",
		"latency":           control + "POST ack POST messages POST receive",
		"drain":             control + "POST ack POST messages/batch POST receive",
		"consume":           control + "GET ws POST messages/batch POST receive",
		"waiting":           control + "POST ack POST messages/batch POST receive",
		"fifo":              control + "POST ack POST messages/batch POST receive",
		"fifo-group":        control + "POST ack POST messages/batch POST receive",
		"fair":              control + "POST ack POST messages/batch POST receive",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			fake := startFake(t, faults{})
			report := mustRun(t, quick(fake, mode))
			_, requests, _ := fake.seen()
			got := slices.Sorted(maps.Keys(requests))
			wantKinds := kinds(want)
			// Whoever is left with a message at the end acks it, so a lifecycle may need either kind.
			if !slices.ContainsFunc([][]string{wantKinds, kinds(want + "|POST ack")}, func(w []string) bool { return slices.Equal(got, w) }) {
				t.Errorf("requests: got %q, want %q", got, wantKinds)
			}
			if mode == "lifecycle-carried" {
				sends, acks := requests["POST messages/batch"], requests["POST ack"]
				if acks > 3+3 { // one a connection at the end, and what the check may find
					t.Errorf("%d ack requests for %d batches: the receives do not carry them", acks, sends)
				}
			}
			if !report.OK {
				t.Errorf("not OK: %+v", report.Results)
			}
		})
	}
}

// kinds splits "PUT POST ack" into requests: a word in capitals begins one.
func kinds(text string) []string {
	var list []string
	for _, word := range strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == '|' }) {
		if strings.ToUpper(word) == word || len(list) == 0 {
			list = append(list, word)
		} else {
			list[len(list)-1] += " " + word
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	kinds := []struct {
		name   string
		faults faults
		found  func(Result) bool
	}{
		{"lost", faults{loseEvery: 20}, func(r Result) bool { return r.Check.Lost > 0 && r.Check.Duplicated == 0 }},
		{"doubled", faults{doubleEvery: 20}, func(r Result) bool { return r.Check.Duplicated > 0 && r.Check.Lost == 0 }},
		{"changed", faults{changeEvery: 20}, func(r Result) bool { return r.Check.Unexpected > 0 && r.Check.Lost > 0 }},
		{"refused", faults{refuseEvery: 20}, func(r Result) bool { return len(r.Errors) > 0 && r.Check.Lost == 0 }},
	}
	for _, mode := range []string{"send", "send-batch", "lifecycle", "lifecycle-batch", "lifecycle-carried", "latency", "drain", "memory", "survivors", "fifo", "fifo-group", "fair"} {
		for _, kind := range kinds {
			t.Run(mode+"/"+kind.name, func(t *testing.T) {
				t.Parallel()
				fake := startFake(t, kind.faults)
				cfg := quick(fake, mode)
				cfg.RedisURL = startFakeRedis(t, fake)
				if kind.name != "doubled" {
					cfg = cfg.hasty()
				}
				if mode == "latency" { // 200 a second
					cfg.Duration = 200 * time.Millisecond
				}
				report := mustRun(t, cfg)
				if report.OK || !kind.found(report.Results[0]) {
					t.Errorf("the fault was not found: OK %t, %+v", report.OK, report.Results[0])
				}
			})
		}
	}
}

func TestFaultsOfTopicsAreFound(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"fan-out", "webhooks", "webhook-latency", "noisy-webhooks", "fair-webhooks"} {
		for name, kind := range map[string]struct {
			faults faults
			found  func(Check) bool
		}{
			"lost":    {faults{loseEvery: 40}, func(c Check) bool { return c.Lost > 0 && c.Duplicated == 0 }},
			"doubled": {faults{doubleEvery: 40}, func(c Check) bool { return c.Duplicated > 0 && c.Lost == 0 }},
			"changed": {faults{changeEvery: 40}, func(c Check) bool { return c.Unexpected > 0 && c.Lost > 0 }},
		} {
			t.Run(mode+"/"+name, func(t *testing.T) {
				t.Parallel()
				fake := startFake(t, kind.faults)
				cfg := quick(fake, mode)
				cfg.Messages, cfg.OtherKey = 100, otherFakeKey
				if name != "doubled" {
					cfg = cfg.hasty()
				}
				report := mustRun(t, cfg)
				if report.OK || !kind.found(report.Results[0].Check) {
					t.Errorf("the fault was not found: OK %t, %+v", report.OK, report.Results[0])
				}
			})
		}
	}
}

func TestWebhooksAreLeftOutWhereTheyReachNothing(t *testing.T) {
	t.Parallel()
	fake := startFake(t, faults{refuseEndpoints: true})
	cfg := quick(fake, "webhooks", "webhook-latency", "noisy-webhooks", "fair-webhooks")
	for key, want := range map[string][4]string{"": {noLoopback, noLoopback, noLoopback, "--other-key"}, otherFakeKey: {noLoopback, noLoopback, noLoopback, noLoopback}} {
		cfg.OtherKey = key
		report := mustRun(t, cfg)
		for i, r := range report.Results {
			if !strings.Contains(r.Skipped, want[i]) || len(r.Figures) > 0 {
				t.Errorf("%s: got %+v", r.Mode, r)
			}
		}
		if !report.OK || len(report.Results) != 4 {
			t.Errorf("%d results, OK %v: what is left out is no fault", len(report.Results), report.OK)
		}
	}
}

func TestFailedAcksAreFound(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]string{
		"lifecycle":         "delete: 410 receipt_handle_expired",
		"lifecycle-batch":   "ack: 207",
		"lifecycle-carried": "receive: an ack that it carried failed: 200",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			fake := startFake(t, faults{refuseAckEvery: 10})
			report := mustRun(t, quick(fake, mode).hasty())
			r := report.Results[0]
			if report.OK || r.Errors[want] == 0 {
				t.Errorf("errors: got %v, want some %q", r.Errors, want)
			}
			const stuck = "not empty after 100ms of draining" // the fake's leases do not end
			if r.Errors[stuck] != 1 {
				t.Errorf("errors: got %v, want %q", r.Errors, stuck)
			}
		})
	}
}

func TestRefusalsAreNamedByStatusAndCode(t *testing.T) {
	t.Parallel()
	fake := startFake(t, faults{refuseEvery: 20})
	r := mustRun(t, quick(fake, "send")).Results[0]
	if r.Errors["send: 429 rate_limited"] == 0 || r.Check.Acknowledged >= r.Check.Attempted {
		t.Errorf("got %v and %+v", r.Errors, r.Check)
	}
}

func TestMemoryIsDividedByTheMessagesStored(t *testing.T) {
	t.Parallel()
	fake := startFake(t, faults{})
	cfg := quick(fake, "memory", "survivors")
	cfg.Messages = 1000
	cfg.RedisURL = startFakeRedis(t, fake)
	for _, r := range mustRun(t, cfg).Results {
		switch r.Mode {
		case "memory":
			if got := r.Figures[StoredBytes]; got != fakeMessageBytes {
				t.Errorf("bytes per message: got %v, want %v", got, fakeMessageBytes)
			}
		case "survivors":
			if got := r.Figures[SurvivorRatio]; got != 1 {
				t.Errorf("survivor ratio: got %v, want 1: %v", got, r.Notes)
			}
		}
	}
}

func TestModesWithGroupsCompare(t *testing.T) {
	t.Parallel()
	fake := startFake(t, faults{})
	cfg := quick(fake, "fifo", "fifo-group", "fair")
	cfg.RedisURL = startFakeRedis(t, fake)
	for _, r := range mustRun(t, cfg).Results {
		want := map[string][]Figure{"fifo": {ScaleRatio, StoredBytes, Rate}, "fifo-group": {ScaleRatio, StoredBytes, Rate}, "fair": {QuietRatio, P99, Rate}}
		for _, f := range want[r.Mode] {
			if v := r.Figures[f]; v <= 0 || f == StoredBytes && v != fakeMessageBytes {
				t.Errorf("%s: %s: got %v", r.Mode, f, v)
			}
		}
		if len(r.Notes) == 0 {
			t.Errorf("%s does not say what it is compared to", r.Mode)
		}
	}
	cfg.Messages = mostFIFO + 1
	for _, spec := range cfg.plan("fsync") {
		if want := map[string]int{"fifo": mostFIFO, "fifo-group": mostFIFO, "fair": mostFIFO + 1}[spec.Mode]; spec.Messages != want {
			t.Errorf("%s: got %d messages, want %d", spec.Mode, spec.Messages, want)
		}
	}
}

func TestAGroupOutOfOrderIsFound(t *testing.T) {
	t.Parallel()
	fake := startFake(t, faults{reverse: true})
	if r := mustRun(t, quick(fake, "fifo-group")).Results[0]; r.OK() || r.Errors["receive: out of order"] == 0 {
		t.Errorf("got %v and %+v", r.Errors, r.Check)
	}
}

func TestAnotherServersRedisIsNoticed(t *testing.T) {
	t.Parallel()
	fake, other := startFake(t, faults{}), startFake(t, faults{})
	cfg := quick(fake, "memory", "send")
	cfg.RedisURL = startFakeRedis(t, other)
	report := mustRun(t, cfg)
	for _, r := range report.Results {
		if r.Mode == "memory" && len(r.Errors) != 1 {
			t.Errorf("errors: got %v", r.Errors)
		}
		for _, f := range []Figure{StoredBytes, AOFBytes} {
			if v, known := r.Figures[f]; known {
				t.Errorf("%s: %s: got %v, want none", r.Mode, f, v)
			}
		}
	}
	if report.OK {
		t.Error("OK, although the memory was not measured")
	}
}

func TestWorkersGiveUpOnAServerThatRefusesEverything(t *testing.T) {
	t.Parallel()
	fake := startFake(t, faults{refuseEvery: 1})
	cfg := quick(fake, "send")
	cfg.Connections, cfg.Duration = []int{1}, 5*time.Second // enough for all failures on a busy machine
	r := mustRun(t, cfg).Results[0]
	if r.Errors["a worker gave up after 50 failures in a row"] != 1 || r.Check.Attempted != maxFailures || r.OK() {
		t.Errorf("got %v and %+v", r.Errors, r.Check)
	}
}

func TestModesThatNeedRedisAreLeftOutWithoutIt(t *testing.T) {
	t.Parallel()
	fake := startFake(t, faults{})
	report := mustRun(t, quick(fake, "memory", "survivors"))
	for _, r := range report.Results {
		if !strings.Contains(r.Skipped, "--redis-url") || len(r.Figures) > 0 {
			t.Errorf("%s: got %+v", r.Mode, r)
		}
	}
	if !report.OK {
		t.Error("what is left out is no fault")
	}
}

func TestRoundsTakeTurnsAndEndInMedians(t *testing.T) {
	t.Parallel()
	fake := startFake(t, faults{})
	cfg := quick(fake, "send", "lifecycle")
	cfg.Rounds, cfg.Duration = 3, 20*time.Millisecond
	report := mustRun(t, cfg)
	var order []string
	rates := map[string][]float64{}
	for _, r := range report.Results {
		order = append(order, fmt.Sprint(r.Mode, r.Round))
		rates[r.Mode] = append(rates[r.Mode], r.Figures[Rate])
	}
	if diff := cmp.Diff([]string{"send1", "lifecycle1", "send2", "lifecycle2", "send3", "lifecycle3"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	for _, sum := range report.Summary {
		want := slices.Sorted(slices.Values(rates[sum.Mode]))[1]
		if sum.Figures[Rate] != want {
			t.Errorf("%s: median rate: got %v, want %v", sum.Mode, sum.Figures[Rate], want)
		}
	}
}

func TestInterruptEndsTheRunAndDeletesTheQueue(t *testing.T) {
	t.Parallel()
	fake := startFake(t, faults{})
	cfg := quick(fake, "latency", "send")
	cfg.Duration = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	fake.onFirst = cancel
	start := time.Now()
	report, err := Run(ctx, cfg)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want canceled", err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
	if _, _, queues := fake.seen(); len(report.Results) != 1 || queues != 0 {
		t.Errorf("got %d results and %d queues left, want 1 and 0", len(report.Results), queues)
	}
}

func TestCommandExitStatus(t *testing.T) {
	t.Parallel()
	good := startFake(t, faults{})
	lossy := startFake(t, faults{loseEvery: 20})
	short := []string{"--mode", "send", "--duration", "30ms", "--warm-up", "5ms", "--connections", "2"}
	for _, test := range []struct {
		name string
		args []string
		env  map[string]string
		want int
		out  string // part of standard output
		err  string // part of standard error
	}{
		{"all is well", append(short, "--url", good.url, "--key", fakeKey), nil, 0, "OK: ", ""},
		{"from the environment", short, map[string]string{"SLUICE_URL": good.url, "SLUICE_KEY": fakeKey}, 0, "durability fsync", ""},
		{"lost messages", append(short, "--url", lossy.url, "--key", fakeKey), nil, 1, "NOT OK: ", ""},
		{"wrong key", append(short, "--url", good.url, "--key", "slk_other"), nil, 1, "", "401 unauthenticated"},
		{"nobody there", append(short, "--url", "http://127.0.0.1:1", "--key", fakeKey), nil, 1, "", "reach http://127.0.0.1:1"},
		{"no key", []string{"--url", good.url}, map[string]string{"SLUICE_DATA_DIR": "/nonexistent"}, 2, "", "SLUICE_KEY"},
		{"unknown mode", []string{"--mode", "sned", "--key", fakeKey}, nil, 2, "", `no "sned"; there are waiting, send,`},
		{"spread", append(short, "--url", good.url, "--key", fakeKey, "--shards", "4"), nil, 0, "OK: ", ""},
		{"both protocols", append(short, "--url", good.url, "--key", fakeKey, "--protocol", "rest, aws"), nil, 0, "OK: ", ""},
		{"no such protocol", []string{"--protocol", "amqp", "--key", fakeKey}, nil, 2, "", `protocol: there is no "amqp"; there are rest, aws`},
		{"mode of REST only", []string{"--protocol", "aws", "--mode", "consume", "--key", fakeKey}, nil, 2, "", "mode: consume is only for the protocol rest"},
		{"batch of REST only", []string{"--protocol", "rest,aws", "--batch", "11", "--key", fakeKey}, nil, 2, "", "batch: must be 1-10 for the protocol aws"},
		{"too many shards", []string{"--shards", "65", "--key", fakeKey}, nil, 2, "", "shards: must be 1-64"},
		{"unknown flag", []string{"--speed"}, nil, 2, "", "speed"},
		{"stray argument", []string{"send", "--key", fakeKey}, nil, 2, "", `"send"`},
		{"too large", []string{"--key", fakeKey, "--batch", "1000", "--size", "100000"}, nil, 2, "", "batch"},
		{"help", []string{"--help"}, nil, 0, "lifecycle-carried", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			got := Command(test.args, &stdout, &stderr, func(name string) string { return test.env[name] })
			if got != test.want || !strings.Contains(stdout.String(), test.out) || !strings.Contains(stderr.String(), test.err) {
				t.Errorf("status %d, want %d\nstdout, want %q:\n%s\nstderr, want %q:\n%s",
					got, test.want, test.out, &stdout, test.err, &stderr)
			}
		})
	}
}

func TestCommandReadsTheKeyOfTheDataDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "default-key"), []byte(fakeKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := parse(nil, nil, func(name string) string { return map[string]string{"SLUICE_DATA_DIR": dir}[name] })
	if err != nil || cfg.Key != fakeKey {
		t.Errorf("got key %q, error %v", cfg.Key, err)
	}
}

func TestJSONIsOneObjectOnStandardOutput(t *testing.T) {
	t.Parallel()
	fake := startFake(t, faults{doubleEvery: 10})
	var stdout, stderr bytes.Buffer
	status := Command([]string{
		"--json", "--url", fake.url, "--key", fakeKey, "--mode", "send-batch", "--connections", "2", "--batch", "5", "--size", "40",
		"--duration", "30ms", "--server-pid", strconv.Itoa(os.Getpid()),
	}, &stdout, &stderr, func(string) string { return "" })
	var report struct {
		Environment struct {
			URL, Durability string
			ServerPID       int `json:"server_pid"`
		}
		Results []struct {
			Mode                            string
			Round, Connections, Batch, Size int
			Figures                         map[string]float64
			Check                           map[string]any
		}
		OK bool
	}
	d := json.NewDecoder(&stdout)
	if err := d.Decode(&report); err != nil {
		t.Fatalf("%v in:\n%s", err, &stdout)
	}
	if d.More() {
		t.Error("more than one object")
	}
	if status != 1 || report.OK || report.Environment.URL != fake.url || report.Environment.Durability != "fsync" ||
		report.Environment.ServerPID != os.Getpid() || len(report.Results) != 1 {
		t.Fatalf("status %d, got %+v", status, report)
	}
	r := report.Results[0]
	if r.Mode != "send-batch" || r.Round != 1 || r.Connections != 2 || r.Batch != 5 || r.Size != 40 {
		t.Errorf("got %+v", r)
	}
	for _, name := range []string{"messages_per_second", "p50_ms", "p99_ms", "server_cpu_ms_per_1000", "client_cpu_ms_per_1000"} {
		if _, there := r.Figures[name]; !there {
			t.Errorf("no figure %s in %v", name, r.Figures)
		}
	}
	if n, _ := r.Check["duplicated"].(float64); n == 0 {
		t.Errorf("check: %v", r.Check)
	}
	if !strings.Contains(stderr.String(), "send-batch") {
		t.Errorf("no table on standard error:\n%s", &stderr)
	}
}

func TestServerOfThisMachineIsFound(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/net/tcp"); err != nil {
		t.Skip("no /proc: the process stays unknown")
	}
	fake := startFake(t, faults{})
	cfg := quick(fake, "send")
	cfg.ServerPID = 0
	report := mustRun(t, cfg)
	if got := report.Environment.ServerPID; got != os.Getpid() {
		t.Errorf("got process %d, want this one, %d", got, os.Getpid())
	}
}

func TestCheckComparesMultisets(t *testing.T) {
	t.Parallel()
	one := &worker{book: book{
		sent: []sent{accepted, accepted, accepted, unsettled, unsettled, refused, refused},
		got:  []delivery{0, 0, 0, 3},
	}}
	two := &worker{book: book{
		sent:    []sent{accepted},
		got:     []delivery{1, 5, 99, 7 << 32, stray, stray},
		strange: []string{`"hello" (5 bytes)`},
	}}
	got := check([]*worker{one, two})
	want := Check{
		Attempted: 8, Acknowledged: 4, Delivered: 4, // 0-0, 0-1, 0-3, 0-5
		Lost:       2, // 0-2 and 1-0
		Duplicated: 2, // 0-0 twice more
		Unexpected: 5, // 0-5 was refused, 0-99 and 7-0 were not sent, two strays
		Recovered:  1, // 0-3
		Examples: []string{
			"duplicated: 0-0", "duplicated: 0-0", `unexpected: body "hello" (5 bytes)`,
			"unexpected: 0-99 was never sent", "unexpected: 7-0 was never sent",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("check (-want +got):\n%s", diff)
	}
}

func TestBodiesNameTheirSender(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 20, 256, 5000} {
		b := book{padding: padding(size)}
		body := b.appendBody(nil, 12, 34567)
		if want := max(size, len("12-34567-")); len(body) != want {
			t.Errorf("size %d: got %d bytes", size, len(body))
		}
		b.deliver(body)
		if len(b.got) != 1 || b.got[0].sender() != 12 || b.got[0].counter() != 34567 {
			t.Errorf("size %d: got %v", size, b.got)
		}
		for _, wrong := range [][]byte{nil, []byte("12"), []byte("x-1-"), []byte("1--"), []byte("12-9999999999-"), append(body, 'x'), body[:len(body)-1]} {
			b.deliver(wrong)
		}
		if want := slices.Repeat([]delivery{stray}, 7); !slices.Equal(b.got[1:], want) {
			t.Errorf("size %d: got %v, want 7 strays", size, b.got[1:])
		}
	}
}
