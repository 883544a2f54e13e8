package redistest_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
)

// envOrphan makes this binary play a test run that is killed.
const envOrphan = "REDISTEST_ORPHAN"

// orphanTB is the little of a test that Start needs where no test runs.
type orphanTB struct{ testing.TB }

func (orphanTB) Helper()        {}
func (orphanTB) Cleanup(func()) {}
func (orphanTB) Fatalf(format string, args ...any) {
	fmt.Printf(format+"\n", args...)
	os.Exit(1)
}

// orphanMain starts a server, says its process id, and waits for the kill.
func orphanMain() {
	fmt.Println(redistest.Start(orphanTB{}, redistest.Options{NoAOF: true}).PID())
	time.Sleep(time.Minute) // the bound, should the kill never come
	os.Exit(1)
}

func TestAKilledTestBinaryLeavesNoServer(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("the death signal needs Linux")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envOrphan+"=1", "TMPDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, convErr := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || convErr != nil {
		_ = cmd.Process.Kill()
		t.Fatalf("the other run said %q: %v", line, err)
	}
	if !lives(pid) {
		t.Errorf("server %d does not live before the kill", pid)
	}
	start := time.Now()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	eventually(t, 10*time.Second, "the server ends", func() bool { return !lives(pid) })
	took(t, &start, "server gone after its tests were killed")
}

// lives reports whether a process runs; one that nobody reaps does not.
func lives(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && stat[bytes.LastIndexByte(stat, ')')+2] != 'Z'
}
