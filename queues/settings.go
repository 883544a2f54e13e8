package queues

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

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
	maxLabelKey          = 128 // characters, as many as a tag of AWS may have
	maxLabelValue        = 256
	MaxQueues            = 100_000 // of one tenant
	MaxNameLength        = 80
	MinWindow            = 20 * time.Second // of deduplication
	MaxWindow            = 7 * 24 * time.Hour
	MaxCapMessages       = 1_000_000_000 // the largest value of max_messages
	MaxCapBytes          = 1 << 40       // the largest value of max_bytes
	// recordRoom is how many bytes a record has at most beside the body and the attributes. max_bytes is at least that more
	// than max_message_size, so that there is no message that never fits.
	recordRoom        = 1 << 10
	MaxPriority       = 9           // of a message; the least is 0
	MinTTL            = time.Second // of a message
	MinPriorityStep   = time.Second
	MaxPriorityStep   = 24 * time.Hour
	usualPriorityStep = time.Minute
	MaxShards         = 64 // of a queue: as many as an id can name
)

// Settings are what a queue's owner decides.
type Settings struct {
	VisibilityTimeout time.Duration     // how long a received message stays hidden; 0 to 12 h, default 30 s
	Retention         time.Duration     // how long a message is kept; 1 min to 14 d, default 4 d
	Delay             time.Duration     // how long a new message stays hidden; 0 to the retention, default 0
	ReceiveWait       time.Duration     // how long a receive that names no wait waits; 0 to 20 s, default 0
	MaxMessageSize    int               // body and attributes in bytes; 1 KiB to 1 MiB, default 1 MiB
	Labels            map[string]string // at most 50; keys up to 128, values up to 256 characters
	MaxMessages       int64             // how many messages the queue may hold; 1 to 10⁹, 0 for any number, the default
	MaxBytes          int64             // how many bytes, with all that is noted of them; max_message_size + 1 KiB to 1 TiB, 0 for any number, the default
	WhenFull          WhenFull          // what becomes of a send that does not fit
	FIFO              FIFO              // of a FIFO queue; zero for a standard one
	Redrive           Redrive           // what becomes of messages that fail; zero: they stay
	RedriveAllow      RedriveAllow      // which queues may have this one as their dead-letter queue
	ForwardTo         string            // the queue, or topic (see TopicTarget), of the same tenant and type to which messages go on that come to this one; "": they stay
	Retry             Retry             // how long a message that failed waits
	PriorityStep      time.Duration     // the head start that each step of a priority gives; 1 s to 1 d, default 1 min; no use in a FIFO queue
	// Shards is over how many hash slots the queue is spread, 1 to MaxShards, 1 for a FIFO queue, default 1. It is settled when
	// the queue is made; 0: as many as it has.
	Shards int
	// TraceRetention is how long what became of a message is kept after the last that did, and as long as the message is there; 0
	// to 14 d, 0, the default: nothing is kept. With 0 what was kept is dropped.
	TraceRetention time.Duration
	AWS            AWS // what only clients of the AWS protocols say of a queue
}

// AWS is what clients of the AWS protocols say of a queue and nobody else. It is kept for them, and all but the policy has
// no effect. Who replaces the settings by Put leaves it as it is.
type AWS struct {
	Policy string `json:"policy,omitempty"` // JSON, as it was given; at most MaxPolicy bytes; see Store.Policy
	// PolicyHolds: the policy was set when policies held. One from before, whose owner did not mean to open anything, does not.
	PolicyHolds bool   `json:"policy_holds,omitempty"`
	KMSKey      string `json:"kms_key,omitempty"`    // names a key, at most MaxKMSKey bytes
	KMSReuse    int    `json:"kms_reuse,omitempty"`  // seconds for which a data key is used; 0: nothing was said
	NoSSE       bool   `json:"no_sse,omitempty"`     // encryption with keys of the service was switched off
	PerGroup    bool   `json:"per_group,omitempty"`  // the limit of the throughput is to count by groups
	AllowsAll   bool   `json:"allows_all,omitempty"` // that all queues may name this one was said, and is not the default
}

