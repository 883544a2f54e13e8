package queues

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
)

// The limits of a queue and its messages.
const (
	MaxVisibilityTimeout = 12 * time.Hour
	MinRetention         = time.Minute
	MaxRetention         = 14 * 24 * time.Hour
	MaxWait              = 20 * time.Second
	MinMessageSize       = 1 << 10 // the smallest value of max_message_size, in bytes
	MaxMessageSize       = 1 << 20 // of a body with its attributes, in bytes
	MaxBatch             = 1000    // messages in one batch send
	MaxBatchBytes        = 16 << 20
	MaxAtomicBatch       = 100
	MaxAtomicBytes       = 1 << 20
	MaxReceive           = 100 // messages in one receive
	MaxSettle            = 1000
	MaxPeek              = 100
	MaxAttributes        = 10
	MaxLabels            = 50
	MaxQueues            = 100_000 // of one tenant
	MaxNameLength        = 80
)

// Settings are what a queue's owner decides.
type Settings struct {
	VisibilityTimeout time.Duration     // how long a received message stays hidden; 0 to 12 h, default 30 s
	Retention         time.Duration     // how long a message is kept; 1 min to 14 d, default 4 d
	Delay             time.Duration     // how long a new message stays hidden; 0 to the retention, default 0
	ReceiveWait       time.Duration     // how long a receive that names no wait waits; 0 to 20 s, default 0
	MaxMessageSize    int               // body and attributes in bytes; 1 KiB to 1 MiB, default 1 MiB
	Labels            map[string]string // at most 50; keys up to 63, values up to 255 characters
}

// DefaultSettings returns the settings of a queue of which nothing was said.
func DefaultSettings() Settings {
	return Settings{VisibilityTimeout: 30 * time.Second, Retention: 4 * 24 * time.Hour, MaxMessageSize: MaxMessageSize}
}

// Validate names every setting that is out of bounds.
func (s Settings) Validate() error {
	bad := &errs.Error{Kind: errs.Invalid, Code: "validation_failed"}
	between := func(pointer string, got, low, high time.Duration) {
		if got < low || got > high || got%time.Second != 0 {
			bad.Fields = append(bad.Fields, errs.Field{Pointer: pointer, Code: "out_of_range",
				Message: fmt.Sprintf("must be a whole number of seconds from %d to %d, got %g", low/time.Second, high/time.Second, got.Seconds())})
		}
	}
	between("/visibility_timeout", s.VisibilityTimeout, 0, MaxVisibilityTimeout)
	between("/message_retention", s.Retention, MinRetention, MaxRetention)
	between("/delay", s.Delay, 0, min(max(s.Retention, MinRetention), MaxRetention))
	between("/receive_wait", s.ReceiveWait, 0, MaxWait)
	if s.MaxMessageSize < MinMessageSize || s.MaxMessageSize > MaxMessageSize {
		bad.Fields = append(bad.Fields, errs.Field{Pointer: "/max_message_size", Code: "out_of_range",
			Message: fmt.Sprintf("must be %d to %d bytes, got %d", MinMessageSize, MaxMessageSize, s.MaxMessageSize)})
	}
	bad.Fields = append(bad.Fields, checkLabels(s.Labels)...)
	if len(bad.Fields) == 0 {
		return nil
	}
	bad.Message = "One or more settings are not allowed: " + bad.Fields[0].Pointer + " " + bad.Fields[0].Message + "."
	return bad
}

func checkLabels(labels map[string]string) []errs.Field {
	var bad []errs.Field
	if len(labels) > MaxLabels {
		bad = append(bad, errs.Field{Pointer: "/labels", Code: "too_many",
			Message: fmt.Sprintf("must be at most %d, got %d", MaxLabels, len(labels))})
	}
	for k, v := range labels {
		if k == "" || len(k) > 63 || len(v) > 255 {
			bad = append(bad, errs.Field{Pointer: "/labels/" + pointerEscape(k), Code: "out_of_range",
				Message: "must have a name of 1 to 63 and a value of at most 255 bytes"})
		}
	}
	return bad
}

// stored is how settings lie in Redis. Times are milliseconds. A field that is missing has its default, so that old
// data and new programs, and the reverse, go together.
type stored struct {
	Name       string            `json:"name"`
	Created    int64             `json:"created"`
	Updated    int64             `json:"updated"`
	Visibility *int64            `json:"visibility_timeout,omitempty"`
	Retention  *int64            `json:"retention,omitempty"`
	Delay      int64             `json:"delay,omitempty"`
	Wait       int64             `json:"receive_wait,omitempty"`
	MaxSize    int               `json:"max_message_size,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
}

func encodeSettings(name string, created, updated time.Time, s Settings) (string, error) {
	visibility, retention := s.VisibilityTimeout.Milliseconds(), s.Retention.Milliseconds()
	raw, err := json.Marshal(stored{
		Name: name, Created: created.UnixMilli(), Updated: updated.UnixMilli(),
		Visibility: &visibility, Retention: &retention, Delay: s.Delay.Milliseconds(), Wait: s.ReceiveWait.Milliseconds(),
		MaxSize: s.MaxMessageSize, Labels: s.Labels,
	})
	return string(raw), err
}

// config is what a server knows of a queue: its settings and their version.
type config struct {
	Settings
	name             string
	created, updated time.Time
	version          string
}

func decodeConfig(version, raw string) (*config, error) {
	var st stored
	if err := json.Unmarshal([]byte(raw), &st); err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	c := &config{Settings: DefaultSettings(), name: st.Name, version: version,
		created: time.UnixMilli(st.Created).UTC(), updated: time.UnixMilli(st.Updated).UTC()}
	if st.Visibility != nil {
		c.VisibilityTimeout = time.Duration(*st.Visibility) * time.Millisecond
	}
	if st.Retention != nil {
		c.Retention = time.Duration(*st.Retention) * time.Millisecond
	}
	if st.MaxSize != 0 {
		c.MaxMessageSize = st.MaxSize
	}
	c.Delay = time.Duration(st.Delay) * time.Millisecond
	c.ReceiveWait = time.Duration(st.Wait) * time.Millisecond
	c.Labels = st.Labels
	return c, nil
}
