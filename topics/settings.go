package topics

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"
	"unicode/utf8"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

// The limits of a topic and its messages.
const (
	MaxNameLength  = 256
	MaxRetention   = 14 * 24 * time.Hour
	MaxMessageSize = 256 << 10 // of a body with its attributes, in bytes
	MaxLabels      = 50
	maxLabelKey    = 128 // characters, as many as a tag of AWS may have
	maxLabelValue  = 256
	// MaxLogMessages and MaxLogBytes bound the log of one topic. A publish beyond them is refused.
	MaxLogMessages = 1_000_000
	MaxLogBytes    = 1 << 30
	// memoryMessages is the same in the in-memory engine, which has no maxmemory.
	memoryMessages = 100_000
	// Hold is how long the log waits for a subscription that is paused or cannot take what is published. What is older is
	// left out for it.
	Hold = 14 * 24 * time.Hour

	MaxAtomicBatch = callMessages
	MaxAtomicBytes = callBytes

	// dedupWindow is how long a deduplication id, or an idempotency key, is remembered.
	dedupWindow = 5 * time.Minute
	// maxKeys bounds the idempotency keys that a topic remembers. In a FIFO topic each message has a key, so there are ten
	// times as many: they bound what it takes in a window to 3,300 messages a second.
	maxKeys     = 100_000
	maxFIFOKeys = 1_000_000
)

// Settings are what a topic's owner decides.
type Settings struct {
	// Retention is how long messages are kept after all subscriptions have them, counted from their publish; 0 to 14 d,
	// default 0.
	Retention time.Duration
	// ContentBased: a message for a FIFO topic without a deduplication id is recognised by its body.
	ContentBased bool
	Labels       map[string]string // at most 50; keys up to 128, values up to 256 characters
	AWS          AWS               // what only clients of SNS say of a topic
	Schemas      Schemas           // changed by AddSchema and its like only
}

// AWS is what clients of SNS say of a topic and nobody else. Who replaces the settings by Put leaves it as it is.
type AWS struct {
	DisplayName    string `json:"display_name,omitempty"`    // at most MaxDisplayName characters
	Policy         string `json:"policy,omitempty"`          // JSON, as it was given; at most MaxPolicy bytes; see Store.Policy
	DeliveryPolicy string `json:"delivery_policy,omitempty"` // likewise; has no effect
	KMSKey         string `json:"kms_key,omitempty"`         // names a key, at most MaxKMSKey bytes; has no effect
	Tracing        string `json:"tracing,omitempty"`         // PassThrough, Active or "" for what was not said; has no effect
	// SignatureVersion is by which rules notifications are signed: "2", or "1" and "" for the other.
	SignatureVersion string `json:"signature_version,omitempty"`
	// PolicyHolds: the policy was set when policies held. One from before, whose owner did not mean to open anything, does not.
	PolicyHolds bool `json:"policy_holds,omitempty"`
	// PerGroup: deduplication ids are told apart by group.
	PerGroup bool `json:"per_group,omitempty"`
}

// Bounds of AWS.
const (
	MaxDisplayName = 100
	MaxPolicy      = 30 << 10
	MaxKMSKey      = 2048
)

