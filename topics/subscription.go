package topics

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/filter"
	"github.com/sluicemq/sluice/queues"
)

const (
	// MaxSubscriptions bounds the subscriptions of one topic.
	MaxSubscriptions = 1000
	// MaxVersions bounds how often the settings of a subscription may change that is behind: those are kept by which what
	// it has not got yet was published.
	MaxVersions = 10
	// maxSubscriptionName is that of the names of queues.
	maxSubscriptionName = 80
)

// The errors of subscriptions.
var (
	ErrSubscriptionNotFound = &errs.Error{Kind: errs.NotFound, Code: "subscription_not_found", Message: "There is no such subscription."}
	ErrSubscriptionQuota    = &errs.Error{Kind: errs.Quota, Code: "quota_exceeded", Message: "The topic has as many subscriptions as it may have.",
		Fix: "Delete subscriptions that nobody needs, or ask the operator for a higher limit."}
	ErrSubscriptionPrecondition = &errs.Error{Kind: errs.Precondition, Code: "precondition_failed",
		Message: "The subscription is not in the state that the request's If-Match or If-None-Match asked for.",
		Fix:     "Read the subscription again, look at its ETag, and repeat the change."}
	ErrSubscriptionBusy = &errs.Error{Kind: errs.Conflict, Code: "subscription_behind",
		Message: fmt.Sprintf("The subscription has been changed %d times since it was last up to date.", MaxVersions),
		Fix:     "Wait until its lag is 0, then change it again; or delete it and make another one."}

	ErrSubscriptionDamaged = &errs.Error{Kind: errs.Conflict, Code: "subscription_damaged",
		Message: "What is stored of the subscription cannot be read. Nothing is carried to it, and the topic's log waits for it.",
		Fix:     "Delete the subscription and make it again; a replay brings what the topic keeps. Or restore the storage from a backup."}

	errChanged = errors.New("the subscription has changed")
)

// SubscriptionSettings are what the owner of a subscription decides.
type SubscriptionSettings struct {
	Queue string // It stays as long as the subscription
	// Account is the number of another tenant's account to which Queue belongs; "": it is of the same tenant. It stays, too.
	Account string
	// Topic is another one of the same tenant, to which the messages go on instead; "": to Queue. It stays, too.
	Topic string
	// Endpoint is the settings of the webhook to which the messages go instead, JSON of package topics/webhook; "": to none.
	Endpoint string
	// Secret is what a new webhook signs with, sealed; "": one that is made. It is never read back.
	Secret string
	// Secrets are what the webhook signs with instead, as Webhooks keeps them, where those of its topic subscription were rotated; "": Secret.
	// They are never read back either.
	Secrets string
	// DeadLetterQueue is a queue of the same tenant that gets what cannot be delivered for good; "": nothing does.
	DeadLetterQueue string
	Format          Format
	FilterPolicy    string // which messages; "": all
	FilterScope     filter.Scope
	Replay          Replayed // PutSubscription leaves it as it is
	Owner           Owner    // zero: the subscription is one of its own
}

// Owner is the topic subscription from which a subscription stems.
type Owner struct {
	UID     string
	Version int64 // of the topic subscription
}

// Replayed is what a client of SNS has had replayed to a subscription.
type Replayed struct {
	Policy string // as it was given; "": nothing
	Task   string // id of the task that brings it; "": there is none yet
	Until  int64  // ms: what is published from then on does not reach the subscription; 0: all does
}

// Format says how messages arrive.
type Format uint8

// The formats.
const (
	Raw             Format = iota // as if they had been sent to the queue
	Enveloped                     // in a JSON object with all that is known of them; see Envelope
	Notified                      // in the JSON object that SNS sends; see Notification
	EventBinary                   // to a webhook: as they were published, with what is known of them in headers, as CloudEvents defines it
	EventStructured               // to a webhook: in the JSON object that CloudEvents defines
	EventBatch                    // to a webhook: in a list of these objects, one or several in a request
)

