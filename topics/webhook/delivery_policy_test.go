package webhook_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/topics/webhook"
)

// waits returns the seconds between attempts by the policy of a subscription.
func waits(policy string) []float64 {
	var list []float64
	for _, w := range webhook.Waits(webhook.Effective("", policy)) {
		list = append(list, w.Seconds())
	}
	return list
}

func TestN52_WaitsGrowAsThePolicySays(t *testing.T) {
	t.Parallel()
	for backoff, want := range map[string][]float64{
		"linear":      {10, 30, 50, 70, 90},
		"arithmetic":  {10, 18, 34, 58, 90},
		"geometric":   {10, 17.321, 30, 51.962, 90},
		"exponential": {10, 15.333, 26, 47.333, 90},
	} {
		got := waits(fmt.Sprintf(`{"healthyRetryPolicy":{"numRetries":5,"minDelayTarget":10,"maxDelayTarget":90,"backoffFunction":%q}}`, backoff))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", backoff, d)
		}
	}
	if d := cmp.Diff([]float64{0, 0, 1, 1, 5, 9, 9}, waits(`{"healthyRetryPolicy":{"numRetries":7,"numNoDelayRetries":2,"numMinDelayRetries":1,"numMaxDelayRetries":1,"minDelayTarget":1,"maxDelayTarget":9}}`)); d != "" {
		t.Errorf("all phases (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]float64{20, 20, 20}, waits("")); d != "" {
		t.Errorf("by default (-want +got):\n%s", d)
	}
	if got := waits(`{"healthyRetryPolicy":{"numRetries":0}}`); len(got) != 0 {
		t.Errorf("no retries: %v", got)
	}
}

// Whatever policy is taken, it says as many waits as it has retries, each within its bounds, and none of them over an hour in all.
func TestN51_NoPolicyThatIsTakenBreaksItsBounds(t *testing.T) {
	t.Parallel()
	taken := 0
	for range 20_000 {
		n, least := rand.IntN(101), 1+rand.IntN(50)
		most := least + rand.IntN(100)
		at := func() int { return rand.IntN(n/2 + 2) }
		backoff := []string{"linear", "arithmetic", "geometric", "exponential"}[rand.IntN(4)]
		none, first, last := at(), at(), at()
		policy := fmt.Sprintf(`{"healthyRetryPolicy":{"numRetries":%d,"numNoDelayRetries":%d,"numMinDelayRetries":%d,"numMaxDelayRetries":%d,"minDelayTarget":%d,"maxDelayTarget":%d,"backoffFunction":%q}}`,
			n, none, first, last, least, most, backoff)
		if webhook.CheckPolicy(policy) != nil {
			continue
		}
		taken++
		list, total := webhook.Waits(webhook.Effective("", policy)), time.Duration(0)
		for i, w := range list {
			total += w
			if i >= none && (w < time.Duration(least)*time.Second || w > time.Duration(most)*time.Second) || i < none && w != 0 {
				t.Fatalf("%s: wait %d is %v", policy, i, w)
			}
		}
		if len(list) != n || total > time.Hour || !slices.IsSorted(list) {
			t.Fatalf("%s: %d waits, %v in all: %v", policy, len(list), total, list)
		}
	}
	if taken < 1000 {
		t.Errorf("only %d policies were taken", taken)
	}
}

// A policy that an older server has taken, which did not look, counts as none.
func TestAPolicyThatCannotBeReadDoesNotCount(t *testing.T) {
	t.Parallel()
	if d := cmp.Diff(webhook.Effective("", ""), webhook.Effective(`{"http":{"defaultHealthyRetryPolicy":{"numRetries":1000}}}`, `{"throttlePolicy":[]}`)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
