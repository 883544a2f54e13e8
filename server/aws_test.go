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
		if err := exec.Command(command[0], command[1:]...).Run(); err != nil {
			t.Skipf("%v: %v", command, err)
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
	// Debian's speaks the query protocol, a newer one JSON: whichever is there.
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		t.Run(python, func(t *testing.T) {
			has(t, python, "-c", "import boto3")
			out := shell(t, dir, setup+python+" - <<'END'\n"+block(t, "python", "boto3")+"END\n")
			if !strings.Contains(out, "job 0\njob 1\njob 2\n") {
				t.Errorf("got %s", out)
			}
			must(t, http.StatusNoContent, nil, http.MethodDelete, p.URL+"/v1/queues/jobs.fifo", p.Key, "")
		})
	}
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
	t.Run("Node", func(t *testing.T) {
		has(t, "node", "-e", `require("@aws-sdk/client-sqs")`)
		if out := shell(t, dir, setup+"node --input-type=module - <<'END'\n"+block(t, "js", "SQSClient")+"END\n"); !strings.Contains(out, "hello from Node\n") {
			t.Errorf("got %s", out)
		}
	})
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