// Bounds of AWS.
const (
	MaxPolicy = 8192
	MaxKMSKey = 2048
)

// WhenFull says what becomes of a send for which a queue has no room.
type WhenFull string

// What to do when a queue is full.
const (
	Reject           WhenFull = "reject"      // refuse the new message; the default
	DropOldest       WhenFull = "drop_oldest" // delete available messages, the oldest first, and store the new one
	DeadLetterOldest WhenFull = "dead_letter" // as DropOldest, but they go to the dead-letter queue
)

// fifoSuffix ends the names of FIFO queues, and of no others.
const fifoSuffix = ".fifo"

// IsFIFOName reports whether a queue of this name is FIFO.
func IsFIFOName(name string) bool { return strings.HasSuffix(name, fifoSuffix) }

// FIFO is what only FIFO queues have.
type FIFO struct {
	// ContentBased: a message without a deduplication id is recognised by its body.
	ContentBased bool
	// Scope is where two messages with one deduplication id are the same: in the queue, the default, or in their group.
	Scope Scope
	// Window is how long a deduplication id is remembered; 20 s to 7 d, default 5 min.
	Window time.Duration
}

// Redrive says when messages leave for a dead-letter queue. The zero value: never.
type Redrive struct {
	// DeadLetterQueue is the name of another queue of the same tenant and type.
	DeadLetterQueue string
	// MaxReceives is how often a message is received; the receive after that takes it to the dead-letter queue instead. 1 to
	// 1,000.
	MaxReceives int
}

// RedriveAllow says which queues may name a queue as their dead-letter queue. It is asked when they do; those that have
// done so keep it. The zero value: all.
type RedriveAllow struct {
	None    bool     // none may
	Sources []string // only these may, at most MaxRedriveSources
}

// MaxForwards is how often a message is forwarded at most: a queue to which it came that often keeps it; see lua/accept.lua.
const MaxForwards = 4

// Bounds of dead-lettering.
const (
	MaxMaxReceives    = 1000
	MaxRedriveSources = 10
	// deadRetention is the retention of a dead-letter queue that is made for another queue.
	deadRetention = MaxRetention
)

// allows reports whether the queue of the given name may have a queue with a as its dead-letter queue.
func (a RedriveAllow) allows(source string) bool {
	return !a.None && (len(a.Sources) == 0 || slices.Contains(a.Sources, source))
}

// Scope says among which messages deduplication ids are unique.
type Scope string

// The scopes.
const (
	ScopeQueue Scope = "queue"
	ScopeGroup Scope = "group"
)

// IsFIFO reports whether these are the settings of a FIFO queue.
func (s Settings) IsFIFO() bool { return s.FIFO != (FIFO{}) }

// window is how long deduplication and idempotency keys are remembered.
func (s Settings) window() time.Duration {
	if s.IsFIFO() {
		return s.FIFO.Window
	}
	return dedupWindow
}

// maxKeys is how many deduplication and idempotency keys are remembered at most.
func (s Settings) maxKeys() int {
	if s.IsFIFO() {
		return maxFIFOKeys
	}
	return maxDedupKeys
}

// For returns the settings for a queue of the given name: with the defaults of a FIFO queue if it is one.
func (s Settings) For(name string) Settings {
	if !IsFIFOName(name) {
		return s
	}
	if s.FIFO.Scope == "" {
		s.FIFO.Scope = ScopeQueue
	}
	if s.FIFO.Window == 0 {
		s.FIFO.Window = dedupWindow
	}
	return s
}

