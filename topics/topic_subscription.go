package topics

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// A topic subscription has a pattern instead of a topic. It lies in the slot of its tenant, and each topic whose name matches has an
// ordinary subscription that stems from it, by which messages are carried: a publish knows nothing of patterns. How those come and go
// is in spread.go.

const (
	// MaxTopicSubscriptions bounds those of one tenant: whoever makes a topic reads them all.
	MaxTopicSubscriptions = 100
	// ownedPrefix begins the names of subscriptions that stem from one. No other name has a dot.
	ownedPrefix = "pattern."
)

// The errors of topic subscriptions.
var (
	ErrTopicSubscriptionNotFound = &errs.Error{Kind: errs.NotFound, Code: "topic_subscription_not_found", Message: "There is no such topic subscription."}
	ErrTopicSubscriptionQuota    = &errs.Error{Kind: errs.Quota, Code: "quota_exceeded",
		Message: fmt.Sprintf("The tenant has %d topic subscriptions, and no more are allowed.", MaxTopicSubscriptions), Fix: "Delete those that nobody needs, or join their patterns."}
	ErrTopicSubscriptionPrecondition = &errs.Error{Kind: errs.Precondition, Code: "precondition_failed",
		Message: "The topic subscription is not in the state that the request's If-Match or If-None-Match asked for.",
		Fix:     "Read the topic subscription again, look at its ETag, and repeat the change."}
	ErrTopicSubscriptionDeleting = &errs.Error{Kind: errs.Conflict, Code: "topic_subscription_deleting",
		Message: "The topic subscription is being deleted: some topics have its subscription still.",
		Fix:     "Wait until GET /v1/topic_subscriptions/{name} says 404, or choose another name."}
	ErrTopicSubscriptionDamaged = &errs.Error{Kind: errs.Conflict, Code: "topic_subscription_damaged",
		Message: "What is stored of the topic subscription cannot be read. No further topic is subscribed by it; those that are stay so.",
		Fix:     "Delete the topic subscription and make it again, or restore the storage from a backup."}
	// ErrOwned says that a subscription stems from a topic subscription.
	ErrOwned = &errs.Error{Kind: errs.Conflict, Code: "subscription_owned", Message: "The subscription stems from a topic subscription, and changes only with it."}
)

// CutOwned returns the name of the topic subscription from which a subscription of this name stems, and false for one of its own.
func CutOwned(name string) (owner string, ok bool) { return strings.CutPrefix(name, ownedPrefix) }

// OwnedName returns the name of the subscriptions that stem from a topic subscription.
func OwnedName(owner string) string { return ownedPrefix + owner }

// errOwned refuses a change of a subscription that stems from a topic subscription.
func errOwned(name string) error {
	owner, _ := CutOwned(name)
	e := *ErrOwned
	e.Message = fmt.Sprintf("The subscription stems from the topic subscription %q, and changes only with it.", owner)
	e.Fix = "Change or delete that: PATCH or DELETE /v1/topic_subscriptions/" + owner + "."
	return &e
}

// RefuseOwned is ErrOwned for the name of a subscription that stems from a topic subscription.
func RefuseOwned(name string) error {
	if _, owned := CutOwned(name); owned {
		return errOwned(name)
	}
	return nil
}

// TopicSubscription subscribes to all topics whose names match a pattern, now and later.
type TopicSubscription struct {
	Name     string
	Pattern  string
	Settings SubscriptionSettings // of each of the subscriptions; a new webhook's Secret is that of all
	State    TopicSubscriptionState
	Failed   int64          // how many topics have not got their subscription
	Failures []TopicFailure // some of them, by name
	Created  time.Time
	Updated  time.Time
	ETag     string // changes with pattern and settings, without quotes

	owner Owner
}

// TopicSubscriptionState says how far the topics that are there follow.
type TopicSubscriptionState string

// The states of a topic subscription.
const (
	Applying TopicSubscriptionState = "applying" // some topics may still be as they were before the last change
	Applied  TopicSubscriptionState = "active"   // all follow, but those that failed
	Deleting TopicSubscriptionState = "deleting" // some topics may still have its subscription
	Damaged  TopicSubscriptionState = "broken"   // what is stored of it cannot be read: no topic follows
)

// TopicFailure is why a topic that matches has no subscription, or one by older settings.
type TopicFailure struct {
	Topic   string `json:"topic"`
	Code    string `json:"code"` // stable snake_case name
	Message string `json:"message"`
}

