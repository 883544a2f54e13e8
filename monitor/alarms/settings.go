package alarms

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/errs"
)

// Metric is what an alarm looks at.
type Metric string

// The metrics.
const (
	Available    Metric = "available"            // messages of a queue that could be received
	InFlight     Metric = "in_flight"            // messages of a queue that somebody has
	Delayed      Metric = "delayed"              // messages of a queue that wait for their time
	OldestAge    Metric = "oldest_age"           // seconds since the oldest message was sent that a receive could return
	DeadLettered Metric = "dead_lettered"        // messages that left a queue for its dead-letter queue, in one period
	Unreceived   Metric = "unreceived"           // seconds for which a queue has had messages and nobody has received any
	FailureRate  Metric = "webhook_failure_rate" // per cent of the attempts of one period that did not deliver; 100 of an endpoint that was disabled
	QuotaUsed    Metric = "quota_used"           // per cent of the limit of which the tenant has used most
)

// Metrics are all of them.
var Metrics = []Metric{Available, InFlight, Delayed, OldestAge, DeadLettered, Unreceived, FailureRate, QuotaUsed}

// remembers reports whether a metric is about what was different at the last look.
func (m Metric) remembers() bool { return m == DeadLettered || m == Unreceived || m == FailureRate }

// Comparison is how a value compares with a threshold that raises an alarm.
type Comparison string

// Comparisons are all that there are.
var Comparisons = []Comparison{">", ">=", "<", "<="}

func (c Comparison) holds(value, threshold float64) bool {
	switch c {
	case ">":
		return value > threshold
	case ">=":
		return value >= threshold
	case "<":
		return value < threshold
	}
	return value <= threshold
}

// worse reports whether a value is nearer to an alarm than another one, or deeper in it.
func (c Comparison) worse(a, b float64) bool {
	if c[0] == '>' {
		return a > b
	}
	return a < b
}

// The limits of what an alarm may say.
const (
	MaxThreshold   = 1e15
	MaxPeriod      = 24 * time.Hour
	MaxPeriods     = 60
	MaxExcept      = 10
	MaxDescription = 500 // bytes
	MaxEmails      = 10
	MaxMute        = 30 * 24 * time.Hour
	MaxMuteReason  = 255 // bytes
	maxPattern     = 256
	maxName        = 80
)

// Settings are what the owner of an alarm decides.
type Settings struct {
	Description string
	Metric      Metric
	// Queue is a name or a pattern, in which * stands for anything. Topic and Subscription are the same of webhooks.
	Queue, Topic, Subscription string
	// Except are patterns of queues, or of webhooks as topic/subscription, that are left out.
	Except      []string
	Comparison  Comparison
	Threshold   float64
	Period      time.Duration // whole minutes up to MaxPeriod
	Periods     int           // for how many of them in a row
	NotifyTopic string        // to which changes are published; "": to none
	NotifyEmail []string      // of members of the tenant, at most MaxEmails, who get a letter of each change
	NotifyOn    []State       // of which states; the order means nothing
	Disabled    bool
}

// Default returns what holds for what a client does not say.
func Default() Settings {
	return Settings{Comparison: ">", Period: minute, Periods: 1, NotifyOn: []State{Alarm, OK}}
}