// validateFor checks the settings, and that they are those of a queue of the given name.
func (s Settings) validateFor(name string) error {
	if s.IsFIFO() && !IsFIFOName(name) {
		e := errs.Invalidf("/fifo", "The name of a FIFO queue ends in %s; %q is the name of a standard one.", fifoSuffix, name)
		e.Fix = fmt.Sprintf("Name it %q.", name+fifoSuffix)
		return e
	}
	if dead := s.Redrive.DeadLetterQueue; dead != "" {
		switch {
		case ValidName(dead) != nil:
			return errs.Invalidf("/redrive/dead_letter_queue", "%q is no name of a queue.", dead)
		case dead == name:
			return errs.Invalidf("/redrive/dead_letter_queue", "A queue cannot be its own dead-letter queue.")
		case IsFIFOName(dead) != IsFIFOName(name):
			return errs.Invalidf("/redrive/dead_letter_queue", "The dead-letter queue of a FIFO queue is a FIFO queue, and that of a standard queue a standard one.")
		}
	}
	if s.ForwardTo != "" {
		switch {
		case ValidName(s.ForwardTo) != nil && !s.toTopic():
			return errs.Invalidf("/forward_to", "%q is no name of a queue. A topic is named with %s before it.", s.ForwardTo, topicTarget)
		case s.ForwardTo == name:
			return errs.Invalidf("/forward_to", "A queue cannot forward to itself.")
		case IsFIFOName(s.ForwardTo) != IsFIFOName(name):
			return errs.Invalidf("/forward_to", "A FIFO queue forwards to a FIFO queue or topic, and a standard queue to a standard one.")
		case s.toTopic() && s.Delay > 0:
			return errs.Invalidf("/delay", "A queue that forwards to a topic has no delay: what is published has none. Set it on the queues that subscribe.")
		}
	}
	return s.Validate()
}

// DefaultSettings returns the settings of a queue of which nothing was said.
func DefaultSettings() Settings {
	return Settings{VisibilityTimeout: 30 * time.Second, Retention: 4 * 24 * time.Hour, MaxMessageSize: MaxMessageSize, WhenFull: Reject, Retry: DefaultRetry(),
		PriorityStep: usualPriorityStep, Shards: 1}
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
	between("/trace_retention", s.TraceRetention, 0, MaxTraceRetention)
	if s.MaxMessageSize < MinMessageSize || s.MaxMessageSize > MaxMessageSize {
		bad.Fields = append(bad.Fields, errs.Field{Pointer: "/max_message_size", Code: "out_of_range",
			Message: fmt.Sprintf("must be %d to %d bytes, got %d", MinMessageSize, MaxMessageSize, s.MaxMessageSize)})
	}
	bad.Fields = append(bad.Fields, s.checkShards()...)
	bad.Fields = append(bad.Fields, s.checkCaps()...)
	if s.IsFIFO() {
		between("/fifo/deduplication_window", s.FIFO.Window, MinWindow, MaxWindow)
		if s.FIFO.Scope != ScopeQueue && s.FIFO.Scope != ScopeGroup {
			bad.Fields = append(bad.Fields, errs.Field{Pointer: "/fifo/scope", Code: "invalid",
				Message: fmt.Sprintf("must be queue or group, got %q", string(s.FIFO.Scope))})
		}
	}
	if r := s.Redrive; r != (Redrive{}) {
		if r.DeadLetterQueue == "" {
			bad.Fields = append(bad.Fields, errs.Field{Pointer: "/redrive/dead_letter_queue", Code: "required", Message: "must name a queue"})
		}
		if r.MaxReceives < 1 || r.MaxReceives > MaxMaxReceives {
			bad.Fields = append(bad.Fields, errs.Field{Pointer: "/redrive/max_receives", Code: "out_of_range",
				Message: fmt.Sprintf("must be 1 to %d, got %d", MaxMaxReceives, r.MaxReceives)})
		}
	}
	if n := len(s.RedriveAllow.Sources); n > MaxRedriveSources {
		bad.Fields = append(bad.Fields, errs.Field{Pointer: "/redrive_allow/sources", Code: "too_many",
			Message: fmt.Sprintf("must be at most %d, got %d", MaxRedriveSources, n)})
	}
	for i, source := range s.RedriveAllow.Sources {
		if ValidName(source) != nil {
			bad.Fields = append(bad.Fields, errs.Field{Pointer: fmt.Sprintf("/redrive_allow/sources/%d", i), Code: "invalid",
				Message: fmt.Sprintf("must be the name of a queue, got %q", source)})
		}
	}
	between("/priority_step", s.PriorityStep, MinPriorityStep, MaxPriorityStep)
	bad.Fields = append(bad.Fields, s.Retry.validate("/retry")...)
	bad.Fields = append(bad.Fields, checkLabels(s.Labels)...)
	if len(s.AWS.Policy) > MaxPolicy || len(s.AWS.KMSKey) > MaxKMSKey {
		bad.Fields = append(bad.Fields, errs.Field{Pointer: "/aws", Code: "out_of_range",
			Message: fmt.Sprintf("must have a policy of at most %d and a name of a key of at most %d bytes", MaxPolicy, MaxKMSKey)})
	}
	if len(bad.Fields) == 0 {
		return nil
	}
	bad.Message = "One or more settings are not allowed: " + bad.Fields[0].Pointer + " " + bad.Fields[0].Message + "."
	return bad
}