// formats are their names, in the API and in Redis.
var formats = [...]string{Raw: "raw", Enveloped: "envelope", Notified: "sns", EventBinary: "cloudevents_binary", EventStructured: "cloudevents_structured", EventBatch: "cloudevents_batch"}

// String returns the name of the format in the API.
func (f Format) String() string { return formats[f] }

// ParseFormat returns the format with a name, and false where there is none.
func ParseFormat(name string) (Format, bool) {
	i := slices.Index(formats[:], name)
	return Format(max(i, 0)), i >= 0
}

func (f Format) isEvent() bool { return f == EventBinary || f == EventStructured || f == EventBatch }

// State says how a subscription fares.
type State string

// The states of a subscription.
const (
	Active   State = "active"
	Paused   State = "paused"   // by its owner
	Retrying State = "retrying" // its queue does not take messages now
	Broken   State = "broken"   // its queue is missing: what is published is dropped
	Disabled State = "disabled" // its endpoint is not to be used: what is published is dropped
)

// Subscription is one way out of a topic.
type Subscription struct {
	Name     string
	Way      Way // to its webhook, where it leads to one
	Settings SubscriptionSettings
	State    State
	PausedAt time.Time // zero: it is not
	// Cursor is the sequence number up to which all is done with.
	Cursor int64
	// Lag is how many messages are still to come, Delivered how many were stored in the queue, FilteredOut how many the
	// filter policy kept out, Dropped how many had nowhere to go or waited for too long, and Failed how many the queue does
	// not take at all.
	Lag, Delivered, FilteredOut, Dropped, Failed int64
	// LastError is why the last message did not arrive that did not; nil when all did.
	LastError *Trouble
	Created   time.Time
	Updated   time.Time
	ETag      string // changes with the settings, without quotes
}

