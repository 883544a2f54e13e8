package server_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sluicemq/sluice/server/servertest"
)

// block returns the code of a language in docs/aws.md.
func block(tb testing.TB, language, holds string) string {
	tb.Helper()
	raw, err := os.ReadFile("../docs/aws.md")
	if err != nil {
		tb.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(string(raw), -1) {
		if strings.Contains(m[1], holds) {
			return m[1]
		}
	}
	tb.Fatalf("docs/aws.md has no %s with %q", language, holds)
	return ""
}

// The recipes work as they are printed, with those clients that are installed here.
func TestRecipesForAWSClientsWorkAsPrinted(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	dir := filepath.Dir(p.DataDir)
	setup := "export KEY=$(cat data/default-key)\n" + at(p.URL, block(t, "sh", "PAIR="))
	has := func(t *testing.T, command ...string) {
		t.Helper()
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			lacking(t, "%v: %v %s", command, err, out)
		}
	}
	t.Run("AWS CLI", func(t *testing.T) {
		has(t, "aws", "--version")
		out := shell(t, dir, setup+at(p.URL, block(t, "sh", "aws sqs")+block(t, "sh", "aws sns")))
		if !strings.Contains(out, `"Account": "000000000000"`) || !strings.Contains(out, `"MessageId"`) {
			t.Errorf("got %s", out)
		}
		if !strings.Contains(out, `"Message" : "order 7"`) || !strings.Contains(out, `"Subject" : "news"`) {
			t.Errorf("the notification is in %s", out)
		}
		if got := queueCounts(t, p.URL, p.Key, "jobs"); got != (counts{}) {
			t.Errorf("left %+v", got)
		}
	})
	// Debian's boto3 speaks the query protocol, a newer one JSON.
	t.Run("Python", func(t *testing.T) {
		has(t, debianPython, "-c", "import boto3")
		out := shell(t, dir, setup+debianPython+" - <<'END'\n"+block(t, "python", "import boto3")+"END\n")
		if !strings.Contains(out, "job 0\njob 1\njob 2\n") {
			t.Errorf("got %s", out)
		}
	})
	t.Run("Celery", func(t *testing.T) {
		has(t, debianPython, "-c", "import celery, boto3, pycurl")
		place := t.TempDir()
		if err := os.WriteFile(filepath.Join(place, "tasks.py"), []byte(block(t, "python", "from celery import")), 0o600); err != nil {
			t.Fatal(err)
		}
		commands := strings.NewReplacer("celery ", debianPython+" -m celery ", "python3 ", debianPython+" ").Replace(block(t, "sh", "celery -A"))
		work, ask, _ := strings.Cut(strings.TrimSpace(commands), "\n")
		worker := setup + "cd " + place + "\n" + ask + "\n" + work + " >worker.log 2>&1 & worker=$!\n" +
			"trap 'kill $worker; wait $worker' EXIT\n" +
			"for n in $(seq 600); do grep -q 'succeeded in' worker.log && break; kill -0 $worker || break; sleep 0.1; done\ncat worker.log\n"
		if out := shell(t, dir, worker); !strings.Contains(out, "succeeded in") || !strings.Contains(out, ": 5") {
			t.Errorf("got %s", out)
		}
	})
	for _, c := range []struct{ holds, prints string }{{"SendMessage", "hello from Go\n"}, {"Publish", "published from Go\n"}} {
		t.Run("Go "+c.holds, func(t *testing.T) {
			main := filepath.Join(t.TempDir(), "main.go")
			if err := os.WriteFile(main, []byte(block(t, "go", c.holds)), 0o600); err != nil {
				t.Fatal(err)
			}
			program := filepath.Join(t.TempDir(), "recipe")
			if out, err := exec.Command("go", "build", "-o", program, main).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if out := shell(t, dir, setup+program+"\n"); !strings.Contains(out, c.prints) {
				t.Errorf("got %s", out)
			}
		})
	}
	for _, c := range []struct{ holds, prints string }{{"ReceiveMessageCommand", "hello from Node\n"}, {"Consumer.create", "hello to a worker\n"}} {
		t.Run("Node "+c.holds, func(t *testing.T) {
			place := packages(t, "aws-clients")
			if err := os.WriteFile(filepath.Join(place, "recipe.mjs"), []byte(block(t, "js", c.holds)), 0o600); err != nil {
				t.Fatal(err)
			}
			if out := shell(t, dir, setup+"node "+place+"/recipe.mjs\n"); !strings.Contains(out, c.prints) {
				t.Errorf("got %s", out)
			}
		})
	}
}

