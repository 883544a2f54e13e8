package embedded

import (
	"bytes"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// childAttr ties the child to us and to nobody else.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		// Ctrl-C on a terminal goes to the whole process group: it must reach us alone, so that we can drain while
		// Redis still answers.
		Setpgid: true,
		// The kernel ends the child when we die without a word. SIGKILL and not SIGTERM, because a Redis in the
		// middle of loading or of a script obeys SIGTERM only afterwards, and would be an orphan until then. Every
		// acknowledged write is on disk already; what SIGTERM would tidy up, the next start tidies up.
		Pdeathsig: syscall.SIGKILL,
	}
}

// isOurs reports whether the process is a server that we, or an earlier run, started in this directory. A process id
// alone proves nothing: it may have been given to somebody else since.
func isOurs(pid int, dir string) bool {
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && bytes.Contains(args, []byte("\x00--dir\x00"+dir+"\x00"))
}

// freeBytes returns the room that is left for users other than root.
func freeBytes(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}
