package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/topics"
)

// The limits of an endpoint's settings, and what holds where they say nothing.
const (
	DefaultTimeout     = 15 * time.Second // of one attempt, from the lookup of the name to the last byte of the answer
	MinTimeout         = time.Second
	MaxTimeout         = egress.MaxTimeout
	DefaultMaxInFlight = 16 // attempts at the same time
	MaxMaxInFlight     = 64
	MaxMaxRate         = 1000 // requests a second
	MaxRetries         = 30
	MaxTerminal        = 20 // statuses
	// MaxRetryWait is the longest time between two attempts, and between those that are told of by Retry-After.
	MaxRetryWait = 24 * time.Hour
	// MaxRetryTime bounds all waits together. It leaves a day of the time for which the log and a webhook hold a message.
	MaxRetryTime = 13 * 24 * time.Hour
)

// DefaultRetries are the waits between attempts, ten attempts in three days: the schedule of Standard Webhooks.
var DefaultRetries = []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour,
	14 * time.Hour, 20 * time.Hour, 24 * time.Hour}

// DefaultTerminal are the statuses by which an endpoint says that it is gone, or that the message is too large for it.
var DefaultTerminal = []int{http.StatusGone, http.StatusRequestEntityTooLarge}

// Exhausted says what happens in a FIFO topic to a message whose last attempt failed, and so to those of its group behind it.
type Exhausted string

// What may happen.
const (
	Skip  Exhausted = "skip_to_dlq" // it failed, and the next one has its turn
	Block Exhausted = "block"       // it is tried again, with the last wait, for 14 days
)

// Overflow says what happens when a webhook holds as many messages as it may.
type Overflow string

// What may happen.
const (
	DropNewest    Overflow = "dlq"            // what comes goes to the dead-letter queue, or is dropped where there is none
	DropOldest    Overflow = "drop_oldest"    // what comes is taken, and the oldest is dropped
	RejectPublish Overflow = "reject_publish" // nothing is published to the topic until there is room
)

// code is how scripts name it; see lua/lib/full.lua.
func (o Overflow) code() int {
	switch o {
	case DropOldest:
		return 1
	case RejectPublish:
		return 2
	}
	return 0
}

// Endpoint is where a webhook sends, and how.
type Endpoint struct {
	URL         string
	Timeout     time.Duration   // 0: DefaultTimeout
	MaxInFlight int             // 0: DefaultMaxInFlight
	MaxRate     int             // requests a second, whichever servers send them; 0: as many as there are
	Retries     []time.Duration // waits before the second attempt and so on; nil: DefaultRetries
	OnExhausted Exhausted       // "": Skip. For FIFO topics only
	Overflow    Overflow        // "": DropNewest
	Terminal    []int           // statuses of answers after which a message is not tried again; nil: DefaultTerminal
	Headers     []Header        // that are added to each request, by name
	Auth        *Auth           // nil: none but the signature
	Verify      Verification    // "": no verification
	TLS         *TLS            // nil: no certificate of its own, and the authorities of the system are trusted
	SNS         *SNS            // nil: it was not subscribed as SNS does it
	Batch       *Batch          // nil: a request carries one message
}

// stored is an Endpoint as it lies in Redis. Times are in milliseconds.
type stored struct {
	URL         string       `json:"url"`
	Timeout     int64        `json:"timeout,omitempty"`
	MaxInFlight int          `json:"max_in_flight,omitempty"`
	MaxRate     int          `json:"max_rate,omitempty"`
	Retries     []int64      `json:"retries"` // null: the default; empty: none
	OnExhausted Exhausted    `json:"on_exhausted,omitempty"`
	Overflow    Overflow     `json:"overflow,omitempty"`
	Terminal    []int        `json:"terminal,omitzero"` // missing: the default; empty: none
	Headers     []Header     `json:"headers,omitempty"`
	Auth        *Auth        `json:"auth,omitempty"`
	Verify      Verification `json:"verify,omitempty"`
	TLS         *TLS         `json:"tls,omitempty"`
	SNS         *SNS         `json:"sns,omitempty"`
	Batch       *storedBatch `json:"batch,omitempty"`
}

