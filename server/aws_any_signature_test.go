package server_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

// A tenant for development takes any signature from programs on the machine of the server, and nothing else does so.
func TestASignatureIsNotAskedForOnThisMachineWhereItsTenantSaysSo(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{MaxMemory: "100mb"})
	first := servertest.New(t, servertest.WithRedis(redis.URL()))
	second := servertest.New(t, servertest.WithRedis(redis.URL()))
	type pair struct {
		AWS struct {
			ID     string `json:"access_key_id"`
			Secret string `json:"secret_access_key"`
		} `json:"aws"`
	}
	var mine, sender, theirs pair
	first.JSON(t, http.StatusCreated, http.MethodPost, "/v1/keys", []byte(`{"name":"sdk","scopes":["developer"],"aws":true}`), &mine)
	first.JSON(t, http.StatusCreated, http.MethodPost, "/v1/keys", []byte(`{"name":"sender","scopes":["messages:send"],"aws":true}`), &sender)
	must(t, http.StatusCreated, nil, http.MethodPut, first.URL()+"/v1/tenants/other", first.OperatorKey, "")
	must(t, http.StatusCreated, &theirs, http.MethodPost, first.URL()+"/v1/keys", first.OperatorKey, `{"name":"sdk","scopes":["developer"],"aws":true}`, "Tenant", "other")

	call := func(s *servertest.Server, id, secret, action string, headers ...string) string {
		t.Helper()
		const body = `{"QueueName":"dev","QueueUrl":"dev","MessageBody":"x"}`
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-amz-json-1.0")
		r.Header.Set("X-Amz-Target", "AmazonSQS."+action)
		sum := sha256.Sum256([]byte(body))
		if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, r, hex.EncodeToString(sum[:]), "sqs", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == http.StatusOK {
			return "ok"
		}
		code, _, _ := strings.Cut(res.Header.Get("X-Amzn-Query-Error"), ";")
		return code
	}
	expect := func(want, got, what string) {
		t.Helper()
		if want != got {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
	}
	set := func(on string) {
		t.Helper()
		must(t, http.StatusOK, nil, http.MethodPatch, first.URL()+"/v1/tenants/default", first.OperatorKey, `{"aws_any_signature":`+on+`}`)
	}
	const wrong, refused = "not-the-secret-of-anybody", "SignatureDoesNotMatch"
	expect(refused, call(first, mine.AWS.ID, wrong, "CreateQueue"), "by default")
	set("true")
	expect("ok", call(first, mine.AWS.ID, wrong, "CreateQueue"), "where it is on")
	expect("ok", call(first, sender.AWS.ID, wrong, "SendMessage"), "with a scope")
	expect("AccessDenied", call(first, sender.AWS.ID, wrong, "ReceiveMessage"), "without the scope")
	expect("InvalidClientTokenId", call(first, "SLAKAAAAAAAAAAAAAAAA", wrong, "SendMessage"), "with an id that nobody has")
	expect("InvalidClientTokenId", call(first, "test", "test", "SendMessage"), "with what is no id")
	expect(refused, call(first, theirs.AWS.ID, wrong, "SendMessage"), "for another tenant")
	for _, header := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Real-Ip", "Via", "Origin", "Referer", "Sec-Fetch-Site", "Cookie"} {
		expect(refused, call(first, mine.AWS.ID, wrong, "SendMessage", header, "127.0.0.1"), "with "+header)
		expect("ok", call(first, mine.AWS.ID, mine.AWS.Secret, "SendMessage", header, "127.0.0.1"), "signed, with "+header)
	}
	until(t, "the other server knows", func() bool { return call(second, mine.AWS.ID, wrong, "SendMessage") == "ok" })
	until(t, "the log says so", func() bool {
		return strings.Contains(first.Log.String(), "whose signature does not hold, because its tenant has aws_any_signature")
	})
	set("false")
	expect(refused, call(first, mine.AWS.ID, wrong, "SendMessage"), "where it is off again")
	until(t, "the other server knows that too", func() bool { return call(second, mine.AWS.ID, wrong, "SendMessage") == refused })
}
