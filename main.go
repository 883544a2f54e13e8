// Sluice is a queue service that people run themselves: queues, for many tenants, on Redis.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/sluicemq/sluice/internal/bench"
	"github.com/sluicemq/sluice/internal/demo"
	"github.com/sluicemq/sluice/server"
)

const usage = `Sluice is a queue service that you run yourself.

Usage:
  sluice [serve] [flags]   run the server; "sluice serve --help" lists the settings
  sluice doctor [flags]    look for what is wrong with an installation, and change nothing
  sluice reset-operator [flags]  make a new operator's key in the place of that in the data directory
  sluice rotate-master-key [flags]  put another master key in the place of the one that servers have
  sluice bench [flags]     measure and check a running Sluice; "sluice bench --help"
  sluice demo [flags]      fill a tenant with believable traffic; "sluice demo --help"
  sluice version           print the version
`

func main() { os.Exit(run(os.Args[1:])) }

// run picks the subcommand. Exit status 2 means that the person who started it has to change something.
func run(args []string) int {
	name := "serve"
	if len(args) > 0 && len(args[0]) > 0 && args[0][0] != '-' {
		name, args = args[0], args[1:]
	}
	switch name {
	case "serve":
		return serve(args)
	case "doctor":
		return server.DoctorCommand(context.Background(), args, os.Environ(), os.Stdout, os.Stderr)
	case "reset-operator":
		return server.ResetOperatorCommand(context.Background(), args, os.Environ(), os.Stdout, os.Stderr)
	case "rotate-master-key":
		return server.RotateMasterKeyCommand(context.Background(), args, os.Environ(), os.Stdout, os.Stderr)
	case "bench":
		return bench.Command(args, os.Stdout, os.Stderr, os.Getenv)
	case "demo":
		return demo.Command(args, os.Stdout, os.Stderr, os.Getenv)
	case "version":
		fmt.Println("sluice", server.Version)
		return 0
	case "help":
		fmt.Print(usage)
		return 0
	}
	fmt.Fprintf(os.Stderr, "sluice: there is no command %q\n\n%s", name, usage)
	return 2
}

func serve(args []string) int {
	config, err := server.LoadConfig(args, os.Environ())
	switch {
	case errors.Is(err, server.ErrHelp):
		fmt.Print(usage, "\nSettings of serve, the stronger first: flag, environment, file, default.\n\n")
		return status(server.Help(os.Stdout))
	case err != nil:
		return status(err)
	case config.PrintAndExit:
		return status(config.PrintConfig(os.Stdout))
	}
	if os.Getenv("GOGC") == "" {
		// Little of what a request allocates lives on. Collecting less often saves a tenth of the CPU and costs a few
		// megabytes.
		debug.SetGCPercent(400)
	}
	s, err := server.New(config, server.WithGreeting(os.Stderr))
	if err != nil {
		return status(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if s.HasTLS() {
		defer reloadOnHangup(s)()
	}
	err = s.Run(ctx)
	return status(errors.Join(err, s.Close()))
}

// reloadOnHangup reads the certificate again at each SIGHUP, until the function that it returns is called.
func reloadOnHangup(s *server.Server) (stop func()) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		for range hangup {
			s.Reload()
		}
	}()
	return func() {
		signal.Stop(hangup)
		close(hangup)
	}
}

func status(err error) int {
	if err == nil {
		return 0
	}
	_, _ = io.WriteString(os.Stderr, "sluice: "+err.Error()+"\n")
	if errors.Is(err, server.ErrUsage) {
		return 2
	}
	return 1
}