// Encode returns the settings as text, which Check brings into the form in which they are stored.
func (e Endpoint) Encode() string {
	st := stored{URL: e.URL, Timeout: e.Timeout.Milliseconds(), MaxInFlight: e.MaxInFlight, MaxRate: e.MaxRate, OnExhausted: e.OnExhausted, Overflow: e.Overflow, Terminal: e.Terminal, Headers: e.Headers, Auth: e.Auth,
		Verify: e.Verify, TLS: e.TLS, SNS: e.SNS, Batch: e.Batch.stored()}
	if e.Retries != nil {
		st.Retries = make([]int64, len(e.Retries))
	}
	for i, d := range e.Retries {
		st.Retries[i] = d.Milliseconds()
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(st) // never fails
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// ParseEndpoint reads what Encode wrote.
func ParseEndpoint(text string) (Endpoint, error) {
	var st stored
	if err := json.Unmarshal([]byte(text), &st); err != nil {
		return Endpoint{}, fmt.Errorf("read the settings of a webhook: %w", err)
	}
	e := Endpoint{URL: st.URL, Timeout: time.Duration(st.Timeout) * time.Millisecond, MaxInFlight: st.MaxInFlight, MaxRate: st.MaxRate, OnExhausted: st.OnExhausted, Overflow: st.Overflow,
		Terminal: st.Terminal, Headers: st.Headers, Auth: st.Auth, Verify: st.Verify, TLS: st.TLS, SNS: st.SNS, Batch: st.Batch.batch()}
	if st.Retries != nil {
		e.Retries = make([]time.Duration, len(st.Retries))
	}
	for i, ms := range st.Retries {
		e.Retries[i] = time.Duration(ms) * time.Millisecond
	}
	return e, nil
}

// Filled returns the settings with what holds where they say nothing.
func (e Endpoint) Filled() Endpoint {
	if e.Timeout == 0 {
		e.Timeout = DefaultTimeout
	}
	if e.MaxInFlight == 0 {
		e.MaxInFlight = DefaultMaxInFlight
	}
	if e.Retries == nil {
		e.Retries = DefaultRetries
	}
	if e.OnExhausted == "" {
		e.OnExhausted = Skip
	}
	if e.Overflow == "" {
		e.Overflow = DropNewest
	}
	if e.Terminal == nil {
		e.Terminal = DefaultTerminal
	}
	return e
}

// Check returns the endpoint of settings in the one form in which it is stored, with what is hidden sealed. was is the one
// that is there, or "".
func (s *Store) Check(topic string, set topics.SubscriptionSettings, was string) (string, error) {
	e, err := ParseEndpoint(set.Endpoint)
	if err != nil {
		return "", errs.Invalidf("/endpoint", "The settings of the endpoint are damaged.")
	}
	var before Endpoint
	if was != "" {
		if before, err = ParseEndpoint(was); err != nil {
			return "", engine.ErrBroken.Because(err)
		}
	}
	if e.URL, err = s.checkURL("/endpoint", e.URL); err != nil {
		return "", err
	}
	total := time.Duration(0)
	for _, wait := range e.Retries {
		if wait < time.Second || wait > MaxRetryWait {
			return "", errs.Invalidf("/retry_schedule", "Each wait must be 1 to %d seconds.", int(MaxRetryWait.Seconds()))
		}
		total += wait
	}
	switch {
	case e.Timeout != 0 && (e.Timeout < MinTimeout || e.Timeout > MaxTimeout):
		return "", errs.Invalidf("/timeout", "The timeout must be %d to %d seconds.", int(MinTimeout.Seconds()), int(MaxTimeout.Seconds()))
	case e.MaxInFlight < 0 || e.MaxInFlight > MaxMaxInFlight:
		return "", errs.Invalidf("/max_in_flight", "max_in_flight must be 1 to %d.", MaxMaxInFlight)
	case e.MaxRate < 0 || e.MaxRate > MaxMaxRate:
		return "", errs.Invalidf("/max_rate", "max_rate must be 1 to %d.", MaxMaxRate)
	case len(e.Retries) > MaxRetries:
		return "", errs.Invalidf("/retry_schedule", "There are %d waits, and at most %d are allowed.", len(e.Retries), MaxRetries)
	case total > MaxRetryTime:
		return "", errs.Invalidf("/retry_schedule", "The waits must not be more than %d days together.", int(MaxRetryTime.Hours()/24))
	case len(e.Terminal) > MaxTerminal || slices.ContainsFunc(e.Terminal, func(status int) bool { return status < 300 || status > 599 }):
		return "", errs.Invalidf("/terminal_statuses", "There may be %d statuses, each of 300 to 599.", MaxTerminal)
	case e.OnExhausted != "" && e.OnExhausted != Skip && e.OnExhausted != Block:
		return "", errs.Invalidf("/on_exhausted", "on_exhausted must be %s or %s.", Skip, Block)
	case e.Verify != "" && e.Verify != ByEcho && e.Verify != ByCloudEvents && e.Verify != BySNS:
		return "", errs.Invalidf("/verification", "verification must be none, %s, %s or %s.", ByEcho, ByCloudEvents, BySNS)
	}
	if err := e.checkBatch(topic, set.Format); err != nil {
		return "", err
	}
	if err := e.checkOverflow(topic, set.DeadLetterQueue); err != nil {
		return "", err
	}
	if err := e.checkSNS(before); err != nil {
		return "", err
	}
	if err := s.checkCredentials(&e, before); err != nil {
		return "", err
	}
	if err := s.checkTLS(&e, before); err != nil {
		return "", err
	}
	return e.Encode(), nil
}

// checkOverflow refuses what cannot be done with messages for which there is no room.
func (e *Endpoint) checkOverflow(topic, deadLetters string) error {
	switch {
	case e.Overflow == "" || e.Overflow == DropNewest || e.Overflow == RejectPublish:
	case e.Overflow != DropOldest:
		return errs.Invalidf("/overflow", "overflow must be %s, %s or %s.", DropNewest, DropOldest, RejectPublish)
	case topics.IsFIFOName(topic):
		return errs.Invalidf("/overflow", "In a FIFO topic the oldest message of a group is what the others wait for, and cannot make room for them: choose %s or %s.", DropNewest, RejectPublish)
	case deadLetters != "":
		return errs.Invalidf("/overflow", "With a dead_letter_queue nothing is dropped: choose %s, and what comes goes there, or %s, or leave the dead_letter_queue out.", DropNewest, RejectPublish)
	}
	return nil
}

// checkURL returns a URL of the settings in its one form.
func (s *Store) checkURL(pointer, raw string) (string, error) {
	u, err := s.egress.Policy().CheckURL(raw)
	switch {
	case egress.KindOf(err) == egress.NotAllowed:
		return "", &errs.Error{Kind: errs.Invalid, Code: string(egress.NotAllowed), Message: err.Error(),
			Fix:    "Give an https:// URL of a public host. The operator allows others by SLUICE_EGRESS_ALLOW and SLUICE_EGRESS_ALLOW_HTTP.",
			Fields: []errs.Field{{Pointer: pointer, Code: string(egress.NotAllowed), Message: err.Error()}}}
	case err != nil:
		return "", errs.Invalidf(pointer, "%s", err.Error())
	}
	return u.String(), nil
}
