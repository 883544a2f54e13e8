package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The table's columns. A figure that is not known is a dash.
const (
	headFormat = "%-19s %5s %5s %5s %10s %8s %8s %8s %8s %8s %8s %7s %6s %6s %6s\n"
	unknown    = "-"
)

// writeEnvironment prints what the figures must be read with, then the head of the table.
func writeEnvironment(w io.Writer, e Environment) {
	found := func(pid int) string {
		if pid == 0 {
			return "not found"
		}
		return strconv.Itoa(pid)
	}
	redis := e.Redis
	if redis == "" {
		redis = "not asked"
	}
	fmt.Fprintf(w, "Sluice at %s, durability %s, %d CPUs shared with the generator\n", e.URL, e.Durability, e.CPUs)
	fmt.Fprintf(w, "server process %s; Redis %s, process %s\n", found(e.ServerPID), redis, found(e.RedisPID))
	for _, note := range e.Notes {
		fmt.Fprintf(w, "note: %s\n", note)
	}
	fmt.Fprintln(w)
	writeHead(w)
}

func writeHead(w io.Writer) {
	fmt.Fprintf(w, headFormat, "", "", "", "", "", "", "", "CPU ms", "for", "1,000", "messages", "AOF", "", "", "")
	fmt.Fprintf(w, headFormat, "mode", "conns", "batch", "bytes", "msg/s", "p50 ms", "p99 ms",
		"server", "redis", "both", "client", "B/msg", "lost", "double", "errors")
}

// writeResult prints one line of the table, and below it what has no column.
func writeResult(w io.Writer, r Result) {
	if r.Skipped != "" {
		fmt.Fprintf(w, "%-19s left out: %s\n", r.Mode, r.Skipped)
		return
	}
	figure := func(f Figure) string {
		v, known := r.Figures[f]
		if !known {
			return unknown
		}
		return number(v)
	}
	errors := 0
	for _, n := range r.Errors {
		errors += n
	}
	name := r.Mode
	if r.Protocol != REST {
		name += " " + r.Protocol
	}
	fmt.Fprintf(w, headFormat, name, strconv.Itoa(r.Connections), strconv.Itoa(r.Batch), strconv.Itoa(r.Size),
		figure(Rate), figure(P50), figure(P99), figure(CPUServer), figure(CPURedis), figure(CPUTotal), figure(CPUClient), figure(AOFBytes),
		strconv.Itoa(r.Check.Lost), strconv.Itoa(r.Check.Duplicated), strconv.Itoa(errors))

	below := func(format string, args ...any) { fmt.Fprintf(w, "    "+format+"\n", args...) }
	for _, extra := range []struct {
		figure Figure
		text   string
	}{
		{StoredBytes, "B in Redis for each stored message"},
		{SurvivorRatio, "times the memory of a fresh message for each survivor"},
		{BacklogRatio, "times the p99 of an empty queue"},
		{ScaleRatio, "times the rate with 100 groups, or with 100 messages in the group"},
		{DoorRatio, "times the CPU of the same work by REST"},
		{QuietRatio, "times the p99 without the noise"},
		{RedisCommands, "Redis commands/s more than without the waiters"},
		{WaiterBytes, "B of server memory for each waiter"},
		{Goodput, "times what it can do, while five times that arrives"},
		{RefusalP99, "ms until 99% of what it cannot do is refused"},
		{Recovery, "s after that until it is as fast as before"},
	} {
		if v, known := r.Figures[extra.figure]; known {
			below("%s %s", number(v), extra.text)
		}
	}
	if r.Mode == "latency" {
		below("p99.9 %s ms, max %s ms", figure(P999), figure(Max))
	}
	if r.Spread > 0 {
		below("median of the rounds; msg/s ±%.0f%%", r.Spread*100)
	}
	for _, note := range r.Notes {
		below("%s", note)
	}
	if r.Check.Unexpected > 0 {
		below("UNEXPECTED: %d messages that nobody sent, that were refused, or that were changed", r.Check.Unexpected)
	}
	if r.Check.Recovered > 0 {
		below("%d messages are stored whose sends got no answer", r.Check.Recovered)
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		below("ERROR %d x %s", r.Errors[kind], kind)
	}
	for _, example := range r.Check.Examples {
		below("%s", example)
	}
}

// writeBudgets prints the budgets beside what was measured.
func writeBudgets(w io.Writer, verdicts []Verdict) {
	const format = "%-66s %10s %10s %7s  %s\n"
	fmt.Fprintf(w, "\n"+format, "budget", "limit", "measured", "ratio", "")
	for _, v := range verdicts {
		limit, value, ratio, verdict := "<= "+number(v.Limit), unknown, unknown, "MISSED"
		if v.AtLeast {
			limit = ">= " + number(v.Limit)
		}
		if v.Ratio > 0 || v.Open == "" {
			value, ratio = number(v.Value), fmt.Sprintf("%.2f", v.Ratio)
		}
		switch {
		case v.Open != "":
			verdict = v.Open
		case v.Met:
			verdict = "met"
		}
		fmt.Fprintf(w, format, v.Work, limit, value, ratio, verdict)
	}
}

// writeEnd prints the last line.
func writeEnd(w io.Writer, r *Report) {
	var total Check
	errors := 0
	for _, result := range r.Results {
		total.add(result.Check)
		for _, n := range result.Errors {
			errors += n
		}
	}
	verdict := "OK"
	if !r.OK {
		verdict = "NOT OK"
	}
	fmt.Fprintf(w, "\n%s: %s messages acknowledged, %d lost, %d delivered twice, %d unexpected; %d wrong answers\n",
		verdict, thousands(float64(total.Acknowledged)), total.Lost, total.Duplicated, total.Unexpected, errors)
}

// number prints about three digits.
func number(v float64) string {
	switch {
	case v >= 1000 || v <= -1000:
		return thousands(v)
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// thousands prints a whole number with commas.
func thousands(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	var groups []string
	for len(digits) > 3 {
		groups = append(groups, digits[len(digits)-3:])
		digits = digits[:len(digits)-3]
	}
	slices.Reverse(groups)
	return sign + strings.Join(append([]string{digits}, groups...), ",")
}
