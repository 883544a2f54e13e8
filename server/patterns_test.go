package server_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/server/servertest"
)

// The shell blocks of each pattern work as printed, one after the other in one shell, and a block that is followed by one of text
// prints that.
func TestPatternsWorkAsPrinted(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../docs/patterns/*-*.md")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d patterns, %v", len(files), err)
	}
	for _, file := range append(files, "../docs/patterns/saga.md") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p := servertest.StartProcess(t, servertest.ProcessOptions{})
			p.WaitReady()
			const mark = "=====\n"
			script, want, n := "set -eu\nexport KEY="+p.Key+"\n", map[int]string{}, 0
			for _, b := range regexp.MustCompile("(?ms)^```(sh|text)\n(.*?)^```").FindAllStringSubmatch(at(p.URL, string(raw)), -1) {
				if b[1] == "text" {
					want[n] = b[2]
					continue
				}
				n++
				script += "printf " + fmt.Sprintf("%q", mark) + "\n" + b[2]
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "bash", "-c", script)
			cmd.WaitDelay = time.Second // its children may have its output still
			cmd.Dir, cmd.Env = t.TempDir(), servertest.CleanEnv()
			var trouble strings.Builder
			cmd.Stderr = &trouble
			out, err := cmd.Output()
			if err != nil || trouble.Len() > 0 {
				t.Errorf("the shell: %v\n%s", err, trouble.String())
			}
			parts := strings.Split(string(out), mark)
			if len(parts) != n+1 || len(want) == 0 {
				t.Fatalf("%d of %d blocks were run, %d say what they print:\n%s", len(parts)-1, n, len(want), out)
			}
			for i, text := range want {
				if diff := cmp.Diff(text, parts[i]); diff != "" {
					t.Errorf("block %d prints (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}
