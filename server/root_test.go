package server_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/sluicemq/sluice/internal/addr"
	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server"
	"github.com/sluicemq/sluice/server/servertest"
)

const installationKey = "sl:-:{sys}:installation"

// keyIn returns the text of the key in a file, "" where there is none.
func keyIn(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// fingerprint returns that of a key.
func fingerprint(t *testing.T, key string) string {
	t.Helper()
	m, _, err := keyring.Open(t.TempDir(), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m.Fingerprint()
}

// sharedKey is the master key of all servers of the test binary as people write it.
var sharedKey = base64.StdEncoding.EncodeToString(servertest.MasterKey)

// belongings are what is made of the installation's secrets: keys, receipts, tokens, secrets at rest.
type belongings struct {
	key, operator, queue, ack, token string
	pair                             struct {
		ID     string `json:"access_key_id"`
		Secret string `json:"secret_access_key"`
	}
	secret string // of a webhook
}

const webhookPath = "/v1/topics/kept/subscriptions/hook"

func acquire(t *testing.T, s *servertest.Server) *belongings {
	t.Helper()
	b := &belongings{key: s.Key, operator: s.OperatorKey, queue: newQueue(t, s.URL(), s.Key, `{"visibility_timeout":600}`)}
	must(t, http.StatusCreated, nil, http.MethodPost, s.URL()+"/v1/queues/"+b.queue+"/messages", b.key, "held")
	var got struct{ Messages []received }
	must(t, http.StatusOK, &got, http.MethodPost, s.URL()+"/v1/queues/"+b.queue+"/receive", b.key, "")
	b.ack = "/v1/queues/" + b.queue + "/receipts/" + got.Messages[0].ReceiptHandle
	var token struct {
		AccessToken string `json:"access_token"`
	}
	must(t, http.StatusCreated, &token, http.MethodPost, s.URL()+"/v1/tokens", b.key, `{"expires_in":3600}`)
	b.token = token.AccessToken
	must(t, http.StatusCreated, &struct{ AWS any }{&b.pair}, http.MethodPost, s.URL()+"/v1/keys", b.key, `{"aws":true,"scopes":["developer"]}`)
	must(t, http.StatusCreated, nil, http.MethodPut, s.URL()+"/v1/topics/kept", b.key, "")
	must(t, http.StatusCreated, nil, http.MethodPut, s.URL()+webhookPath, b.key, `{"endpoint":"https://hooks.example/"}`)
	var secret struct{ Secret string }
	must(t, http.StatusOK, &secret, http.MethodGet, s.URL()+webhookPath+"/secret", b.key, "")
	b.secret = secret.Secret
	return b
}

// check looks whether all of them hold on a server.
func (b *belongings) check(t *testing.T, when string, s *servertest.Server) {
	t.Helper()
	for _, a := range []struct{ method, path, key, body string }{
		{http.MethodGet, "/v1/whoami", b.key, ""},
		{http.MethodGet, "/v1/tenants", b.operator, ""},
		{http.MethodGet, "/v1/whoami", b.token, ""},
		{http.MethodPatch, b.ack, b.key, `{"visibility_timeout":600}`},
	} {
		if got := call(t, a.method, s.URL()+a.path, a.key, a.body); got.status/100 != 2 {
			t.Errorf("%s: %s %s: %s", when, a.method, a.path, got)
		}
	}
	client := sns.New(sns.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.URL()),
		Credentials: credentials.NewStaticCredentialsProvider(b.pair.ID, b.pair.Secret, "")})
	if _, err := client.ListTopics(t.Context(), &sns.ListTopicsInput{}); err != nil {
		t.Errorf("%s: the AWS pair: %v", when, err)
	}
	var secret struct{ Secret string }
	must(t, http.StatusOK, &secret, http.MethodGet, s.URL()+webhookPath+"/secret", b.key, "")
	if secret.Secret != b.secret {
		t.Errorf("%s: the webhook has another secret", when)
	}
}