// pattern is a topic subscription as it lies in Redis. Its version grows with each change, also with the beginning of its deletion.
type pattern struct {
	storedSubscription
	Pattern  string         `json:"pattern"`
	Deleting bool           `json:"deleting,omitempty"`
	Applied  int64          `json:"applied,omitempty"` // the version that all topics were brought to, as far as they were there
	Failed   int64          `json:"failed,omitempty"`
	Failures []TopicFailure `json:"failures,omitempty"`

	name    string
	raw     string // its text
	damaged bool   // that cannot be read
}

// parsePattern reads a topic subscription. One that is damaged says nothing of the others.
func parsePattern(name, raw string) *pattern {
	p := &pattern{name: name, raw: raw}
	err := json.Unmarshal([]byte(raw), p)
	if err == nil {
		_, err = p.settings()
	}
	if err == nil && !p.Deleting {
		err = ValidPattern(p.Pattern)
	}
	if err != nil || p.UID == "" || p.Version == 0 {
		return &pattern{name: name, raw: raw, damaged: true}
	}
	return p
}

func (p *pattern) owner() Owner { return Owner{p.UID, p.Version} }

// wants reports whether a topic of this name is to have a subscription. None leads to itself.
func (p *pattern) wants(topicName string) bool {
	return !p.Deleting && !p.damaged && p.Queue != queues.TopicTarget(topicName) && matches(p.Pattern, topicName)
}

func (p *pattern) show() (TopicSubscription, error) {
	if p.damaged {
		return TopicSubscription{Name: p.name, State: Damaged, Created: at(0), Updated: at(0), ETag: etag("", p.raw)}, nil
	}
	set, err := p.settings()
	if err != nil {
		return TopicSubscription{}, engine.ErrBroken.Because(err)
	}
	out := TopicSubscription{Name: p.name, Pattern: p.Pattern, Settings: set, State: Applied, Failed: p.Failed, Failures: p.Failures, Created: at(p.Created), Updated: at(p.Updated),
		ETag: etag(p.UID, strconv.FormatInt(p.Version, 10)), owner: p.owner()}
	switch {
	case p.Deleting:
		out.State = Deleting
	case p.Applied != p.Version:
		out.State = Applying
	}
	return out, nil
}

// patterns are topic subscriptions of a tenant as they were at a time.
type patterns struct {
	number string // grows whenever one of them subscribes other topics, or otherwise
	list   []*pattern
}

// readPatterns reads one topic subscription, or with "" all. While the number is still the one of known, known is what it returns.
func (s *Store) readPatterns(ctx context.Context, t tenants.ID, name string, known *patterns) (*patterns, error) {
	number := ""
	if known != nil {
		number = known.number
	}
	reply, err := s.engine.Do(ctx, readPatternsScript, patternKeys(t)[1:], name, number)
	if err != nil {
		return nil, err
	}
	list, _ := reply.([]any)
	out := &patterns{number: engine.Text(list, 0)}
	if known != nil && out.number == number {
		return known, nil
	}
	for i := 1; i+1 < len(list); i += 2 {
		out.list = append(out.list, parsePattern(engine.Text(list, i), engine.Text(list, i+1)))
	}
	slices.SortFunc(out.list, func(a, b *pattern) int { return cmp.Compare(a.name, b.name) })
	return out, nil
}

// findPattern returns a topic subscription, and nil where there is none.
func (s *Store) findPattern(ctx context.Context, t tenants.ID, name string) (*pattern, error) {
	if !IsSubscriptionName(name) {
		return nil, nil
	}
	got, err := s.readPatterns(ctx, t, name, nil)
	if err != nil || len(got.list) == 0 {
		return nil, err
	}
	return got.list[0], nil
}

// encode returns the text of a topic subscription, another one each time.
func (p *pattern) encode(s *Store) (string, error) {
	p.Rev = s.engine.NewID(0).String()
	raw, err := json.Marshal(p)
	return string(raw), err
}

