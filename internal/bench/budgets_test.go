package bench

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestBudgetsAreJudged(t *testing.T) {
	t.Parallel()
	result := func(mode string, connections, batch, messages int, f Figure, v float64) Result {
		return Result{Spec: Spec{Mode: mode, Protocol: REST, Connections: connections, Batch: batch, Size: 256, Messages: messages}, Figures: map[Figure]float64{f: v}}
	}
	results := []Result{
		result("lifecycle-batch", 16, 10, 0, CPUTotal, 18),
		result("lifecycle-batch", 64, 10, 0, CPUTotal, 48),
		result("drain", 16, 10, 200_000, Rate, 90_000),
		result("survivors", 16, 1, 1000, SurvivorRatio, 1.2),
		result("waiting", 5000, 1, 5000, RedisCommands, 0),
		result("lifecycle", 16, 1, 0, Rate, 1),
		result("lifecycle-batch", 16, 10, 0, DoorRatio, 1.17),
	}
	results[len(results)-1].Protocol = AWS
	for _, test := range []struct {
		durability, work string
		ratio            float64
		met              bool
		open             string
	}{
		{"fsync", "lifecycle, batch 10, 16 connections: CPU ms/1,000", 0.5, true, ""},
		{"replicated+fsync", "lifecycle, batch 10, 16 connections: CPU ms/1,000", 0.5, true, ""},
		{"fsync", "lifecycle, batch 10, 64 connections: CPU ms/1,000", 2, false, ""},
		{"everysec", "lifecycle, batch 10, 64 connections: CPU ms/1,000", 0, false, "for durability fsync, this is everysec"},
		{"everysec", "lifecycle, batch 10, 64 connections, everysec: CPU ms/1,000", 48. / 19, false, ""},
		{"fsync", "drain of a backlog, batch 10: messages/s", 1.5, true, ""},
		{"memory", "drain of a backlog, batch 10: messages/s", 0, false, "for durability fsync, this is memory"},
		{"fsync", "memory of 1% survivors against sent afresh", 0.8, false, "measured with 1,000 instead of 1,000,000"},
		{"memory", "5,000 waiting receives: Redis commands/s", 0, true, ""},
		{"fsync", "lifecycle, single, 16 connections: CPU ms/1,000", 0, false, "not known"},
		{"fsync", "end to end at 200/s, p50 ms", 0, false, "not run"},
		{"fsync", "AWS door against REST, lifecycle, batch 10, 16 connections: CPU", 0.9, true, ""},
		{"fsync", "AWS door against REST, lifecycle, single, 16 connections: CPU", 0, false, "not run"},
		{"fsync", "Redis CPU against the same scripts called bare", 0, false, "not measured by this program"},
	} {
		verdicts := judge(test.durability, results)
		at := slices.IndexFunc(verdicts, func(v Verdict) bool { return v.Work == test.work })
		if at < 0 {
			t.Fatalf("no budget %q", test.work)
		}
		got := verdicts[at]
		if diff := got.Ratio - test.ratio; diff < -1e-9 || diff > 1e-9 || got.Met != test.met || got.Open != test.open {
			t.Errorf("%s, %s: got %+v, want ratio %v, met %t, open %q", test.durability, test.work, got, test.ratio, test.met, test.open)
		}
	}
}

func TestEveryMeasuredBudgetIsInThePlan(t *testing.T) {
	t.Parallel()
	for _, durability := range []string{"fsync", "everysec"} {
		cfg := Config{URL: "http://x", Key: "k", Budgets: true}
		if err := cfg.complete(); err != nil {
			t.Fatal(err)
		}
		plan := cfg.plan(durability)
		for _, b := range budgets {
			if b.mode == "" || !b.level.holds(durability) {
				continue
			}
			if !slices.ContainsFunc(plan, func(s Spec) bool { return b.matches(Result{Spec: s}) && s.Messages >= b.messages }) {
				t.Errorf("%s: %q is not in the plan", durability, b.work)
			}
		}
	}
}

func TestBudgetTableSaysMetAndMissed(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	writeBudgets(&out, []Verdict{
		{Work: "one", Limit: 36, Value: 18, Ratio: 0.5, Met: true},
		{Work: "two", Limit: 60_000, AtLeast: true, Value: 30_000, Ratio: 0.5},
		{Work: "three", Limit: 1, Met: true},
		{Work: "four", Limit: 1.5, Open: "not run"},
	})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, want := range []string{"budget limit measured ratio", "one <= 36.0 18.0 0.50 met", "two >= 60,000 30,000 0.50 MISSED", "three <= 1.00 0.00 0.00 met", "four <= 1.50 - - not run"} {
		if got := strings.Join(strings.Fields(lines[i]), " "); got != want {
			t.Errorf("line %d: got %q, want %q", i, got, want)
		}
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 1234567.4: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := thousands(v); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
}
