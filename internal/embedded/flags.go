package embedded

import (
	"os"
	"slices"
	"strconv"
	"strings"
)

// flags are the settings of the child. They are arguments and no file, so that an edited file cannot weaken what the
// server promises, and so that the arguments prove whose process it is (see isOurs).
func flags(files layout, socket string, maxMemory int64) []string {
	return []string{
		// Reachable through the file system only, by our own user.
		"--port", "0",
		"--unixsocket", socket,
		"--unixsocketperm", "700",

		// An answer means that the write is on disk, while the log is rewritten as well. The log is the only copy:
		// snapshots would cost a fork and prove nothing.
		"--dir", files.dir,
		"--appendonly", "yes",
		"--appendfsync", "always",
		"--no-appendfsync-on-rewrite", "no",
		"--save", "",
		// A small log is not worth the fork of a rewrite.
		"--auto-aof-rewrite-min-size", "512mb",
		"--auto-aof-rewrite-percentage", "100",

		// Full means refused. Eviction would be silent loss.
		"--maxmemory", strconv.FormatInt(maxMemory, 10),
		"--maxmemory-policy", "noeviction",

		// Deleting a queue with a million messages frees them in another thread, not while all others wait.
		"--lazyfree-lazy-user-del", "yes",
		"--lazyfree-lazy-user-flush", "yes",

		"--daemonize", "no",
		"--supervised", "no", // when systemd supervises us, the child must not report in our place
		"--set-proc-title", "no", // keeps the arguments in /proc, for isOurs
		"--logfile", files.log(),
	}
}

// childEnv is our environment without our own settings: the child needs none of them, and some are secrets.
func childEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SLUICE_") })
}