// The whole of SQS and SNS by clients that others have written, in languages whose SDKs share nothing with that of Go.
func TestOtherSDKsReachTheWholeSurface(t *testing.T) {
	t.Parallel()
	p := servertest.StartProcess(t, servertest.ProcessOptions{})
	p.WaitReady()
	dir := filepath.Dir(p.DataDir)
	setup := "export KEY=$(cat data/default-key)\n" + at(p.URL, block(t, "sh", "PAIR="))
	run := func(t *testing.T, command string) {
		t.Helper()
		if out := shell(t, dir, setup+command+"\n"); !strings.HasSuffix(out, "the whole surface\n") {
			t.Error(out)
		}
	}
	t.Run("Node", func(t *testing.T) {
		t.Parallel()
		run(t, "node "+packages(t, "aws-clients")+"/surface.mjs")
	})
	t.Run("Python", func(t *testing.T) {
		t.Parallel()
		if err := exec.Command(debianPython, "-c", "import boto3").Run(); err != nil {
			lacking(t, "boto3: %v", err)
		}
		script, err := filepath.Abs("testdata/aws-clients/surface.py")
		if err != nil {
			t.Fatal(err)
		}
		run(t, debianPython+" "+script)
	})
}

// debianPython has the modules that are installed as packages of Debian, whichever python3 comes first on the PATH.
const debianPython = "/usr/bin/python3"

// lacking skips a test for the lack of a client, but where make test has installed them.
func lacking(tb testing.TB, format string, args ...any) {
	tb.Helper()
	if os.Getenv("SLUICE_TEST_CLIENTS") != "" {
		tb.Fatalf(format, args...)
	}
	tb.Skipf(format, args...)
}

// packages installs a project of testdata, as its lock file says, and returns where it is.
func packages(tb testing.TB, project string) string {
	tb.Helper()
	dir := tb.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", project))); err != nil {
		tb.Fatal(err)
	}
	install := exec.Command("npm", "ci", "--silent", "--ignore-scripts")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		lacking(tb, "%s: npm ci: %v %s", project, err, out)
	}
	return dir
}

// What a client of SQS has sent is received by REST after a restart of the server, and the reverse; a server without its
// Redis says so in the protocol of the client.
func TestBothDoorsOpenOntoOneQueue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := servertest.New(t, servertest.WithDataDir(dir), servertest.WithEmbedded())
	var made struct {
		AWS struct {
			ID     string `json:"access_key_id"`
			Secret string `json:"secret_access_key"`
		} `json:"aws"`
	}
	first.JSON(t, http.StatusCreated, http.MethodPost, "/v1/keys", []byte(`{"name":"sdk","scopes":["developer"],"aws":true}`), &made)
	send := func(s *servertest.Server, action, body string) (int, string) {
		t.Helper()
		return signedJSON(t, s.URL(), made.AWS.ID, made.AWS.Secret, action, body)
	}
	const queue = `{"QueueName":"both","QueueUrl":"both","MessageBody":"by SQS"}`
	for _, action := range []string{"CreateQueue", "SendMessage"} {
		if status, out := send(first, action, queue); status != http.StatusOK {
			t.Fatalf("%s: %d %s", action, status, out)
		}
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	second := servertest.New(t, servertest.WithDataDir(dir), servertest.WithEmbedded())
	var received struct{ Messages []struct{ Body string } }
	second.JSON(t, http.StatusOK, http.MethodPost, "/v1/queues/both/receive", nil, &received)
	if len(received.Messages) != 1 || received.Messages[0].Body != "by SQS" {
		t.Errorf("received %+v", received)
	}
	second.JSON(t, http.StatusCreated, http.MethodPost, "/v1/queues/both/messages", []byte("by REST"), nil)
	if status, out := send(second, "ReceiveMessage", queue); status != http.StatusOK || !strings.Contains(out, `"Body":"by REST"`) {
		t.Errorf("received %d %s", status, out)
	}
	until(t, "the log has a line", func() bool {
		return strings.Contains(second.Log.String(), `"route":"aws ReceiveMessage","status":200,"queue":"both"`)
	})
	if log := second.Log.String(); strings.Contains(log, made.AWS.Secret) || strings.Contains(log, "by REST") {
		t.Errorf("the log has a secret: %s", log)
	}
}

// signedJSON calls an action of SQS by its JSON protocol.
func signedJSON(tb testing.TB, url, id, secret, action, body string) (int, string) {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, url+"/", strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "AmazonSQS."+action)
	sum := sha256.Sum256([]byte(body))
	pair := aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}
	if err := v4.NewSigner().SignHTTP(tb.Context(), pair, r, hex.EncodeToString(sum[:]), "sqs", "us-east-1", time.Now()); err != nil {
		tb.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return res.StatusCode, string(out)
}
