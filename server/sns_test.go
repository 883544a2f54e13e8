package server_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// snsClient returns the SDK for a server, with a key pair of a tenant.
func snsClient(tb testing.TB, s *servertest.Server, key string) *sns.Client {
	tb.Helper()
	var made struct {
		AWS struct {
			ID     string `json:"access_key_id"`
			Secret string `json:"secret_access_key"`
		} `json:"aws"`
	}
	must(tb, http.StatusCreated, &made, http.MethodPost, s.URL()+"/v1/keys", key, `{"name":"sdk","scopes":["developer"],"aws":true}`)
	return sns.New(sns.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.URL()),
		Credentials: credentials.NewStaticCredentialsProvider(made.AWS.ID, made.AWS.Secret, "")})
}

// verified returns the message of a notification, which must have a signature of version 2 by the certificate that a server
// has at its address.
func verified(tb testing.TB, server, body string) (message, path string) {
	tb.Helper()
	var n struct{ MessageId, Message, Timestamp, TopicArn, Signature, SigningCertURL string } //nolint:revive,staticcheck // as SNS writes them
	if err := json.Unmarshal([]byte(body), &n); err != nil {
		tb.Fatalf("%v in %s", err, body)
	}
	path = n.SigningCertURL[strings.LastIndexByte(n.SigningCertURL, '/'):]
	res, err := http.Get(server + path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	block, _ := pem.Decode(raw)
	if err != nil || block == nil {
		tb.Fatalf("%s has %d %s, %v", path, res.StatusCode, raw, err)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		tb.Fatal(err)
	}
	signature, err := base64.StdEncoding.DecodeString(n.Signature)
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256([]byte("Message\n" + n.Message + "\nMessageId\n" + n.MessageId + "\nTimestamp\n" + n.Timestamp + "\nTopicArn\n" + n.TopicArn + "\nType\nNotification\n"))
	if err := rsa.VerifyPKCS1v15(certificate.PublicKey.(*rsa.PublicKey), crypto.SHA256, sum[:], signature); err != nil {
		tb.Errorf("the signature of %s: %v", body, err)
	}
	return n.Message, path
}

// A topic that one server made by SNS is published to at another; the notification is verified by the certificate of either,
// and of those that come after them.
func TestNotificationsAreSignedByTheInstallation(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	b := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	key, _ := newTenant(t, a, "notified")
	must(t, http.StatusCreated, nil, http.MethodPut, a.URL()+"/v1/queues/q", key, "")
	var queue struct{ ARN string }
	must(t, http.StatusOK, &queue, http.MethodGet, a.URL()+"/v1/queues/q", key, "")
	made, err := snsClient(t, a, key).CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("orders"), Attributes: map[string]string{"SignatureVersion": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := snsClient(t, b, key).Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: made.TopicArn, Protocol: aws.String("sqs"), Endpoint: &queue.ARN}); err != nil {
		t.Fatal(err)
	}
	receive := func(s *servertest.Server) string {
		t.Helper()
		var got struct{ Messages []struct{ Body string } }
		must(t, http.StatusOK, &got, http.MethodPost, s.URL()+"/v1/queues/q/receive?wait=20&ack=auto", key, "")
		if len(got.Messages) != 1 {
			t.Fatalf("received %+v", got)
		}
		return got.Messages[0].Body
	}
	paths := map[string]bool{}
	check := func(s *servertest.Server, message string, servers ...*servertest.Server) {
		t.Helper()
		if _, err := snsClient(t, s, key).Publish(t.Context(), &sns.PublishInput{TopicArn: made.TopicArn, Message: &message}); err != nil {
			t.Fatal(err)
		}
		body := receive(servers[0])
		for _, at := range servers {
			got, path := verified(t, at.URL(), body)
			if paths[path] = true; got != message {
				t.Errorf("got %q, want %q", got, message)
			}
		}
	}
	check(a, "first", a, b)
	check(b, "second", b, a)
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	redis.Kill9()
	redis.Restart()
	c := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	check(c, "third", c)
	if len(paths) != 1 {
		t.Errorf("certificates were at %v", paths)
	}
}