// savePattern notes what has become of a topic subscription, or with gone removes it. It is errChanged where that has changed since it
// was read. follow says that topics have to follow it.
func (s *Store) savePattern(ctx context.Context, t tenants.ID, p *pattern, gone, follow bool) error {
	text, flag := "", ""
	if !gone {
		var err error
		if text, err = p.encode(s); err != nil {
			return err
		}
	}
	if follow {
		flag = "1"
	}
	reply, err := s.engine.Do(ctx, savePatternScript, patternKeys(t)[1:], p.name, p.raw, text, flag)
	switch {
	case err != nil:
		return err
	case reply == "ok":
		p.raw = text
		return nil
	case reply == "changed":
		return errChanged
	}
	return unexpected(reply)
}

// PutTopicSubscription makes a topic subscription or replaces its settings, and reports whether it was made. The topics that are there
// follow by the task of PlanSpread.
func (s *Store) PutTopicSubscription(ctx context.Context, t tenants.ID, name, text string, set SubscriptionSettings, cond Condition) (TopicSubscription, bool, error) {
	if err := ValidSubscriptionName(name); err != nil {
		return TopicSubscription{}, false, err
	}
	return s.changePattern(ctx, t, name, cond, func(*TopicSubscription) (string, SubscriptionSettings, error) { return text, set, nil })
}

// UpdateTopicSubscription changes pattern and settings of a topic subscription by a function of them. It may be called more than once.
func (s *Store) UpdateTopicSubscription(ctx context.Context, t tenants.ID, name string, cond Condition, f func(pattern string, set SubscriptionSettings) (string, SubscriptionSettings, error)) (TopicSubscription, error) {
	out, _, err := s.changePattern(ctx, t, name, cond, func(have *TopicSubscription) (string, SubscriptionSettings, error) {
		if have == nil {
			return "", SubscriptionSettings{}, topicSubscriptionNotFound(name)
		}
		return f(have.Pattern, have.Settings)
	})
	return out, err
}

// changePattern stores what f makes of a topic subscription, nil for one that is not there.
func (s *Store) changePattern(ctx context.Context, t tenants.ID, name string, cond Condition, f func(*TopicSubscription) (string, SubscriptionSettings, error)) (TopicSubscription, bool, error) {
	for range maxStale {
		have, err := s.findPattern(ctx, t, name)
		if err != nil {
			return TopicSubscription{}, false, err
		}
		out, err := s.putPattern(ctx, t, name, have, cond, f)
		if !errors.Is(err, errChanged) {
			return out, have == nil, err
		}
	}
	return TopicSubscription{}, false, engine.ErrUnavailable
}

func (s *Store) putPattern(ctx context.Context, t tenants.ID, name string, have *pattern, cond Condition, f func(*TopicSubscription) (string, SubscriptionSettings, error)) (TopicSubscription, error) {
	var shown *TopicSubscription
	var before *SubscriptionSettings
	tag := ""
	if have != nil {
		one, err := have.show()
		if err != nil {
			return one, err
		}
		shown, before, tag = &one, &one.Settings, one.ETag
	}
	if !holds(cond, have != nil, tag) {
		return TopicSubscription{}, ErrTopicSubscriptionPrecondition
	}
	if have != nil && have.damaged {
		return TopicSubscription{}, ErrTopicSubscriptionDamaged
	}
	text, set, err := f(shown)
	if err == nil {
		err = s.validatePattern(ctx, t, text, &set, before)
	}
	switch {
	case err != nil:
		return TopicSubscription{}, err
	case have != nil && have.Deleting:
		return TopicSubscription{}, ErrTopicSubscriptionDeleting
	case have != nil && shown.Pattern == text && *before == set:
		return *shown, nil
	}
	if have != nil && set.Secret != "" {
		return TopicSubscription{}, errs.Invalidf("/secret", "The topic subscription has a secret. To change it: POST …/rotate_secret.")
	}
	if err := set.follow(before); err != nil {
		return TopicSubscription{}, err
	}
	now := s.clock.Now().UnixMilli()
	next := &pattern{storedSubscription: set.stored(), Pattern: text, name: name}
	next.UID, next.Version, next.Created, next.Updated, next.Secret = newUID(), 1, now, now, set.Secret
	was := ""
	if have != nil {
		was, next.UID, next.Version, next.Created, next.Secret = have.raw, have.UID, have.Version+1, have.Created, have.Secret
		next.Secrets = have.Secrets
		next.Applied, next.Failed, next.Failures = have.Applied, have.Failed, have.Failures
	} else if set.Endpoint != "" && set.Secret == "" {
		next.Secret = s.webhooks.NewSecret()
	}
	raw, err := next.encode(s)
	if err != nil {
		return TopicSubscription{}, err
	}
	reply, err := s.engine.Do(ctx, putPatternScript, patternKeys(t), name, was, raw, MaxTopicSubscriptions)
	if err != nil {
		return TopicSubscription{}, err
	}
	switch reply {
	case "ok":
		out, err := next.show()
		if have == nil {
			out.Settings.Secret = next.Secret
		}
		if err == nil {
			err = s.step("pattern stored")
		}
		return out, err
	case "changed":
		return TopicSubscription{}, errChanged
	case "full":
		return TopicSubscription{}, ErrTopicSubscriptionQuota
	case "no_tenant":
		return TopicSubscription{}, queues.ErrTenantGone
	}
	return TopicSubscription{}, unexpected(reply)
}

