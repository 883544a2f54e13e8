package redistest

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
)

// ownGroup gives the process a group of its own, so that Ctrl-C reaches the tests first, and ends it
// with the test binary however that ends.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// frozen returns nil once the kernel has stopped the process: SIGSTOP is only a request.
func frozen(pid int) error {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return final{err}
	}
	// pid (name) state …; the name may hold anything, so count from its closing parenthesis.
	if state := stat[bytes.LastIndexByte(stat, ')')+2]; state != 'T' {
		return fmt.Errorf("process %d is in state %c", pid, state)
	}
	return nil
}