// validateFor checks the settings of a topic of this name.
func (s Settings) validateFor(name string) error {
	if err := ValidName(name); err != nil {
		return err
	}
	var bad []errs.Field
	if s.Retention < 0 || s.Retention > MaxRetention {
		bad = append(bad, errs.Field{Pointer: "/message_retention", Code: "out_of_range",
			Message: fmt.Sprintf("must be 0 to %d seconds, got %g", int(MaxRetention.Seconds()), s.Retention.Seconds())})
	}
	if s.ContentBased && !IsFIFOName(name) {
		bad = append(bad, errs.Field{Pointer: "/fifo", Code: "not_allowed",
			Message: "must be absent: only topics whose name ends in .fifo are FIFO topics"})
	}
	if len(s.Labels) > MaxLabels {
		bad = append(bad, errs.Field{Pointer: "/labels", Code: "too_many", Message: fmt.Sprintf("must be at most %d, got %d", MaxLabels, len(s.Labels))})
	}
	for k, v := range s.Labels {
		if k == "" || utf8.RuneCountInString(k) > maxLabelKey || utf8.RuneCountInString(v) > maxLabelValue {
			bad = append(bad, errs.Field{Pointer: "/labels", Code: "out_of_range",
				Message: "must have names of 1 to 128 and values of at most 256 characters"})
			break
		}
	}
	if a := s.AWS; utf8.RuneCountInString(a.DisplayName) > MaxDisplayName || max(len(a.Policy), len(a.DeliveryPolicy)) > MaxPolicy || len(a.KMSKey) > MaxKMSKey {
		bad = append(bad, errs.Field{Pointer: "/aws", Code: "out_of_range",
			Message: fmt.Sprintf("must have a display name of at most %d characters, policies of at most %d and a name of a key of at most %d bytes", MaxDisplayName, MaxPolicy, MaxKMSKey)})
	}
	if len(bad) == 0 {
		return nil
	}
	return &errs.Error{Kind: errs.Invalid, Code: "validation_failed", Fields: bad,
		Message: "The settings are not allowed: " + bad[0].Pointer + " " + bad[0].Message + "."}
}

func (s Settings) same(o Settings) bool {
	return s.Retention == o.Retention && s.ContentBased == o.ContentBased && s.AWS == o.AWS && s.Schemas.same(o.Schemas) && maps.Equal(s.Labels, o.Labels)
}

// stored are a topic's settings as they lie in Redis. Times are in milliseconds.
type stored struct {
	Name         string            `json:"name"`
	Created      int64             `json:"created"`
	Updated      int64             `json:"updated"`
	Retention    int64             `json:"retention,omitempty"`
	ContentBased bool              `json:"content_based,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	AWS          *AWS              `json:"aws,omitempty"`
	Schemas      *Schemas          `json:"schemas,omitempty"`
}

// config is what a server knows of a topic: its settings and their version.
type config struct {
	Settings
	name             string
	created, updated time.Time
	version          string
}

func (s Settings) encode(name string, created, updated time.Time) (string, error) {
	st := stored{Name: name, Created: created.UnixMilli(), Updated: updated.UnixMilli(),
		Retention: s.Retention.Milliseconds(), ContentBased: s.ContentBased, Labels: s.Labels}
	if s.AWS != (AWS{}) {
		st.AWS = &s.AWS
	}
	if !s.Schemas.same(Schemas{}) {
		st.Schemas = &s.Schemas
	}
	raw, err := json.Marshal(st)
	return string(raw), err
}

func decodeConfig(version, raw string) (*config, error) {
	var st stored
	if err := json.Unmarshal([]byte(raw), &st); err != nil {
		return nil, fmt.Errorf("read the settings of a topic: %w", err)
	}
	c := &config{name: st.Name, version: version, created: at(st.Created), updated: at(st.Updated), Settings: Settings{
		Retention: time.Duration(st.Retention) * time.Millisecond, ContentBased: st.ContentBased, Labels: st.Labels}}
	if st.AWS != nil {
		c.AWS = *st.AWS
	}
	if st.Schemas != nil {
		c.Schemas = *st.Schemas
	}
	return c, nil
}

// asQueue are the settings of a queue that would take the messages of this topic.
func (c *config) asQueue() queues.Settings {
	s := queues.Settings{MaxMessageSize: MaxMessageSize, Retention: queues.MaxRetention}
	if IsFIFOName(c.name) {
		s.FIFO = queues.FIFO{ContentBased: c.ContentBased, Scope: queues.ScopeQueue, Window: dedupWindow}
		if c.AWS.PerGroup {
			s.FIFO.Scope = queues.ScopeGroup
		}
	}
	return s
}

// maxKeys is how many deduplication keys the topic remembers.
func (c *config) maxKeys() int {
	if IsFIFOName(c.name) {
		return maxFIFOKeys
	}
	return maxKeys
}