// matchingPage is how many names of topics are read at a time to find those that match.
const matchingPage = 1000

// MatchingTopics returns up to limit names of topics that match a topic subscription and come after the name after, and the name after which
// the next page goes on, or "". It reads names only, a thousand a call; a tenant has at most 10,000 topics.
func (s *Store) MatchingTopics(ctx context.Context, t tenants.ID, name, after string, limit int) ([]string, string, error) {
	p, err := s.soundPattern(ctx, t, name)
	if err != nil {
		return nil, "", err
	}
	out := []string{}
	for {
		names, next, err := s.Names(ctx, t, "", after, matchingPage)
		if err != nil {
			return nil, "", err
		}
		for _, one := range names {
			if !matches(p.Pattern, one) || p.Queue == queues.TopicTarget(one) {
				continue
			}
			if len(out) == limit {
				return out, out[limit-1], nil
			}
			out = append(out, one)
		}
		if after = next; next == "" {
			return out, "", nil
		}
	}
}

// Signing is what the webhooks of a topic subscription sign with: the first secret, sealed, and since when; and since they were rotated all
// of them, as Webhooks keeps them.
type Signing struct {
	First   string
	Made    time.Time
	Secrets string
}

// signing returns what the webhooks of a topic subscription sign with. One that leads elsewhere is an error of the kind errs.Conflict.
func (p *pattern) signing() (Signing, error) {
	if p.Endpoint == "" {
		return Signing{}, errs.New(errs.Conflict, "not_a_webhook", fmt.Sprintf("The topic subscription %q leads to a queue or a topic, not to a webhook.", p.name))
	}
	return Signing{p.Secret, at(p.Created), p.Secrets}, nil
}

// TopicSubscriptionSigning returns what the webhooks of a topic subscription sign with.
func (s *Store) TopicSubscriptionSigning(ctx context.Context, t tenants.ID, name string) (Signing, error) {
	p, err := s.soundPattern(ctx, t, name)
	if err != nil {
		return Signing{}, err
	}
	return p.signing()
}

// RotateTopicSubscription changes what the webhooks of a topic subscription sign with by a function of it, which may be called more than
// once. Those that are there follow by the task of PlanSpread.
func (s *Store) RotateTopicSubscription(ctx context.Context, t tenants.ID, name string, f func(Signing) (secrets string, err error)) (TopicSubscription, error) {
	for range maxStale {
		p, err := s.soundPattern(ctx, t, name)
		if err != nil {
			return TopicSubscription{}, err
		}
		if p.Deleting {
			return TopicSubscription{}, ErrTopicSubscriptionDeleting
		}
		was, err := p.signing()
		if err != nil {
			return TopicSubscription{}, err
		}
		if p.Secrets, err = f(was); err != nil {
			return TopicSubscription{}, err
		}
		p.Version, p.Updated = p.Version+1, s.clock.Now().UnixMilli()
		err = s.savePattern(ctx, t, p, false, true)
		if err == nil {
			err = s.step("pattern stored")
		}
		if errors.Is(err, errChanged) {
			continue
		}
		if err != nil {
			return TopicSubscription{}, err
		}
		return p.show()
	}
	return TopicSubscription{}, engine.ErrUnavailable
}

