package server_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server"
	"github.com/sluicemq/sluice/server/servertest"
)

// reaching lets webhooks reach the receivers of tests.
func reaching(c *server.Config) {
	c.EgressAllow, c.EgressAllowHTTP = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, true
}

// startReceiver starts the receiver of the documentation, which is in JavaScript, and returns what it prints.
func startReceiver(tb testing.TB, port int, host, authority string) *servertest.Buffer {
	tb.Helper()
	page, err := os.ReadFile("../docs/sns-endpoints.md")
	if err != nil {
		tb.Fatal(err)
	}
	code := regexp.MustCompile("(?ms)^```js\n(.*?)^```").FindSubmatch(page)
	if code == nil {
		tb.Fatal("docs/sns-endpoints.md has no receiver")
	}
	dir := packages(tb, "sns-validator")
	file := filepath.Join(dir, "receiver.mjs")
	if err := os.WriteFile(file, code[1], 0o600); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command("node", file)
	cmd.Env = append(servertest.CleanEnv(), fmt.Sprint("PORT=", port), "SNS_HOST=^"+regexp.QuoteMeta(host)+"$", "NODE_EXTRA_CA_CERTS="+authority)
	var out servertest.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &out
}

// The library with which receivers verify what SNS sends verifies what two servers send, on a TLS listener with a certificate of an
// authority of its own, and goes on to after both were started again. What it was given another host for it refuses.
func TestN49_ReceiversOfSNSVerifyWhatIsSent(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	certificate := newPairs(t)
	certificate.write(t, 1)
	begin := func(options ...servertest.Option) *servertest.Server {
		t.Helper()
		return servertest.New(t, append(options, servertest.WithRedis(redis.URL()), reaching, quiet)...)
	}
	address := fmt.Sprint("127.0.0.1:", servertest.FreePort(t)) // which is there for it again when it is started again
	at := func(c *server.Config) { c.Listen = address }
	front := begin(certificate.use, at)
	back := begin(func(c *server.Config) { c.PublicURL = mustURL(t, front.URL()) })
	host := strings.TrimPrefix(front.URL(), "https://")
	port, other := servertest.FreePort(t), servertest.FreePort(t)
	out := startReceiver(t, port, host, certificate.cert)
	refusing := startReceiver(t, other, "sns.us-east-1.amazonaws.com", certificate.cert)

	key, _ := newTenant(t, back, "notified")
	client := snsClient(t, back, key)
	topicOf := func(name, version string) *string {
		t.Helper()
		made, err := client.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: &name, Attributes: map[string]string{"SignatureVersion": version}})
		if err != nil {
			t.Fatal(err)
		}
		return made.TopicArn
	}
	subscribe := func(topic *string, port int) string {
		t.Helper()
		made, err := client.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: topic, Protocol: aws.String("http"), ReturnSubscriptionArn: true,
			Endpoint: aws.String(fmt.Sprintf("http://127.0.0.1:%d/%s", port, (*topic)[strings.LastIndexByte(*topic, ':')+1:]))})
		if err != nil {
			t.Fatal(err)
		}
		return *made.SubscriptionArn
	}
	pending := func(client *sns.Client, sub string) string {
		t.Helper()
		got, err := client.GetSubscriptionAttributes(t.Context(), &sns.GetSubscriptionAttributesInput{SubscriptionArn: &sub})
		if err != nil {
			t.Fatal(err)
		}
		return got.Attributes["PendingConfirmation"]
	}
	first, second := topicOf("first", "1"), topicOf("second", "2")
	for _, topic := range []*string{first, second} {
		sub := subscribe(topic, port)
		until(t, "it has confirmed", func() bool { return pending(client, sub) == "false" })
	}
	refused := subscribe(first, other)
	until(t, "the other one refuses", func() bool { return strings.Contains(refusing.String(), "refused: ") })
	publish := func(client *sns.Client, words string) {
		t.Helper()
		for _, topic := range []*string{first, second} {
			if _, err := client.Publish(t.Context(), &sns.PublishInput{TopicArn: topic, Message: &words, Subject: aws.String("ü")}); err != nil {
				t.Fatal(err)
			}
		}
		until(t, "both have come", func() bool {
			return strings.Contains(out.String(), "Notification of version 1: "+words) && strings.Contains(out.String(), "Notification of version 2: "+words)
		})
	}
	publish(client, "before")
	if got := pending(client, refused); got != "true" {
		t.Errorf("one that refused is pending: %s", got)
	}
	if strings.Contains(out.String(), "refused") {
		t.Errorf("the receiver says %s", out)
	}
	for _, s := range []*servertest.Server{front, back} {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	redis.Kill9()
	redis.Restart()
	begin(certificate.use, at)
	again := begin(func(c *server.Config) { c.PublicURL = mustURL(t, "https://"+address) })
	publish(snsClient(t, again, key), "after")
	if strings.Contains(out.String(), "refused") {
		t.Errorf("the receiver says %s", out)
	}
}