func (s Settings) checkCaps() []errs.Field {
	var bad []errs.Field
	shards, each := int64(max(s.Shards, 1)), ""
	if shards > 1 {
		each = fmt.Sprintf(" for each of %d shards", shards)
	}
	if s.MaxMessages != 0 && (s.MaxMessages < shards || s.MaxMessages > MaxCapMessages) {
		bad = append(bad, errs.Field{Pointer: "/max_messages", Code: "out_of_range",
			Message: fmt.Sprintf("must be %d to %d, got %d", shards, MaxCapMessages, s.MaxMessages)})
	}
	if least := shards * int64(s.MaxMessageSize+recordRoom); s.MaxBytes != 0 && (s.MaxBytes < least || s.MaxBytes > MaxCapBytes) {
		bad = append(bad, errs.Field{Pointer: "/max_bytes", Code: "out_of_range",
			Message: fmt.Sprintf("must be %d (max_message_size and %d more%s) to %d, got %d", least, recordRoom, each, int64(MaxCapBytes), s.MaxBytes)})
	}
	switch {
	case s.WhenFull != Reject && s.WhenFull != DropOldest && s.WhenFull != DeadLetterOldest:
		bad = append(bad, errs.Field{Pointer: "/when_full", Code: "not_allowed",
			Message: fmt.Sprintf("must be reject, drop_oldest or dead_letter, got %q", string(s.WhenFull))})
	case s.WhenFull == DeadLetterOldest && s.Redrive == (Redrive{}):
		bad = append(bad, errs.Field{Pointer: "/when_full", Code: "contradiction",
			Message: "must be reject or drop_oldest as long as redrive names no dead-letter queue"})
	case s.WhenFull == DeadLetterOldest && s.ForwardTo != "":
		bad = append(bad, errs.Field{Pointer: "/when_full", Code: "contradiction",
			Message: "must be reject or drop_oldest as long as the queue forwards: what is on its way cannot go elsewhere"})
	}
	return bad
}

// checkShards refuses what cannot be spread. A FIFO queue keeps its order in one place.
func (s Settings) checkShards() []errs.Field {
	switch {
	case s.Shards < 0 || s.Shards > MaxShards:
		return []errs.Field{{Pointer: "/shards", Code: "out_of_range", Message: fmt.Sprintf("must be 1 to %d, got %d", MaxShards, s.Shards)}}
	case s.Shards > 1 && s.IsFIFO():
		return []errs.Field{{Pointer: "/shards", Code: "not_allowed", Message: "must be 1 for a FIFO queue, which keeps its order in one place: leave it out"}}
	}
	return nil
}