// Trouble is why messages did not arrive.
type Trouble struct {
	State   State     `json:"state,omitempty"` // what the subscription is because of it; "": active again
	Code    string    `json:"code"`            // stable snake_case name
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

// ValidSubscriptionName reports what is wrong with a subscription's name, or nil.
func ValidSubscriptionName(name string) error {
	if len(name) <= maxSubscriptionName && validSegment(name) {
		return nil
	}
	return errs.Invalidf("", "A subscription's name has 1 to %d letters, digits, - and _.", maxSubscriptionName)
}

// IsSubscriptionName reports whether there may be a subscription of a name, made by whomever.
func IsSubscriptionName(name string) bool {
	owner, owned := CutOwned(name)
	if owned {
		name = owner
	}
	return ValidSubscriptionName(name) == nil
}

// storedSubscription are the settings of a subscription as they lie in Redis. Times are in milliseconds.
type storedSubscription struct {
	UID      string `json:"uid"`
	Queue    string `json:"queue,omitempty"`    // or a topic, as queues.TopicTarget names it
	Endpoint string `json:"endpoint,omitempty"` // of a webhook, and then there is no queue
	Secret   string `json:"secret,omitempty"`   // the first one of a webhook, sealed
	Secrets  string `json:"secrets,omitempty"`  // of a webhook that stems from a topic subscription: what it signs with since they were rotated
	Version  int64  `json:"version,omitempty"`  // of a webhook: how often it was changed
	Dead     string `json:"dead,omitempty"`     // the dead-letter queue
	Envelope bool   `json:"envelope,omitempty"`
	Notify   bool   `json:"sns,omitempty"`
	Event    string `json:"event,omitempty"` // name of one of the formats of CloudEvents, or ""
	Policy   string `json:"policy,omitempty"`
	Scope    string `json:"scope,omitempty"`
	Replay   string `json:"replay,omitempty"` // Replayed
	Task     string `json:"replay_task,omitempty"`
	Until    int64  `json:"replay_until,omitempty"`
	Owner    string `json:"owner,omitempty"` // Owner
	Owned    int64  `json:"owner_version,omitempty"`
	Created  int64  `json:"created"`
	Updated  int64  `json:"updated"`
	Rev      string `json:"rev"` // makes each text another one
}

// stored returns settings as they lie in Redis. Who and when is for the caller, and so is the secret.
func (s *SubscriptionSettings) stored() storedSubscription {
	st := storedSubscription{Queue: s.target(), Endpoint: s.Endpoint, Dead: s.DeadLetterQueue, Envelope: s.Format == Enveloped, Notify: s.Format == Notified, Policy: s.FilterPolicy,
		Replay: s.Replay.Policy, Task: s.Replay.Task, Until: s.Replay.Until, Owner: s.Owner.UID, Owned: s.Owner.Version}
	if s.Format.isEvent() {
		st.Event = s.Format.String()
	}
	if s.FilterScope != filter.Attributes {
		st.Scope = s.FilterScope.String()
	}
	return st
}

func (st *storedSubscription) settings() (SubscriptionSettings, error) {
	out := SubscriptionSettings{Endpoint: st.Endpoint, DeadLetterQueue: st.Dead, FilterPolicy: st.Policy, Replay: Replayed{st.Replay, st.Task, st.Until}, Owner: Owner{st.Owner, st.Owned}}
	if topic, ok := queues.CutTopicTarget(st.Queue); ok {
		out.Topic = topic
	} else if account, queue, ok := cutAbroad(st.Queue); ok {
		out.Account, out.Queue = account, queue
	} else {
		out.Queue = st.Queue
	}
	switch {
	case st.Event != "":
		out.Format, _ = ParseFormat(st.Event)
	case st.Notify:
		out.Format = Notified
	case st.Envelope:
		out.Format = Enveloped
	}
	if st.Scope == "" {
		return out, nil
	}
	var err error
	out.FilterScope, err = filter.ParseScope(st.Scope)
	return out, err
}

// version is what held for a subscription from a sequence number on.
type version struct {
	from int64
	raw  string // JSON of storedSubscription
	storedSubscription
}

// record is a subscription as it lies in Redis.
type record struct {
	name     string
	versions []version // the oldest first
	progress
	text    string // of all versions, as it lies in Redis
	damaged error  // why it cannot be used; nil: it can. Of a damaged one no more than the uid may be known, or not even that
}

// progress is how far a subscription is; see lua/lib/subscription.lua.
type progress struct {
	cursor, base, delivered, filtered, dropped, failed, paused int64
	trouble                                                    *Trouble
}

func (r *record) last() *version { return &r.versions[len(r.versions)-1] }

func parseVersions(text string) ([]version, error) {
	var list []version
	for line := range strings.SplitSeq(text, "\n") {
		from, raw, _ := strings.Cut(line, " ")
		v := version{raw: raw}
		var err error
		if v.from, err = strconv.ParseInt(from, 10, 64); err == nil {
			err = json.Unmarshal([]byte(raw), &v.storedSubscription)
		}
		if err != nil || v.UID == "" {
			return nil, errors.New("read the settings of a subscription: they are damaged") // the cause would quote them
		}
		list = append(list, v)
	}
	return list, nil
}

func parseProgress(text string) (progress, error) {
	var p progress
	numbers, trouble, _ := strings.Cut(text, "|")
	f := strings.Split(numbers, ",")
	all := []*int64{&p.cursor, &p.base, &p.delivered, &p.filtered, &p.dropped, &p.failed, &p.paused}
	if len(f) != len(all) {
		return p, errors.New("read the progress of a subscription: it is damaged")
	}
	for i, n := range all {
		var err error
		if *n, err = strconv.ParseInt(f[i], 10, 64); err != nil {
			return p, fmt.Errorf("read the progress of a subscription: %w", err)
		}
	}
	if trouble != "" {
		p.trouble = &Trouble{}
		if err := json.Unmarshal([]byte(trouble), p.trouble); err != nil {
			return p, fmt.Errorf("read the progress of a subscription: %w", err)
		}
	}
	return p, nil
}

// snapshot is what subscriptions.lua says.
type snapshot struct {
	now             time.Time
	last, published int64  // of the topic
	version         string // of its subscriptions
	list            []*record
	ended           map[string]string // uid to queue of those that are being deleted
	owned           map[string]string // progress by uid, as it lies in Redis
}

// parseSnapshot reads the subscriptions of a topic. One that is damaged says nothing of the others.
func parseSnapshot(list []any) snapshot {
	s := snapshot{now: at(engine.Number(list, 1)), last: engine.Number(list, 2), published: engine.Number(list, 3), version: engine.Text(list, 4),
		ended: map[string]string{}, owned: map[string]string{}}
	i := 5
	for ; i+1 < len(list) && engine.Text(list, i) != "~"; i += 2 {
		name, value := engine.Text(list, i), engine.Text(list, i+1)
		switch {
		case name == "":
		case name[0] == '~':
			s.ended[name[1:]] = value
		default:
			s.list = append(s.list, parseRecord(name, value))
		}
	}
	for i += 2; i+1 < len(list); i += 2 {
		if uid := engine.Text(list, i); uid != "" {
			s.owned[uid] = engine.Text(list, i+1)
		}
	}
	for _, r := range s.list {
		var err error
		if r.progress, err = parseProgress(s.owned[r.last().UID]); r.damaged == nil {
			r.damaged = err
		}
	}
	return s
}

// uidOf finds the uid of a subscription also where the rest cannot be read; lua/subscriptions.lua looks for the same.
var uidOf = regexp.MustCompile(`"uid":"(\w+)"`)

// parseRecord reads a subscription, but for its progress.
func parseRecord(name, text string) *record {
	r := &record{name: name, text: text}
	r.versions, r.damaged = parseVersions(text)
	if r.damaged == nil {
		_, r.damaged = r.last().settings()
	}
	if r.damaged != nil {
		var v version
		if found := uidOf.FindStringSubmatch(text); found != nil {
			v.UID = found[1]
		}
		r.versions = []version{v}
	}
	return r
}

// orphan returns the uid of progress that belongs to no subscription, or "": to one of those whose settings are damaged.
func (s *snapshot) orphan() string {
	for uid := range s.owned {
		if !slices.ContainsFunc(s.list, func(r *record) bool { return r.last().UID == uid }) {
			return uid
		}
	}
	return ""
}

// subscription returns a record as it is shown. published is how many messages were published so far.
func (r *record) subscription(published int64) Subscription {
	v := r.last()
	set, _ := v.settings() // parseRecord has looked
	out := Subscription{Name: r.name, Settings: set, State: Active, Cursor: r.cursor,
		Delivered: r.delivered, FilteredOut: r.filtered, Dropped: r.dropped, Failed: r.failed,
		Lag: max(published-r.base-r.delivered-r.filtered-r.dropped-r.failed, 0), LastError: r.trouble,
		Created: at(v.Created), Updated: at(v.Updated), ETag: etag(v.UID, v.Rev)}
	switch {
	case r.paused != 0:
		out.State, out.PausedAt = Paused, at(r.paused)
	case r.trouble != nil && r.trouble.State != "":
		out.State = r.trouble.State
	}
	return out
}

// validateFor checks the settings of a subscription of a topic of this name.
func (s SubscriptionSettings) validateFor(topic string) error {
	switch {
	case s.target() == "" && s.Endpoint == "":
		return errs.Invalidf("/queue", "A subscription needs a queue, an endpoint or a topic, to which the messages go.")
	case s.target() != "" && s.Endpoint != "":
		return errs.Invalidf("/endpoint", "A subscription leads to a queue, to an endpoint or to a topic, not to several.")
	case s.Queue != "" && s.Topic != "":
		return errs.Invalidf("/target_topic", "A subscription leads to a queue, to an endpoint or to a topic, not to several.")
	case s.Endpoint != "":
	case s.Secret != "":
		return errs.Invalidf("/secret", "Only what leads to an endpoint has a secret.")
	case s.Topic != "":
		if err := s.validateTopic(topic); err != nil {
			return err
		}
	case s.Format.isEvent():
		return errs.Invalidf("/format", "CloudEvents are for webhooks: a queue gets its messages raw, in an envelope or as SNS sends them.")
	case strings.Trim(s.Account, "0123456789") != "" || s.Account != "" && len(s.Account) != 12:
		return errs.Invalidf("/queue", "An account number has 12 digits.")
	case queues.ValidName(s.Queue) != nil:
		return errs.Invalidf("/queue", "There is no queue %q.", s.Queue)
	case queues.IsFIFOName(s.Queue) && !IsFIFOName(topic):
		return errs.Invalidf("/queue", "A FIFO queue cannot subscribe to a standard topic, whose messages need no group: subscribe a standard queue, or publish to a FIFO topic.")
	}
	if err := s.validateDeadLetters(topic); err != nil {
		return err
	}
	_, err := filter.Compile(s.FilterPolicy, s.FilterScope)
	if e, ok := errors.AsType[*errs.Error](err); ok {
		moved := *e
		moved.Fields = append([]errs.Field(nil), e.Fields...)
		for i := range moved.Fields {
			moved.Fields[i].Pointer = "/filter_policy" + moved.Fields[i].Pointer
		}
		return &moved
	}
	return err
}

// validateTopic checks the settings of a subscription that leads to a topic.
func (s SubscriptionSettings) validateTopic(from string) error {
	pointer := s.pointer()
	switch {
	case ValidName(s.Topic) != nil:
		return errs.Invalidf(pointer, "There is no topic %q.", s.Topic)
	case s.Topic == from:
		return errs.Invalidf(pointer, "A topic cannot subscribe to itself: messages would go round.")
	case IsFIFOName(s.Topic) && !IsFIFOName(from):
		return errs.Invalidf(pointer, "A FIFO topic cannot subscribe to a standard one, whose messages need no group: forward to a standard topic, or publish to a FIFO topic.")
	case s.Format != Raw:
		return errs.Invalidf("/format", "A topic gets messages as they were published: leave format out, and set it on the subscriptions of %q.", s.Topic)
	}
	return nil
}

// validateDeadLetters checks the dead-letter queue.
func (s SubscriptionSettings) validateDeadLetters(topic string) error {
	const pointer = "/dead_letter_queue"
	name, fifo := s.DeadLetterQueue, queues.IsFIFOName(s.DeadLetterQueue)
	switch {
	case name == "":
	case queues.ValidName(name) != nil:
		return errs.Invalidf(pointer, "There is no queue %q.", name)
	case name == s.Queue:
		return errs.Invalidf(pointer, "A queue cannot be the dead-letter queue of its own subscription: what it does not take has to go elsewhere.")
	case fifo && !IsFIFOName(topic):
		return errs.Invalidf(pointer, "A FIFO queue cannot be the dead-letter queue for a standard topic, whose messages need no group: take a standard queue.")
	case !fifo && s.isFIFO(topic):
		return errs.Invalidf(pointer, "A FIFO subscription to a FIFO topic needs a FIFO queue as its dead-letter queue, so that the order stays.")
	}
	return nil
}

// isFIFO reports whether a subscription of a topic of this name keeps the order of groups all the way.
func (s SubscriptionSettings) isFIFO(topic string) bool {
	to := cmp.Or(s.Queue, s.Topic)
	return IsFIFOName(topic) && (to == "" || queues.IsFIFOName(to))
}

// target names the queue or topic to which a subscription leads, and "" for a webhook.
func (s SubscriptionSettings) target() string {
	if s.Topic != "" {
		return queues.TopicTarget(s.Topic)
	}
	if s.Account != "" {
		return queueAbroad(s.Account, s.Queue)
	}
	return s.Queue
}

// pointer is where the settings say that.
func (s SubscriptionSettings) pointer() string {
	if s.Topic != "" {
		return "/target_topic"
	}
	return "/queue"
}
