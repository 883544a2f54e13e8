package server_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/oidc/oidctest"
	"github.com/sluicemq/sluice/server/servertest"
)

// firstMessageLimit is what the README promises a newcomer: from starting the program to the first message.
const firstMessageLimit = time.Minute

// shellBlocks returns the shell blocks of a Markdown file.
func shellBlocks(tb testing.TB, file string) []string {
	tb.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(string(raw), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// at replaces the address that the documentation uses by a server's own.
func at(url, script string) string { return strings.ReplaceAll(script, "http://127.0.0.1:8080", url) }

func TestREADMEWorksAsPrinted(t *testing.T) {
	t.Parallel()
	blocks := shellBlocks(t, "../README.md")
	if len(blocks) < 4 || blocks[0] != "make run\n" {
		t.Fatalf("the README has %d shell blocks, of which the first should be make run: %q", len(blocks), blocks)
	}
	_, built := servertest.Binary(t)
	begin := time.Now()
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	dir := filepath.Dir(p.DataDir)
	first, hello := time.Duration(0), ""
	var worker string
	typed := ""
	for _, b := range blocks[1:] {
		if strings.HasPrefix(b, "while ") {
			worker = b
			continue
		}
		typed += at(p.URL, b)
		if first == 0 && strings.Contains(b, "/receive") {
			hello = shell(t, dir, typed)
			first = time.Since(begin)
			typed = strings.Join(regexp.MustCompile(`(?m)^export .*$`).FindAllString(typed, -1), "\n") + "\n"
		}
	}
	if !strings.Contains(hello, `"body":"hello"`) || !strings.Contains(hello, `"ack_url":`) {
		t.Errorf("the lines of the README bring no message: %s", hello)
	}
	if first > firstMessageLimit {
		t.Errorf("the first message took %s", first)
	}
	t.Logf("first message %s after the start of the program; building it took %s", first.Round(time.Millisecond), built.Round(time.Millisecond))

	// The rest speaks of another message, and acknowledges it.
	const queue = "/v1/queues/orders"
	must(t, http.StatusCreated, nil, http.MethodPost, p.URL+queue+"/messages", p.Key, "second")
	shell(t, dir, typed)
	if got := queueCounts(t, p.URL, p.Key, "orders"); got != (counts{InFlight: 1}) {
		t.Errorf("after the lines of the README the queue has %+v, want the first message in flight and the second gone", got)
	}
	if worker == "" {
		t.Fatal("the README has no worker")
	}
	must(t, http.StatusCreated, nil, http.MethodPost, p.URL+queue+"/messages", p.Key, "for the worker")
	runWorker(t, dir, "export KEY=$(cat data/default-key)\n"+at(p.URL, worker), func(out string) bool {
		return strings.Contains(out, "for the worker") && queueCounts(t, p.URL, p.Key, "orders") == (counts{InFlight: 1})
	})
}

// runWorker runs a loop that never ends until done says so.
func runWorker(tb testing.TB, dir, script string, done func(out string) bool) {
	tb.Helper()
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir, cmd.Env = dir, servertest.CleanEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that its curl goes with it
	var out servertest.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}()
	until(tb, "the worker has done its message", func() bool { return done(out.String()) })
}

// Each line with curl in the documentation works on a fresh server, in the order of the file. One with "curl -N" is a
// stream: it goes on beside those that follow, and must have shown something in the end. What the shell knows besides
// the keys it forgets at such a line.
func TestDocumentationWorksAsPrinted(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../docs/*.md")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files of documentation, %v", len(files), err)
	}
	for _, file := range files {
		var lines []string
		for _, b := range shellBlocks(t, file) {
			for line := range strings.Lines(b) {
				if strings.HasPrefix(line, "curl ") || strings.Contains(line, "$(curl ") {
					lines = append(lines, line)
				}
			}
		}
		if len(lines) == 0 {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			env, keys := loopback, "export KEY=$(cat data/default-key) OP=$(cat data/operator-key)\n"
			if filepath.Base(file) == "oidc.md" {
				provider := oidctest.StartPlain(t)
				env = append(env[:len(env):len(env)], trustingProvider(provider)...)
				env = append(env, "SLUICE_OIDC_CLIENT_ID="+oidctest.ClientID)
				keys += "export TOKEN=" + provider.Token(t, identity(provider, "default", "owner")) + " ISSUER=" + provider.Issuer + "\n"
			}
			p := servertest.StartProcess(t, servertest.ProcessOptions{Env: env})
			p.WaitReady()
			must(t, http.StatusCreated, nil, http.MethodPut, p.URL+"/v1/queues/orders", p.Key, "")
			dir := filepath.Dir(p.DataDir)
			script := keys
			streams := map[string]*servertest.Buffer{}
			for _, line := range lines {
				line = at(p.URL, line)
				if strings.HasPrefix(line, "curl -N ") {
					t.Logf("%s", shell(t, dir, script))
					script, streams[line] = keys, startStream(t, dir, keys+line)
					continue
				}
				script += line
			}
			t.Logf("%s", shell(t, dir, script))
			for line, out := range streams {
				until(t, "something came of "+line, func() bool { return strings.TrimSpace(out.String()) != "" })
				t.Logf("%s%s", line, out)
			}
		})
	}
}

// startStream runs a script with a stream until the test ends, and returns what it prints. It returns when the stream
// has begun.
func startStream(tb testing.TB, dir, script string) *servertest.Buffer {
	tb.Helper()
	headers := filepath.Join(tb.TempDir(), "headers")
	// Of several calls of curl only the one that streams notes its headers.
	const noting = `curl() { if [ "$1" = -N ]; then command curl -D "$HEADERS" -sS "$@"; else command curl --fail-with-body -sS "$@"; fi; }` + "\n"
	cmd := exec.Command("bash", "-c", noting+script)
	cmd.Dir, cmd.Env = dir, append(servertest.CleanEnv(), "HEADERS="+headers)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that its curl goes with it
	var out servertest.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	until(tb, "the stream has begun", func() bool {
		text, _ := os.ReadFile(headers)
		return strings.Contains(string(text), " 200 ")
	})
	return &out
}