// ValidName reports what is wrong with the name of an alarm, or nil.
func ValidName(name string) error {
	ok := name != "" && len(name) <= maxName
	for i := 0; i < len(name); i++ {
		c := name[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	}
	if ok {
		return nil
	}
	return errs.Invalidf("", "An alarm's name has 1 to %d letters, digits, - and _.", maxName)
}

// Validate names every setting that is not allowed.
func (s *Settings) Validate() error {
	bad := &errs.Error{Kind: errs.Invalid, Code: "validation_failed"}
	add := func(pointer, code, format string, args ...any) {
		bad.Fields = append(bad.Fields, errs.Field{Pointer: pointer, Code: code, Message: fmt.Sprintf(format, args...)})
	}
	if len(s.Description) > MaxDescription {
		add("/description", "too_long", "must have at most %d bytes, got %d", MaxDescription, len(s.Description))
	}
	switch {
	case s.Metric == "":
		add("/metric", "required", "must be one of %s", join(Metrics))
	case !slices.Contains(Metrics, s.Metric):
		add("/metric", "not_allowed", "must be one of %s", join(Metrics))
	default:
		s.checkTarget(add)
	}
	if !slices.Contains(Comparisons, s.Comparison) {
		add("/comparison", "not_allowed", "must be one of %s", join(Comparisons))
	}
	if math.IsNaN(s.Threshold) || s.Threshold < 0 || s.Threshold > MaxThreshold {
		add("/threshold", "out_of_range", "must be 0 to 10^15")
	}
	if s.Period < minute || s.Period > MaxPeriod || s.Period%minute != 0 {
		add("/period", "out_of_range", "must be whole minutes, 60 to %.0f seconds", MaxPeriod.Seconds())
	}
	if s.Periods < 1 || s.Periods > MaxPeriods {
		add("/periods", "out_of_range", "must be 1 to %d, got %d", MaxPeriods, s.Periods)
	}
	if len(s.NotifyEmail) > MaxEmails {
		add("/notify/email", "too_many", "must have at most %d addresses", MaxEmails)
	}
	for i, state := range s.NotifyOn {
		if !slices.Contains(States, state) || slices.Contains(s.NotifyOn[:i], state) {
			add(fmt.Sprintf("/notify/on/%d", i), "not_allowed", "must be one of %s, each once", join(States))
		}
	}
	if len(bad.Fields) == 0 {
		return nil
	}
	bad.Message = "One or more settings are not allowed: " + bad.Fields[0].Pointer + " " + bad.Fields[0].Message + "."
	return bad
}

// checkTarget refuses a target that the metric does not go with.
func (s *Settings) checkTarget(add func(pointer, code, format string, args ...any)) {
	want := func(member, value string, needed bool) {
		switch at := "/target/" + member; {
		case needed && value == "":
			add(at, "required", "must be given with the metric %s: a name, or a pattern such as orders-*", s.Metric)
		case !needed && value != "":
			add(at, "not_allowed", "does not go with the metric %s", s.Metric)
		case len(value) > maxPattern || !isPattern(value):
			add(at, "invalid", "must have letters, digits, -, _, . and *, at most %d in all", maxPattern)
		}
	}
	hooks, quota := s.Metric == FailureRate, s.Metric == QuotaUsed
	want("queue", s.Queue, !hooks && !quota)
	want("topic", s.Topic, hooks)
	want("subscription", s.Subscription, hooks)
	if len(s.Except) > MaxExcept {
		add("/target/except", "too_many", "must have at most %d patterns", MaxExcept)
	}
	for i, p := range s.Except {
		if p == "" || quota || len(p) > maxPattern || !isPattern(strings.ReplaceAll(p, "/", "")) {
			add(fmt.Sprintf("/target/except/%d", i), "invalid", "must be a pattern of what the metric is about")
		}
	}
}

func join[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = string(s)
	}
	return strings.Join(texts, ", ")
}

func isPattern(p string) bool {
	for i := 0; i < len(p); i++ {
		c := p[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.*", c) >= 0) {
			return false
		}
	}
	return true
}

// includes reports whether an alarm looks at a queue, or a webhook as topic/subscription.
func (s *Settings) includes(name string) bool {
	pattern := s.Queue
	if s.Metric == FailureRate {
		pattern = s.Topic + "/" + s.Subscription
	}
	return auth.Matches(pattern, name) && !slices.ContainsFunc(s.Except, func(p string) bool { return auth.Matches(p, name) })
}

// Suggested are alarms that most tenants want. topic is where they publish to, "" for nowhere.
func Suggested(topic string) map[string]Settings {
	with := func(s Settings) Settings {
		d := Default()
		s.Comparison, s.Period, s.NotifyOn, s.NotifyTopic = d.Comparison, max(s.Period, d.Period), d.NotifyOn, topic
		s.Periods = max(s.Periods, 1)
		return s
	}
	// Dead letters wait for somebody to look at them: that they are old says nothing.
	aside := []string{"*dlq*", "*dead*"}
	return map[string]Settings{
		"dead-letters": with(Settings{Metric: DeadLettered, Queue: "*", Period: 5 * time.Minute,
			Description: "Messages were given up in the last five minutes."}),
		"oldest-message": with(Settings{Metric: OldestAge, Queue: "*", Except: aside, Threshold: 3600, Periods: 3,
			Description: "A message has waited for more than an hour."}),
		"nobody-receives": with(Settings{Metric: Unreceived, Queue: "*", Except: aside, Threshold: 900,
			Description: "A queue has messages, and for a quarter of an hour nobody has received any."}),
		"webhook-failing": with(Settings{Metric: FailureRate, Topic: "*", Subscription: "*", Threshold: 50, Period: 5 * time.Minute, Periods: 2,
			Description: "More than half of the attempts to send to an endpoint have failed for ten minutes, or it was disabled."}),
		"quota-80-percent": with(Settings{Metric: QuotaUsed, Threshold: 80, Period: 5 * time.Minute,
			Description: "The tenant has used 80 per cent of a limit."}),
		"quota-95-percent": with(Settings{Metric: QuotaUsed, Threshold: 95, Period: 5 * time.Minute,
			Description: "The tenant has used 95 per cent of a limit."}),
	}
}