// refuses checks that the program does not start with a master key, "" for the one in the data directory.
func refuses(t *testing.T, why, key string, env ...string) {
	t.Helper()
	if key != "" {
		env = append(env, "SLUICE_MASTER_KEY="+key)
	}
	status, out := servertest.RunBinary(t, t.TempDir(), onFreePorts(env...), "serve")
	if status != 2 || !strings.Contains(out, why) {
		t.Errorf("exit status %d, want 2 and %q:\n%s", status, why, out)
	}
}

func TestServersThatStartTogetherHaveOneRoot(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	const n = 4
	servers := make([]*servertest.Server, n)
	var wg sync.WaitGroup
	for i := range n {
		servers[i] = servertest.Start(t, servertest.WithRedis(redis.URL()), quiet)
		wg.Go(func() {
			select {
			case <-servers[i].Booted():
			case <-time.After(patience):
				t.Errorf("server %d does not start: %s", i, servers[i].Log)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for _, s := range servers {
		s.Key, s.OperatorKey = keyIn(t, s.DataDir, "default-key"), keyIn(t, s.DataDir, "operator-key")
	}
	mine := acquire(t, servers[0])
	for i, s := range servers {
		mine.check(t, fmt.Sprint("server ", i), s)
	}
}

// An installation from before there was a root secret goes on with its master key as the root, and is not changed by that.
func TestAnInstallationWithoutARootGoesOn(t *testing.T) {
	t.Parallel()
	redis := withoutRoot(t)
	s := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	mine := acquire(t, s)
	mine.check(t, "another server", servertest.New(t, servertest.WithRedis(redis.URL()), quiet))
	client := redis.Client(t)
	if n := client.HLen(t.Context(), installationKey).Val(); n != 3 {
		t.Errorf("a start has changed the record to %v", client.HGetAll(t.Context(), installationKey).Val())
	}
	stranger := base64.StdEncoding.EncodeToString([]byte("another master key of 32 bytes!!"))
	refuses(t, "belongs to another master key", stranger, "SLUICE_REDIS_URL="+redis.URL())
}

// withoutRoot returns a Redis with an installation from before there was a root secret.
func withoutRoot(t *testing.T) *redistest.Server {
	t.Helper()
	r := redistest.Start(t, redistest.Options{})
	if err := r.Client(t).HSet(t.Context(), installationKey, "epoch", "OLD", "fingerprint", fingerprint(t, sharedKey), "region", "us-east-1").Err(); err != nil {
		t.Fatal(err)
	}
	return r
}

// What cannot be read is neither used nor replaced.
func TestADamagedRootIsRefused(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	s := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	mine := acquire(t, s)
	client := redis.Client(t)
	whole := client.HGet(t.Context(), installationKey, "root").Val()
	elsewhere := redistest.Start(t, redistest.Options{})
	servertest.New(t, servertest.WithRedis(elsewhere.URL()), quiet)
	foreign := elsewhere.Client(t).HGet(t.Context(), installationKey, "root").Val() // which the master key opens
	c := server.DefaultConfig()
	c.DataDir, c.MasterKey, c.Listen = s.DataDir, servertest.MasterKey, strings.TrimPrefix(s.URL(), "http://")
	c.RedisURL, _ = addr.ParseRedis(redis.URL())
	for what, text := range map[string]string{"truncated": whole[:len(whole)-6], "emptied": whole[:17], "that of another installation": foreign} {
		if err := client.HSet(t.Context(), installationKey, "root", text).Err(); err != nil {
			t.Fatal(err)
		}
		refuses(t, "the sealed root secret is damaged", sharedKey, "SLUICE_REDIS_URL="+redis.URL())
		if got, all := patient(t, c); got["data set"] != server.VerdictFail {
			t.Errorf("%s: the doctor: %s", what, all)
		}
		if got := client.HGet(t.Context(), installationKey, "root").Val(); got != text {
			t.Errorf("%s: it was replaced by %q", what, got)
		}
		mine.check(t, what, s)
	}
}