// share returns the settings as they hold for one shard: with its part of the caps.
func (s Settings) share() Settings {
	if s.Shards > 1 {
		s.MaxMessages /= int64(s.Shards)
		s.MaxBytes /= int64(s.Shards)
	}
	return s
}

// caps are the caps of a shard as send.lua takes them.
func (s Settings) caps() string {
	if s.MaxMessages == 0 && s.MaxBytes == 0 {
		return ""
	}
	s = s.share()
	drop := 0
	switch s.WhenFull {
	case DropOldest:
		drop = 1
	case DeadLetterOldest:
		drop = 2
	}
	return fmt.Sprintf("%d,%d,%d,%d", s.MaxMessages, s.MaxBytes, s.Retention.Milliseconds(), drop)
}

// together is how many messages may travel in one script call. Where so many would not fit into an empty queue from which
// the oldest go, each travels alone, and pushes out the one before.
func (s Settings) together() int {
	if s.WhenFull == Reject {
		return callMessages
	}
	s = s.share()
	if s.MaxMessages > 0 && s.MaxMessages < callMessages || s.MaxBytes > 0 && s.MaxBytes < 2*callBytes {
		return 1
	}
	return callMessages
}

func checkLabels(labels map[string]string) []errs.Field {
	var bad []errs.Field
	if len(labels) > MaxLabels {
		bad = append(bad, errs.Field{Pointer: "/labels", Code: "too_many",
			Message: fmt.Sprintf("must be at most %d, got %d", MaxLabels, len(labels))})
	}
	for k, v := range labels {
		if k == "" || utf8.RuneCountInString(k) > maxLabelKey || utf8.RuneCountInString(v) > maxLabelValue {
			bad = append(bad, errs.Field{Pointer: "/labels/" + pointerEscape(k), Code: "out_of_range",
				Message: "must have a name of 1 to 128 and a value of at most 256 characters"})
		}
	}
	return bad
}

// stored is how settings lie in Redis. Times are milliseconds. A field that is missing has its default, so that old
// data and new programs, and the reverse, go together.
type stored struct {
	Name       string             `json:"name"`
	Created    int64              `json:"created"`
	Updated    int64              `json:"updated"`
	Visibility *int64             `json:"visibility_timeout,omitempty"`
	Retention  *int64             `json:"retention,omitempty"`
	Delay      int64              `json:"delay,omitempty"`
	Wait       int64              `json:"receive_wait,omitempty"`
	MaxSize    int                `json:"max_message_size,omitempty"`
	Labels     map[string]string  `json:"labels,omitempty"`
	MaxCount   int64              `json:"max_messages,omitempty"`
	MaxBytes   int64              `json:"max_bytes,omitempty"`
	WhenFull   WhenFull           `json:"when_full,omitempty"`
	FIFO       *storedFIFO        `json:"fifo,omitempty"`
	Redrive    *storedRedrive     `json:"redrive,omitempty"`
	Allow      *storedAllow       `json:"redrive_allow,omitempty"`
	ForwardTo  string             `json:"forward_to,omitempty"`
	Paused     *storedQueuePauses `json:"paused,omitempty"`
	Retry      string             `json:"retry,omitempty"` // as lua/lib/retry.lua has it
	Step       int64              `json:"priority_step,omitempty"`
	Shards     int                `json:"shards,omitempty"` // where there are several
	Trace      int64              `json:"trace_retention,omitempty"`
	AWS        *AWS               `json:"aws,omitempty"`
}

type storedRedrive struct {
	Queue       string `json:"queue"`
	MaxReceives int    `json:"max_receives"`
}

type storedAllow struct {
	None    bool     `json:"none,omitempty"`
	Sources []string `json:"sources,omitempty"`
}

