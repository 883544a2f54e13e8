package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/sluicemq/sluice/internal/reach"
)

// Exit statuses of Command.
const (
	exitOK    = 0
	exitFault = 1 // something was lost, doubled or answered wrongly, or the plan could not be carried out
	exitUsage = 2
)

// Command is "sluice bench". It returns the exit status: 0 when every message is accounted for and every answer was as
// it should be, whatever the speed; 1 when not; 2 when the flags make no sense.
func Command(args []string, stdout, stderr io.Writer, getenv func(string) string) int {
	cfg, asJSON, err := parse(args, stdout, getenv)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "sluice bench: %v\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	// JSON is printed whole at the end; meanwhile the table goes where it does not disturb.
	progress := stdout
	if asJSON {
		progress = stderr
	}
	cfg.OnStart = func(e Environment) { writeEnvironment(progress, e) }
	cfg.OnResult = func(r Result) { writeResult(progress, r) }
	report, err := Run(ctx, cfg)
	if report != nil {
		if len(report.Summary) > 0 {
			fmt.Fprintf(progress, "\nall %d rounds\n", cfg.Rounds)
			writeHead(progress)
			for _, r := range report.Summary {
				writeResult(progress, r)
			}
		}
		if len(report.Budgets) > 0 {
			writeBudgets(progress, report.Budgets)
		}
		if err == nil {
			writeEnd(progress, report)
		}
		if asJSON {
			err = errors.Join(err, report.WriteJSON(stdout))
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "sluice bench: %v\n", err)
		return exitFault
	}
	if !report.OK {
		return exitFault
	}
	return exitOK
}

// parse turns flags and environment into a Config.
func parse(args []string, stdout io.Writer, getenv func(string) string) (cfg Config, asJSON bool, err error) {
	flags := flag.NewFlagSet("sluice bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are printed once, by Command
	var modes, protocols, connections string
	complete := reach.Flags(flags, getenv, &cfg.URL, &cfg.Key)
	flags.StringVar(&cfg.OtherKey, "other-key", "", "API key of a second tenant, for fair-webhooks")
	flags.StringVar(&modes, "mode", "all", "what to run, separated by commas")
	flags.StringVar(&protocols, "protocol", REST, "rest or aws, or both separated by commas: then they take turns, and the cost of aws is compared; modes that only REST has are left out of aws")
	flags.StringVar(&connections, "connections", "16", "keep-alive connections, one worker each; several numbers separated by commas run each mode with each")
	flags.IntVar(&cfg.Batch, "batch", 10, "messages in a batch")
	flags.IntVar(&cfg.Size, "size", 256, "bytes of a body")
	flags.DurationVar(&cfg.Duration, "duration", 0, "measured part of a timed mode (default 3s)")
	flags.DurationVar(&cfg.WarmUp, "warm-up", 0, "before it, not measured (default a sixth of it, at most 500ms)")
	flags.IntVar(&cfg.Rounds, "rounds", 1, "run everything that often, taking turns, and print medians")
	flags.IntVar(&cfg.Messages, "messages", 0, "backlog of drain, consume, memory, survivors, fifo, fifo-group, fair, backlog (default 200000, 200000, 200000, 1000000, 100000, 100000, 10000, 1000000)")
	flags.IntVar(&cfg.Waiters, "waiters", 5000, "waiting receives of the mode waiting")
	flags.IntVar(&cfg.Shards, "shards", 1, "of the queue, 1 to 64: over how many hash slots it is spread; FIFO queues have one")
	flags.StringVar(&cfg.RedisURL, "redis-url", getenv("SLUICE_REDIS_URL"), "the server's Redis, redis://, rediss:// or unix:// (SLUICE_REDIS_URL, else the server's child process)")
	flags.IntVar(&cfg.ServerPID, "server-pid", 0, "whose CPU and memory to count (default: who listens on --url)")
	flags.IntVar(&cfg.RedisPID, "redis-pid", 0, "whose CPU to count (default: as Redis says)")
	flags.BoolVar(&cfg.Budgets, "budgets", false, "run what the budgets ask for and print them beside the figures; --protocol, --connections, --batch and --size do not apply")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object to standard output, the table to standard error")

	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			printHelp(stdout, flags)
		}
		return cfg, asJSON, err
	}
	if flags.NArg() > 0 {
		return cfg, asJSON, fmt.Errorf("unexpected argument %q; see --help", flags.Arg(0))
	}
	if modes != "all" {
		cfg.Modes = list(modes)
	}
	cfg.Protocols = list(protocols)
	for _, text := range list(connections) {
		n, err := strconv.Atoi(text)
		if err != nil {
			return cfg, asJSON, fmt.Errorf("connections: must be numbers, got %q", text)
		}
		cfg.Connections = append(cfg.Connections, n)
	}
	if err := complete(); err != nil {
		return cfg, asJSON, err
	}
	return cfg, asJSON, cfg.complete()
}

func list(text string) []string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

func printHelp(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprint(w, `Usage: sluice bench [flags]

Drives a running Sluice over HTTP, checks that nothing is lost or doubled, and prints what it cost.
It makes queues named bench-…, and deletes them. Run it on a server that does nothing else.

Modes:
`)
	for _, mode := range Modes() {
		fmt.Fprintf(w, "  %-18s %s\n", mode.Name, mode.About)
	}
	fmt.Fprint(w, "\nFlags:\n")
	flags.VisitAll(func(f *flag.Flag) {
		name := "--" + f.Name
		if kind, _ := flag.UnquoteUsage(f); kind != "" {
			name += " " + kind
		}
		fmt.Fprintf(w, "  %-22s %s", name, f.Usage)
		if f.DefValue != "" && f.DefValue != "0" && f.DefValue != "0s" && f.DefValue != "false" {
			fmt.Fprintf(w, " (default %s)", f.DefValue)
		}
		fmt.Fprintln(w)
	})
	fmt.Fprint(w, `
Exit status: 0 all is accounted for; 1 something was lost, doubled or answered wrongly, or the run failed; 2 bad flags.
`)
}
