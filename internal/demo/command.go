package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sluicemq/sluice/internal/reach"
)

// Command is "sluice demo". It returns the exit status: 0 when all requests were answered as they should be, 1 when not, 2
// when the flags make no sense.
func Command(args []string, stdout, stderr io.Writer, getenv func(string) string) int {
	flags := flag.NewFlagSet("sluice demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, "Usage: sluice demo [flags]\n\nFills a tenant with the traffic of a small shop, until it is interrupted: queues, a topic,\nfailures of three kinds and a queue that nobody consumes.\n\n")
		flags.PrintDefaults()
	}
	var c Config
	complete := reach.Flags(flags, getenv, &c.URL, &c.Key)
	flags.Float64Var(&c.Rate, "rate", 5, "orders a second")
	flags.IntVar(&c.Backlog, "backlog", 100, "orders that are placed at once, before the others")
	length := flags.Duration("for", 0, "how long (default until it is interrupted)")
	remove := flags.Bool("remove", false, "delete the queues and the topic of the shop instead")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	usage := func(format string, args ...any) int {
		fmt.Fprintf(stderr, "sluice demo: "+format+"\n", args...)
		return 2
	}
	switch {
	case flags.NArg() > 0:
		return usage("unexpected argument %q; see --help", flags.Arg(0))
	case c.Rate <= 0 || c.Rate > 1000:
		return usage("rate: must be above 0 and at most 1000, got %g", c.Rate)
	case c.Backlog < 0 || c.Backlog > 100_000:
		return usage("backlog: must be 0 to 100000, got %d", c.Backlog)
	case *length < 0:
		return usage("for: must not be negative, got %s", *length)
	}
	if err := complete(); err != nil {
		return usage("%v", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, New(c), *length, *remove, stdout); err != nil {
		fmt.Fprintf(stderr, "sluice demo: %v\n", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, s *Shop, length time.Duration, remove bool, stdout io.Writer) error {
	if remove {
		return s.Remove(ctx)
	}
	if err := s.Open(ctx); err != nil {
		return err
	}
	if length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, length)
		defer cancel()
	}
	fmt.Fprintf(stdout, "The shop is open: queues %s, %s, %s, %s and %s, topic %s.\n", orders, failed, mail, payments, reports, events)
	err := s.Run(ctx)
	fmt.Fprintf(stdout, "%d orders were placed. What is left stays; sluice demo --remove deletes it.\n", s.Placed())
	return err
}
