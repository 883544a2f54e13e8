package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// DeliveryPolicy is how SNS tries a web endpoint.
type DeliveryPolicy struct {
	Retry       RetryPolicy
	PerSecond   int    // requests at most; 0: as many as there are
	ContentType string // of what is sent, but not of what asks for a confirmation
	// Only says that the policies of subscriptions do not count.
	Only bool
}

// RetryPolicy says when what failed is tried again: in four phases, of which the third has what the others leave of Retries.
type RetryPolicy struct {
	MinDelay  int    `json:"minDelayTarget"` // seconds
	MaxDelay  int    `json:"maxDelayTarget"`
	Retries   int    `json:"numRetries"`
	MaxDelays int    `json:"numMaxDelayRetries"` // at the end, each after MaxDelay
	NoDelay   int    `json:"numNoDelayRetries"`  // at once
	MinDelays int    `json:"numMinDelayRetries"` // then, each after MinDelay
	Backoff   string `json:"backoffFunction"`    // how the waits of the third phase grow from MinDelay to MaxDelay
}

const (
	// maxPolicyRetries and maxPolicyTime bound a policy: how often something is tried again, and all waits together.
	maxPolicyRetries = 100
	maxPolicyTime    = time.Hour
	// notifiedType is the content type of what SNS sends, JSON though it is.
	notifiedType = "text/plain; charset=UTF-8"
)

// backoffs are the functions by which waits grow.
var backoffs = []string{"linear", "arithmetic", "geometric", "exponential"}

// contentTypes are those that a policy may set.
var contentTypes = []string{"text/plain; charset=UTF-8", "application/json", "application/json; charset=UTF-8", "application/octet-stream",
	"application/soap+xml", "application/x-www-form-urlencoded", "application/xml", "application/xml; charset=UTF-8", "application/atom+xml",
	"text/css", "text/csv", "text/html", "text/plain", "text/xml"}

// usualPolicy is what holds where nobody said otherwise.
var usualPolicy = DeliveryPolicy{Retry: RetryPolicy{MinDelay: 20, MaxDelay: 20, Retries: 3, Backoff: "linear"}, ContentType: notifiedType}

// policyParts are the parts of a delivery policy as they are written. What is missing or null is nil.
type policyParts struct {
	retry    json.RawMessage
	throttle json.RawMessage
	request  json.RawMessage
	only     json.RawMessage
}

// CheckTopicPolicy says what is wrong with the delivery policy of a topic, nil for nothing. Its words are for its author.
func CheckTopicPolicy(text string) error {
	_, err := parseTopicPolicy(text)
	return err
}

// CheckPolicy says it of the policy of a subscription.
func CheckPolicy(text string) error {
	_, err := usualPolicy.with(text)
	return err
}

// Effective returns what holds for a subscription: its own policy, part by part over that of its topic. Both were found to be
// right; one that is not does not count.
func Effective(topic, own string) DeliveryPolicy {
	p, err := parseTopicPolicy(topic)
	if err != nil {
		p = usualPolicy
	}
	if p.Only {
		return p
	}
	if over, err := p.with(own); err == nil {
		p = over
	}
	return p
}

func parseTopicPolicy(text string) (DeliveryPolicy, error) {
	if text == "" {
		return usualPolicy, nil
	}
	var parts policyParts
	var http json.RawMessage
	if err := members(json.RawMessage(text), "", map[string]*json.RawMessage{"http": &http}); err != nil {
		return usualPolicy, err
	}
	err := members(http, "http", map[string]*json.RawMessage{"defaultHealthyRetryPolicy": &parts.retry, "defaultSicklyRetryPolicy": nil,
		"defaultThrottlePolicy": &parts.throttle, "defaultRequestPolicy": &parts.request, "disableSubscriptionOverrides": &parts.only})
	if err != nil {
		return usualPolicy, err
	}
	return usualPolicy.over(&parts, "default")
}

// with returns the policy with the parts that the policy of a subscription has.
func (p DeliveryPolicy) with(text string) (DeliveryPolicy, error) {
	if text == "" {
		return p, nil
	}
	var parts policyParts
	err := members(json.RawMessage(text), "", map[string]*json.RawMessage{"healthyRetryPolicy": &parts.retry, "sicklyRetryPolicy": nil,
		"throttlePolicy": &parts.throttle, "requestPolicy": &parts.request, "guaranteed": nil})
	if err != nil {
		return p, err
	}
	return p.over(&parts, "")
}

