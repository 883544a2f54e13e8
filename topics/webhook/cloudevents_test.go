package webhook_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// event subscribes an endpoint that gets events.
func (w *world) event(tb testing.TB, topic, name, url string, format topics.Format) topics.Way {
	tb.Helper()
	s, _, err := w.topics.PutSubscription(tb.Context(), w.tenant, topic, name, topics.SubscriptionSettings{Endpoint: webhook.Endpoint{URL: url}.Encode(), Format: format}, topics.Condition{})
	must(tb, err)
	return s.Way
}

func eventHeaders(h http.Header) map[string]string {
	out := map[string]string{"content-type": h.Get("Content-Type")}
	for name := range h {
		if strings.HasPrefix(name, "Ce-") {
			out[strings.ToLower(name)] = h.Get(name)
		}
	}
	return out
}

func TestMessagesArriveAsCloudEvents(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, ".fifo", topics.Settings{})
		rc := newReceiver(t, nil)
		binary, structured := w.event(t, tp, "b", rc.URL+"/b", topics.EventBinary), w.event(t, tp, "s", rc.URL+"/s", topics.EventStructured)
		sent := []queues.Outgoing{
			{Body: []byte(`{"order": 7, "html": "<b>"}`), ContentType: "application/json", GroupID: "g-1", DeduplicationID: "1", Attributes: []queues.Attribute{
				{Name: "type", Type: "String", Value: "order.created"}, {Name: "source", Type: "String", Value: "https://shop.example.com/orders"}, {Name: "subject", Type: "String", Value: "7"},
				{Name: "Region", Type: "String", Value: `Zürich "1" 100%`}, {Name: "count", Type: "Number", Value: "3"}, {Name: "raw", Type: "Binary", Value: "\xff\x00"},
				{Name: "order.id", Type: "String", Value: "no such name"}, {Name: "ID", Type: "String", Value: "taken"}, {Name: "long", Type: "String", Value: strings.Repeat("x", 1025)},
				{Name: "lines", Type: "String", Value: "a\nb"}}},
			{Body: []byte("not json"), ContentType: "application/json", GroupID: "g-1", DeduplicationID: "2"},
			{Body: []byte("text é"), GroupID: "g-1", DeduplicationID: "3", Attributes: []queues.Attribute{{Name: "source", Type: "String", Value: "no uri"}}},
			{Body: []byte("\xff"), ContentType: "text/plain", GroupID: "g-1", DeduplicationID: "4"},
		}
		got, err := w.topics.PublishBatch(t.Context(), w.tenant, tp, sent, false)
		must(t, err)
		for _, r := range got {
			must(t, r.Err)
		}
		for _, way := range []topics.Way{binary, structured} {
			w.reaches(t, way, "all is delivered", func(s webhook.Status) bool { return s.Delivered == int64(len(sent)) })
		}
		common := func(i int) map[string]string {
			at := topics.PublishedAt(got[i].Sequence).UTC()
			return map[string]string{"specversion": "1.0", "id": "msg_" + got[i].ID.String(), "source": "/v1/topics/" + tp, "type": tp, "time": at.Format("2006-01-02T15:04:05.999999999Z07:00"), "partitionkey": "g-1"}
		}
		wants := make([]map[string]string, len(sent))
		for i := range wants {
			wants[i] = common(i)
		}
		for name, value := range map[string]string{"type": "order.created", "source": "https://shop.example.com/orders", "subject": "7", "region": `Zürich "1" 100%`, "count": "3", "raw": "/wA="} {
			wants[0][name] = value
		}
		types := []string{"application/json", "application/json", "text/plain; charset=utf-8", "text/plain"}
		data := []string{`{"order": 7, "html": "<b>"}`, `"bm90IGpzb24="`, `"text é"`, `"/w=="`}
		b, s := 0, 0
		secrets, err := w.Secrets(t.Context(), structured)
		must(t, err)
		for _, r := range rc.got() {
			if r.path == "/b" {
				want := map[string]string{"content-type": types[b]}
				for name, value := range wants[b] {
					want["ce-"+name] = strings.NewReplacer("%", "%25", " ", "%20", `"`, "%22", "ü", "%C3%BC").Replace(value)
				}
				if diff := cmp.Diff(want, eventHeaders(r.header)); diff != "" || r.body != string(sent[b].Body) || r.header.Get("Webhook-Id") != "msg_"+got[b].ID.String() {
					t.Errorf("binary %d (-want +got):\n%s%q", b, diff, r.body)
				}
				b++
				continue
			}
			var event map[string]json.RawMessage
			if err := json.Unmarshal([]byte(r.body), &event); err != nil {
				t.Fatalf("%v: %s", err, r.body)
			}
			texts, payload := map[string]string{}, ""
			for name, value := range event {
				if name == "data" || name == "data_base64" {
					payload = string(value)
					continue
				}
				var text string
				must(t, json.Unmarshal(value, &text))
				texts[name] = text
			}
			want := maps.Clone(wants[s])
			if want["datacontenttype"] = types[s]; s == 0 {
				want["long"] = strings.Repeat("x", 1025)
			}
			if diff := cmp.Diff(want, texts); diff != "" || payload != data[s] || r.header.Get("Content-Type") != "application/cloudevents+json; charset=utf-8" || !verified(t, secrets[0].Secret, r) {
				t.Errorf("structured %d (-want +got):\n%s%s", s, diff, r.body)
			}
			s++
		}
		if b != len(sent) || s != len(sent) {
			t.Errorf("%d and %d came", b, s)
		}
	})
}

// The format of a message is the one that holds when it is sent, on whatever server.
func TestAnEventIsMadeWhenItIsSent(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, answering(500))
		way := w.event(t, tp, "a", rc.URL, topics.Raw)
		w.publish(t, tp, "one")
		w.reaches(t, way, "it waits", func(s webhook.Status) bool { return s.Attempts == 1 && s.Sending == 0 })
		other := w.another(t)
		other.event(t, tp, "a", rc.URL, topics.EventBinary)
		w.kill()
		other.forward(t, 3*time.Minute, "it is sent again", func() bool { return rc.count() == 2 })
		first, second := rc.got()[0], rc.got()[1]
		if len(eventHeaders(first.header)) != 1 || second.header.Get("Ce-Id") != first.header.Get("Webhook-Id") || second.body != "one" {
			t.Errorf("what came: %+v %+v", first, second)
		}
	})
}