type storedFIFO struct {
	ContentBased bool  `json:"content_based,omitempty"`
	Scope        Scope `json:"scope"`
	Window       int64 `json:"window"`
}

func encodeSettings(name string, created, updated time.Time, s Settings, p Paused) (string, error) {
	visibility, retention := s.VisibilityTimeout.Milliseconds(), s.Retention.Milliseconds()
	st := stored{
		Name: name, Created: created.UnixMilli(), Updated: updated.UnixMilli(),
		Visibility: &visibility, Retention: &retention, Delay: s.Delay.Milliseconds(), Wait: s.ReceiveWait.Milliseconds(),
		MaxSize: s.MaxMessageSize, Labels: s.Labels, Paused: p.stored(),
		MaxCount: s.MaxMessages, MaxBytes: s.MaxBytes, ForwardTo: s.ForwardTo, Trace: s.TraceRetention.Milliseconds(),
	}
	if s.WhenFull != Reject {
		st.WhenFull = s.WhenFull
	}
	if s.Shards > 1 {
		st.Shards = s.Shards
	}
	if f := s.FIFO; s.IsFIFO() {
		st.FIFO = &storedFIFO{ContentBased: f.ContentBased, Scope: f.Scope, Window: f.Window.Milliseconds()}
	}
	if r := s.Redrive; r != (Redrive{}) {
		st.Redrive = &storedRedrive{Queue: r.DeadLetterQueue, MaxReceives: r.MaxReceives}
	}
	if a := s.RedriveAllow; a.None || len(a.Sources) > 0 {
		st.Allow = &storedAllow{None: a.None, Sources: a.Sources}
	}
	if s.Retry != DefaultRetry() {
		st.Retry = s.Retry.encode()
	}
	if s.PriorityStep != usualPriorityStep {
		st.Step = s.PriorityStep.Milliseconds()
	}
	if s.AWS != (AWS{}) {
		st.AWS = &s.AWS
	}
	raw, err := json.Marshal(st)
	return string(raw), err
}

// head returns the settings that the scripts read, as fields of the head and their values in turn.
func (s Settings) head() []any {
	return []any{"rt", s.Retry.head(), "ps", s.PriorityStep.Milliseconds()}
}

// config is what a server knows of a queue: its settings, what of it is paused, and their version.
type config struct {
	Settings
	name             string
	created, updated time.Time
	version          string
	paused           Paused
}

func decodeConfig(version, raw string) (*config, error) {
	var st stored
	if err := json.Unmarshal([]byte(raw), &st); err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	c := &config{Settings: DefaultSettings(), name: st.Name, version: version, paused: st.Paused.paused(),
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
	c.TraceRetention = time.Duration(st.Trace) * time.Millisecond
	c.Shards = max(st.Shards, 1)
	c.MaxMessages, c.MaxBytes, c.ForwardTo = st.MaxCount, st.MaxBytes, st.ForwardTo
	if st.WhenFull != "" {
		c.WhenFull = st.WhenFull
	}
	if f := st.FIFO; f != nil {
		c.FIFO = FIFO{ContentBased: f.ContentBased, Scope: f.Scope, Window: time.Duration(f.Window) * time.Millisecond}
	}
	if r := st.Redrive; r != nil {
		c.Redrive = Redrive{DeadLetterQueue: r.Queue, MaxReceives: r.MaxReceives}
	}
	if a := st.Allow; a != nil {
		c.RedriveAllow = RedriveAllow{None: a.None, Sources: a.Sources}
	}
	if st.Step != 0 {
		c.PriorityStep = time.Duration(st.Step) * time.Millisecond
	}
	if st.AWS != nil {
		c.AWS = *st.AWS
	}
	if st.Retry != "" {
		r, ok := parseRetry(st.Retry)
		if !ok {
			return nil, fmt.Errorf("read settings: retry %q", st.Retry)
		}
		c.Retry = r
	}
	return c, nil
}