// validatePattern checks a pattern and the settings of its subscriptions, of which an endpoint is brought into its stored form.
func (s *Store) validatePattern(ctx context.Context, t tenants.ID, text string, set, before *SubscriptionSettings) error {
	if err := ValidPattern(text); err != nil {
		return err
	}
	if to := cmp.Or(set.Queue, set.Topic); queues.IsFIFOName(to) && !IsFIFOName(text) {
		return errs.Invalidf(set.pointer(), "A FIFO queue or topic subscribes to FIFO topics only: the pattern has to end in %s.", fifoSuffix)
	}
	err := set.validateFor(text)
	if err == nil {
		err = s.checkEndpoint(text, set, before)
	}
	if err == nil && before == nil {
		err = s.there(ctx, t, *set)
	}
	if err == nil {
		err = s.findDeadLetters(ctx, t, *set, before)
	}
	return err
}

func topicSubscriptionNotFound(name string) error {
	e := *ErrTopicSubscriptionNotFound
	e.Message = fmt.Sprintf("There is no topic subscription %q.", name)
	e.Fix = "Create it: PUT /v1/topic_subscriptions/{name}."
	return &e
}

// knownPattern returns a topic subscription, or ErrTopicSubscriptionNotFound.
func (s *Store) knownPattern(ctx context.Context, t tenants.ID, name string) (*pattern, error) {
	p, err := s.findPattern(ctx, t, name)
	if err == nil && p == nil {
		err = topicSubscriptionNotFound(name)
	}
	return p, err
}

// soundPattern is knownPattern, and ErrTopicSubscriptionDamaged for one that cannot be read.
func (s *Store) soundPattern(ctx context.Context, t tenants.ID, name string) (*pattern, error) {
	p, err := s.knownPattern(ctx, t, name)
	if err == nil && p.damaged {
		return nil, ErrTopicSubscriptionDamaged
	}
	return p, err
}

// GetTopicSubscription returns a topic subscription.
func (s *Store) GetTopicSubscription(ctx context.Context, t tenants.ID, name string) (TopicSubscription, error) {
	p, err := s.knownPattern(ctx, t, name)
	if err != nil {
		return TopicSubscription{}, err
	}
	return p.show()
}

// ListTopicSubscriptions returns up to limit topic subscriptions whose names begin with prefix and come after the name after, by name,
// and the name after which the next page goes on, or "".
func (s *Store) ListTopicSubscriptions(ctx context.Context, t tenants.ID, prefix, after string, limit int) ([]TopicSubscription, string, error) {
	all, err := s.readPatterns(ctx, t, "", nil)
	if err != nil {
		return nil, "", err
	}
	list, next := slices.DeleteFunc(all.list, func(p *pattern) bool { return p.name <= after || !strings.HasPrefix(p.name, prefix) }), ""
	if len(list) > limit {
		list, next = list[:limit], list[limit-1].name
	}
	out := make([]TopicSubscription, len(list))
	for i, p := range list {
		if out[i], err = p.show(); err != nil {
			return nil, "", err
		}
	}
	return out, next, nil
}

// DeleteTopicSubscription begins the deletion of a topic subscription: from now on no topic gets its subscription. Those that are there
// go by the task of PlanSpread, and then it goes itself.
func (s *Store) DeleteTopicSubscription(ctx context.Context, t tenants.ID, name string, cond Condition) (TopicSubscription, error) {
	for range maxStale {
		p, err := s.knownPattern(ctx, t, name)
		if err != nil {
			return TopicSubscription{}, err
		}
		out, err := p.show()
		if err != nil {
			return out, err
		}
		if !holds(cond, true, out.ETag) {
			return TopicSubscription{}, ErrTopicSubscriptionPrecondition
		}
		if p.Deleting {
			return out, nil
		}
		if p.damaged { // no subscription knows the new uid, so the walk ends them all
			p = &pattern{name: p.name, raw: p.raw}
			p.UID = newUID()
		}
		p.Deleting, p.Updated = true, s.clock.Now().UnixMilli()
		p.Version++
		err = s.savePattern(ctx, t, p, false, true)
		if err == nil {
			err = s.step("pattern marked")
		}
		if errors.Is(err, errChanged) {
			continue
		}
		if err != nil {
			return TopicSubscription{}, err
		}
		return p.show()
	}
	return TopicSubscription{}, engine.ErrUnavailable
}

// ForgetTopicSubscriptions removes those of a tenant that is deleted.
func (s *Store) ForgetTopicSubscriptions(ctx context.Context, t tenants.ID) error {
	_, err := s.engine.Do(ctx, dropPatternsScript, patternKeys(t)[1:])
	return err
}