// over returns the policy with parts in the place of its own. Prefix begins their names.
func (p DeliveryPolicy) over(parts *policyParts, prefix string) (DeliveryPolicy, error) {
	name := func(part string) string {
		if prefix == "" {
			return part
		}
		return prefix + strings.ToUpper(part[:1]) + part[1:]
	}
	if parts.retry != nil {
		retry, err := parseRetry(parts.retry, name("healthyRetryPolicy"))
		if err != nil {
			return p, err
		}
		p.Retry = retry
	}
	if parts.throttle != nil {
		at, rate := name("throttlePolicy"), json.RawMessage(nil)
		if err := members(parts.throttle, at, map[string]*json.RawMessage{"maxReceivesPerSecond": &rate}); err != nil {
			return p, err
		}
		p.PerSecond = 0
		if rate != nil {
			if json.Unmarshal(rate, &p.PerSecond) != nil || p.PerSecond < 1 || p.PerSecond > maxRate {
				return p, fmt.Errorf("%s.maxReceivesPerSecond must be an integer of at least 1", at)
			}
		}
	}
	if parts.request != nil {
		at, kind := name("requestPolicy"), json.RawMessage(nil)
		if err := members(parts.request, at, map[string]*json.RawMessage{"headerContentType": &kind}); err != nil {
			return p, err
		}
		p.ContentType = notifiedType
		if kind != nil {
			if json.Unmarshal(kind, &p.ContentType) != nil || !slices.ContainsFunc(contentTypes, func(t string) bool { return strings.EqualFold(t, p.ContentType) }) {
				return p, fmt.Errorf("%s.headerContentType must be one of %s", at, strings.Join(contentTypes, ", "))
			}
		}
	}
	if parts.only != nil && json.Unmarshal(parts.only, &p.Only) != nil {
		return p, errors.New("http.disableSubscriptionOverrides must be true or false")
	}
	return p, nil
}

// members reads an object that has no other members than those of wanted; nil is one that is not looked at.
func members(text json.RawMessage, at string, wanted map[string]*json.RawMessage) error {
	var object map[string]json.RawMessage
	if text != nil && (json.Unmarshal(text, &object) != nil || object == nil) {
		if at == "" {
			return errors.New("failed to parse JSON")
		}
		return fmt.Errorf("%s must be an object", at)
	}
	for name, value := range object {
		into, known := wanted[name]
		switch {
		case !known:
			return fmt.Errorf("Unexpected JSON member: %.100s", name) //nolint:staticcheck // as SNS writes it
		case into != nil && !bytes.Equal(value, []byte("null")):
			*into = value
		}
	}
	return nil
}

// parseRetry reads a retry policy. Members that are missing have their usual values.
func parseRetry(text json.RawMessage, at string) (RetryPolicy, error) {
	r := usualPolicy.Retry
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return r, fmt.Errorf("%s must be an object of integers and a backoffFunction", at)
	}
	bad := func(format string, args ...any) (RetryPolicy, error) {
		return r, fmt.Errorf(at+"."+format, args...)
	}
	longest := int(maxPolicyTime.Seconds())
	switch {
	case r.Retries < 0 || r.Retries > maxPolicyRetries:
		return bad("numRetries must be between 0 and %d", maxPolicyRetries)
	case r.MaxDelay < 1 || r.MaxDelay > longest:
		return bad("maxDelayTarget must be between 1 and %d", longest)
	case r.MinDelay < 1 || r.MinDelay > r.MaxDelay:
		return bad("minDelayTarget must be between 1 and maxDelayTarget")
	case r.NoDelay < 0:
		return bad("numNoDelayRetries must be greater than or equal to 0")
	case r.MinDelays < 0:
		return bad("numMinDelayRetries must be greater than or equal to 0")
	case r.MaxDelays < 0:
		return bad("numMaxDelayRetries must be greater than or equal to 0")
	case max(r.NoDelay, r.MinDelays, r.MaxDelays) > r.Retries || r.NoDelay+r.MinDelays+r.MaxDelays > r.Retries:
		return bad("numRetries must not be less than numNoDelayRetries, numMinDelayRetries and numMaxDelayRetries together")
	case !slices.Contains(backoffs, r.Backoff):
		return bad("backoffFunction must be one of %s", strings.Join(backoffs, ", "))
	}
	total := time.Duration(0)
	for _, wait := range r.waits() {
		total += wait
	}
	if total > maxPolicyTime {
		return r, fmt.Errorf("%s: the retries must not take more than %d seconds together", at, longest)
	}
	return r, nil
}

