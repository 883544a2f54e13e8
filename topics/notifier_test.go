package topics_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
)

// note is a notification as far as these tests look at it.
type note struct {
	Type, MessageID, SequenceNumber, TopicArn, Subject, Message, Timestamp, SigningCertURL, UnsubscribeURL string
}

func readNote(tb testing.TB, body string) note {
	tb.Helper()
	var n note
	must(tb, json.Unmarshal([]byte(body), &n))
	return n
}

// certificatePath returns at which path a notification says that its certificate is.
func certificatePath(tb testing.TB, n note) string {
	tb.Helper()
	path, ok := strings.CutPrefix(n.SigningCertURL, "https://sluice.example")
	if !ok || !topics.IsCertificatePath(path) {
		tb.Fatalf("the address of the certificate is %s", n.SigningCertURL)
	}
	return path
}

func TestNotificationsHaveTheFormOfSNS(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, q, raw := w.topic(t, topics.Settings{Retention: time.Hour}), w.queue(t, "", nil), w.queue(t, "", nil)
		w.subscribe(t, tp, "noted", topics.SubscriptionSettings{Queue: q, Format: topics.Notified})
		w.subscribe(t, tp, "raw", topics.SubscriptionSettings{Queue: raw})
		sent, err := w.Publish(t.Context(), w.tenant, tp, queues.Outgoing{Body: []byte("hello"), Subject: "news", TraceParent: "00-1", GroupID: "g"})
		must(t, err)
		w.settled(t, tp, "noted", "raw")
		m := w.drain(t, q)[0]
		n := readNote(t, m.Body)
		owner, err := w.tenants.ByID(t.Context(), w.tenant)
		must(t, err)
		arn := "arn:aws:sns:eu-test-1:" + owner.AccountNumber + ":" + tp
		if n.Type != "Notification" || n.TopicArn != arn || n.Subject != "news" || n.Message != "hello" || n.Timestamp != "2026-03-01T12:00:00.000Z" ||
			m.ContentType != "application/json" || m.TraceParent != "00-1" || m.GroupID != "g" {
			t.Errorf("got %+v of %+v", n, m)
		}
		if !strings.Contains(m.Body, sent.ID.UUID()) {
			t.Errorf("the id is not %s in %s", sent.ID.UUID(), m.Body)
		}
		// No queue keeps a subject, and a replay brings it once more.
		if got := w.drain(t, raw)[0]; got.Body != "hello" {
			t.Errorf("raw is %+v", got)
		}
		page, err := w.Read(t.Context(), w.tenant, tp, topics.ReadOptions{Limit: 10})
		must(t, err)
		if page.Messages[0].Message.Subject != "news" {
			t.Errorf("the log has %+v", page.Messages[0].Message)
		}
		subscription := w.subscription(t, tp, "noted")
		if subscription.Settings.Format != topics.Notified || subscription.Settings.Format.String() != "sns" {
			t.Errorf("the subscription is %+v", subscription)
		}
	})
}

