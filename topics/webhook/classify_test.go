package webhook_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

func TestAnswersMean(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status          int
		header          []string
		outcome, health string
		code            string
		wait, peace     time.Duration
	}{
		{status: 200, outcome: "done", health: "+"},
		{status: 204, outcome: "done", health: "+"},
		{status: 299, outcome: "done", health: "+"},
		{status: 301, outcome: "retry", health: "-", code: "redirect_refused"},
		{status: 307, outcome: "retry", health: "-", code: "redirect_refused"},
		{status: 400, outcome: "retry", health: "-", code: "http_400"},
		{status: 401, outcome: "retry", health: "-", code: "http_401"},
		{status: 404, outcome: "retry", health: "-", code: "http_404"},
		{status: 408, outcome: "retry", health: "-", code: "http_408"},
		{status: 410, outcome: "dead", health: "x", code: "http_410"},
		{status: 413, outcome: "dead", code: "http_413"},
		{status: 429, outcome: "retry", code: "http_429", peace: 10 * time.Second},
		{status: 429, header: []string{"Retry-After", "120"}, outcome: "retry", code: "http_429", wait: 2 * time.Minute, peace: 2 * time.Minute},
		{status: 429, header: []string{"Retry-After", start.Add(time.Hour).Format(http.TimeFormat)}, outcome: "retry", code: "http_429", wait: time.Hour, peace: time.Hour},
		{status: 503, header: []string{"Retry-After", "99999999999999999999"}, outcome: "retry", health: "-", code: "http_503", wait: 24 * time.Hour, peace: 24 * time.Hour},
		{status: 503, header: []string{"Retry-After", "-5"}, outcome: "retry", health: "-", code: "http_503"},
		{status: 503, header: []string{"Retry-After", start.Add(-time.Hour).Format(http.TimeFormat)}, outcome: "retry", health: "-", code: "http_503"},
		{status: 500, header: []string{"Retry-After", "120"}, outcome: "retry", health: "-", code: "http_500"},
		{status: 500, header: []string{"Webhook-Delivery", "abort-message"}, outcome: "dead", health: "-", code: "http_500"},
		{status: 500, header: []string{"Webhook-Delivery", "disable"}, outcome: "retry", health: "x", code: "http_500"},
	} {
		h := http.Header{}
		if c.header != nil {
			h.Set(c.header[0], c.header[1])
		}
		outcome, health, code, charged, wait, peace := webhook.Judge(&egress.Response{Status: c.status, Header: h}, nil, webhook.DefaultTerminal, start)
		if outcome != c.outcome || health != c.health || code != c.code || !charged || wait != c.wait || peace != c.peace {
			t.Errorf("%d %v: got %s %q %s %v %v %v, want %+v", c.status, c.header, outcome, health, code, charged, wait, peace, c)
		}
	}
	for _, c := range []struct {
		kind            egress.Kind
		outcome, health string
		charged         bool
	}{
		{egress.Timeout, "retry", "-", true},
		{egress.Connect, "retry", "-", true},
		{egress.Closed, "retry", "-", true},
		{egress.TLS, "retry", "-", true},
		{egress.NoSuchName, "retry", "-", true},
		{egress.TooLarge, "retry", "-", true},
		{egress.Protocol, "retry", "-", true},
		{egress.NotAllowed, "retry", "-", true},
		{egress.ProxyRefused, "retry", "-", true},
		{egress.DNS, "free", "", false},
		{egress.ProxyFailed, "free", "", false},
		{egress.Canceled, "free", "", false},
	} {
		outcome, health, code, charged, _, peace := webhook.Judge(nil, &egress.Error{Kind: c.kind, Message: "words"}, webhook.DefaultTerminal, start)
		if outcome != c.outcome || health != c.health || code != string(c.kind) || charged != c.charged {
			t.Errorf("%s: got %s %q %s %v, want %+v", c.kind, outcome, health, code, charged, c)
		}
		if unknown := c.kind == egress.DNS || c.kind == egress.ProxyFailed; unknown != (peace > 0) {
			t.Errorf("%s: the endpoint is left alone for %v", c.kind, peace)
		}
	}
}

// What an endpoint's settings say of answers holds on whichever server sends, from the next attempt on, and says nothing of success.
func TestAStatusThatIsTerminalEndsAMessage(t *testing.T) {
	for _, c := range []struct {
		status          int
		terminal        []int
		outcome, health string
	}{
		{422, []int{422}, "dead", ""},
		{422, []int{421}, "retry", "-"},
		{500, []int{500}, "dead", "-"},
		{301, []int{301}, "dead", ""},
		{410, []int{}, "retry", "x"},
		{413, []int{}, "retry", ""},
		{429, []int{429}, "dead", ""},
		{204, []int{410}, "done", "+"},
	} {
		outcome, health, _, _, _, _ := webhook.Judge(&egress.Response{Status: c.status, Header: http.Header{}}, nil, c.terminal, start)
		if outcome != c.outcome || health != c.health {
			t.Errorf("%d, terminal %v: got %s %q, want %s %q", c.status, c.terminal, outcome, health, c.outcome, c.health)
		}
	}
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, answering(http.StatusUnprocessableEntity))
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL, Terminal: []int{422}})
		w.publish(t, tp, "one", "two", "three", "four", "five", "six", "seven")
		w.reaches(t, way, "all have failed at once, and nothing is said of the endpoint", func(s webhook.Status) bool {
			return s.Dead == 7 && s.Attempts == 7 && s.Failures == 0 && s.Gate == webhook.Open
		})
		w.kill() // another server goes on with the same settings
		other := w.another(t)
		other.publish(t, tp, "eight")
		other.forward(t, 2*time.Minute, "another server has sent it", func() bool { return other.status(t, way).Dead == 8 })
	})
}