// waits returns the times before the second attempt, the third and so on.
func (r RetryPolicy) waits() []time.Duration {
	least, most := time.Duration(r.MinDelay)*time.Second, time.Duration(r.MaxDelay)*time.Second
	list := make([]time.Duration, 0, r.Retries)
	list = append(list, make([]time.Duration, r.NoDelay)...)
	list = append(list, slices.Repeat([]time.Duration{least}, r.MinDelays)...)
	n := r.Retries - r.NoDelay - r.MinDelays - r.MaxDelays
	for i := range n {
		list = append(list, least+time.Duration(r.growth(i, n)*float64(most-least)).Round(time.Millisecond))
	}
	return append(list, slices.Repeat([]time.Duration{most}, r.MaxDelays)...)
}

// growth returns how far the ith of n waits is on its way from the shortest to the longest: 0 to 1.
func (r RetryPolicy) growth(i, n int) float64 {
	if n < 2 {
		return 0
	}
	at, last := float64(i), float64(n-1)
	switch r.Backoff {
	case "arithmetic": // each step is longer than the one before by the same
		return at * (at + 1) / (last * (last + 1))
	case "geometric": // each wait is so many times the one before
		ratio := float64(r.MaxDelay) / float64(r.MinDelay)
		if ratio == 1 {
			return 0
		}
		return (math.Pow(ratio, at/last) - 1) / (ratio - 1)
	case "exponential": // each step is twice the one before
		return (math.Exp2(at) - 1) / (math.Exp2(last) - 1)
	}
	return at / last
}

// throttle and request are parts of a policy as they are shown.
type (
	throttlePart struct {
		PerSecond int `json:"maxReceivesPerSecond"`
	}
	requestPart struct {
		ContentType string `json:"headerContentType"`
	}
)

func (p DeliveryPolicy) throttle() *throttlePart {
	if p.PerSecond == 0 {
		return nil
	}
	return &throttlePart{p.PerSecond}
}

// OfTopic returns the policy as SNS shows that of a topic which holds.
func (p DeliveryPolicy) OfTopic() string {
	type http struct {
		Retry    RetryPolicy   `json:"defaultHealthyRetryPolicy"`
		Throttle *throttlePart `json:"defaultThrottlePolicy,omitempty"`
		Only     bool          `json:"disableSubscriptionOverrides"`
		Request  requestPart   `json:"defaultRequestPolicy"`
	}
	text, _ := json.Marshal(map[string]http{"http": {p.Retry, p.throttle(), p.Only, requestPart{p.ContentType}}}) // never fails
	return string(text)
}

// OfSubscription returns the policy as SNS shows that of a subscription which holds.
func (p DeliveryPolicy) OfSubscription() string {
	text, _ := json.Marshal(struct { // never fails
		Retry      RetryPolicy   `json:"healthyRetryPolicy"`
		Sickly     *struct{}     `json:"sicklyRetryPolicy"`
		Throttle   *throttlePart `json:"throttlePolicy"`
		Request    requestPart   `json:"requestPolicy"`
		Guaranteed bool          `json:"guaranteed"`
	}{p.Retry, nil, p.throttle(), requestPart{p.ContentType}, false})
	return string(text)
}

// ShownPolicy returns the policy of a subscription as SNS reads it back: parts that it does not have are null.
func ShownPolicy(text string) string {
	var have map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &have) != nil {
		return text // it was found to be an object
	}
	shown := struct {
		Retry      json.RawMessage `json:"healthyRetryPolicy"`
		Sickly     *struct{}       `json:"sicklyRetryPolicy"`
		Throttle   json.RawMessage `json:"throttlePolicy"`
		Request    json.RawMessage `json:"requestPolicy"`
		Guaranteed bool            `json:"guaranteed"`
	}{Retry: have["healthyRetryPolicy"], Throttle: have["throttlePolicy"], Request: have["requestPolicy"]}
	raw, _ := json.Marshal(shown) // of parsed JSON
	return string(raw)
}