// The key is made once, for all servers, and outlives them; what lies in Redis opens with the master key only.
func TestTheKeyOfNotificationsIsOneForAllServers(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, q := w.topic(t, topics.Settings{}), w.queue(t, "", nil)
		w.subscribe(t, tp, "noted", topics.SubscriptionSettings{Queue: q, Format: topics.Notified})
		w.publish(t, tp, "x")
		w.settled(t, tp, "noted")
		path := certificatePath(t, readNote(t, w.drain(t, q)[0].Body))
		mine, err := w.notifier.Certificate(t.Context(), path)
		must(t, err)
		theirs, err := w.another(t).notifier.Certificate(t.Context(), path)
		must(t, err)
		if string(mine) != string(theirs) || !strings.HasPrefix(string(mine), "-----BEGIN CERTIFICATE-----\n") {
			t.Errorf("one server has\n%s\nanother\n%s", mine, theirs)
		}
		if none, err := w.notifier.Certificate(t.Context(), path+"x"); none != nil || err != nil {
			t.Errorf("another path has %s, %v", none, err)
		}
		kept, err := w.engine.Single().Get(t.Context(), topics.SigningKeyKey()).Result()
		must(t, err)
		if strings.Contains(kept, "PRIVATE") || strings.Count(kept, " ") != 1 {
			t.Errorf("Redis has %s", kept)
		}
		stranger := w.newNotifier(t, base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x1", 16))))
		if got, err := stranger.Certificate(t.Context(), path); err == nil {
			t.Errorf("another master key opens it: %s", got)
		}
		// A certificate that somebody else wrote there is served by nobody.
		certificate, _, _ := strings.Cut(kept, " ")
		must(t, w.engine.Single().Set(t.Context(), topics.SigningKeyKey(), "AAAA"+certificate[4:]+kept[len(certificate):], 0).Err())
		if got, err := w.another(t).notifier.Certificate(t.Context(), path); err == nil {
			t.Errorf("it is served: %s", got)
		}
	})
}

func TestUnsubscribeTokensAreOfOneSubscription(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp, q := w.topic(t, topics.Settings{}), w.queue(t, "", nil)
		w.subscribe(t, tp, "noted", topics.SubscriptionSettings{Queue: q, Format: topics.Notified})
		w.publish(t, tp, "x")
		w.settled(t, tp, "noted")
		n := readNote(t, w.drain(t, q)[0].Body)
		_, token, _ := strings.Cut(n.UnsubscribeURL, "&Token=")
		arn := n.TopicArn + ":noted"
		owner, created, ok := w.notifier.OpenUnsubscribeToken(token, arn)
		if want := w.subscription(t, tp, "noted").Created; !ok || owner != w.tenant || !created.Equal(want) {
			t.Errorf("the token is of %v, %v, %v", owner, created, ok)
		}
		for _, c := range []struct{ token, arn string }{
			{token, arn + "x"}, {token + "x", arn}, {"", arn}, {"..", arn}, {strings.Replace(token, w.tenant.String(), w.newTenant(t).String(), 1), arn},
			{strings.Replace(token, fmt.Sprint(created.UnixMilli()), fmt.Sprint(created.UnixMilli()+1), 1), arn},
		} {
			if _, _, ok := w.notifier.OpenUnsubscribeToken(c.token, c.arn); ok {
				t.Errorf("token %s of %s is taken", c.token, c.arn)
			}
		}
	})
}

func TestPutLeavesWhatOnlySNSSays(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		set := topics.Settings{AWS: topics.AWS{DisplayName: "shown", SignatureVersion: "2"}}
		tp := w.topic(t, set)
		_, _, err := w.Put(t.Context(), w.tenant, tp, topics.Settings{Retention: time.Hour}, topics.Condition{})
		must(t, err)
		w.ForgetTopics()
		got, err := w.Get(t.Context(), w.tenant, tp)
		must(t, err)
		if got.Settings.AWS != set.AWS || got.Settings.Retention != time.Hour {
			t.Errorf("got %+v", got.Settings)
		}
		q, replay := w.queue(t, "", nil), topics.Replayed{Policy: "{}", Task: "task_x", Until: 7}
		w.subscribe(t, tp, "s", topics.SubscriptionSettings{Queue: q, Replay: replay})
		sub, _, err := w.PutSubscription(t.Context(), w.tenant, tp, "s", topics.SubscriptionSettings{Queue: q, Format: topics.Enveloped}, topics.Condition{})
		must(t, err)
		if sub.Settings.Replay != replay || sub.Settings.Format != topics.Enveloped {
			t.Errorf("got %+v", sub.Settings)
		}
		_, _, err = w.Put(t.Context(), w.tenant, tp+"x", topics.Settings{AWS: topics.AWS{Policy: strings.Repeat("x", topics.MaxPolicy+1)}}, topics.Condition{})
		if err == nil {
			t.Error("a policy that is too long is kept")
		}
	})
}
