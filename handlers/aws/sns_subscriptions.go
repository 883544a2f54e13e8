package aws

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/filter"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
)

const (
	noSubscription = "Subscription does not exist"

	// maxSubscribe bounds how often a Subscribe looks again because others subscribe the same.
	maxSubscribe = 3
	// maxTopicsLook is how many topics one ListSubscriptions looks at.
	maxTopicsLook = 100
)

// elsewhere are the protocols of SNS that there are not here.
var elsewhere = []string{"application", "email", "email-json", "firehose", "lambda", "sms"}

// subscriptionARN returns the ARN of a subscription of a topic of the caller.
func (c *call) subscriptionARN(topic, name string) string { return c.topicARN(topic) + ":" + name }

// subscriptionIn returns the topic and the name of the subscription that the request names by its ARN.
func (c *call) subscriptionIn() (topic, name string, err error) {
	arn, err := c.given("SubscriptionArn")
	if err != nil {
		return "", "", err
	}
	parts, err := c.parts("SubscriptionArn", arn)
	switch {
	case err != nil:
		return "", "", err
	case len(parts) == 6:
		return "", "", parameter("SubscriptionId")
	case len(parts) != 7 || topics.ValidName(parts[5]) != nil || !topics.IsSubscriptionName(parts[6]):
		return "", "", parameter("SubscriptionArn")
	case parts[4] != c.ownerAccount:
		return "", "", errNotFound.with(noSubscription)
	}
	return parts[5], parts[6], nil
}

// namedSubscription returns what a request says of a subscription, without a look whether there is one.
func (c *call) namedSubscription() (name, topic string) {
	if topic, name, err := c.subscriptionIn(); err == nil {
		return name, topic
	}
	topic, _ = c.namedTopic()
	return "", topic
}

func (c *call) subscribe() error {
	topic, err := c.topicIn("TopicArn")
	if err != nil {
		return err
	}
	protocol, err := c.given("Protocol")
	if err != nil {
		return err
	}
	switch {
	case protocol == "sqs":
		return c.subscribeQueue(topic)
	case protocol == "http" || protocol == "https":
		return c.subscribeWeb(topic, protocol)
	case slices.Contains(elsewhere, protocol):
		return parameter("Protocol Reason: %s is not supported here; subscribe a queue with the protocol sqs", protocol)
	}
	return parameter("Amazon SNS does not support this protocol string: %s", clip(protocol))
}

func (c *call) subscribeQueue(topic string) error {
	endpoint, err := c.given("Endpoint")
	if err != nil {
		return err
	}
	attributes := c.in.table(fieldEntries)
	if err := c.flaw(); err != nil {
		return err
	}
	account, queue, ok := c.splitQueueARN(endpoint)
	switch {
	case !strings.HasPrefix(endpoint, "arn:"):
		return parameter("SQS endpoint ARN")
	case !ok:
		return parameter("Endpoint Reason: only queues of the same region can subscribe here")
	case c.abroad() && account != c.account:
		return parameter("Endpoint Reason: only queues of your own account can subscribe to the topic of another one")
	case queues.IsFIFOName(queue) && !topics.IsFIFOName(topic):
		return parameter("Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics")
	}
	if account == c.ownerAccount {
		account = ""
	}
	set, err := c.applySubscription(topic, topics.SubscriptionSettings{Queue: queue, Account: account, Format: topics.Notified}, attributes)
	if err != nil {
		return parameter("Attributes Reason: %s", err)
	}
	if err := c.checkReplay("Attributes Reason: ", topic, set.Replay); err != nil {
		return err
	}
	for range maxSubscribe {
		have, err := c.subscribed(topic, set)
		if err != nil {
			return err
		}
		if have != nil {
			return c.sameSubscription(topic, have, attributes)
		}
		name := subscriptionName(topic, endpoint)
		_, err = c.door.Topics.Subscribe(c.ctx, c.owner, topic, name, set)
		if errors.Is(err, topics.ErrSubscriptionPrecondition) {
			continue // another one was faster
		}
		if err == nil {
			c.made(name)
			err = c.beginReplay(topic, name, set.Replay)
		}
		if err == nil {
			c.answerSubscribed(topic, name)
		}
		return err
	}
	return engine.ErrUnavailable
}

// subscriptionName returns the name of the subscription that SNS makes of a topic and an endpoint. It follows from them, so
// that of two that subscribe the same at once one finds what the other has made.
func subscriptionName(topic, endpoint string) string {
	sum := sha256.Sum256([]byte(topic + "\x00" + endpoint))
	u := [16]byte(sum[:16])
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80 // a UUID of version 8
	return engine.FormatUUID(u)
}

// subscribed returns the subscription of a queue to a topic, nil when there is none. One that stems from a pattern does not count: who
// subscribes wants what can be unsubscribed.
func (c *call) subscribed(topic string, set topics.SubscriptionSettings) (*topics.Subscription, error) {
	list, _, err := c.door.Topics.ListSubscriptions(c.ctx, c.owner, topic, "", "", topics.MaxSubscriptions)
	if i := slices.IndexFunc(list, func(s topics.Subscription) bool {
		return s.Settings.Queue == set.Queue && s.Settings.Account == set.Account && s.Settings.Owner == (topics.Owner{})
	}); i >= 0 {
		return &list[i], err
	}
	return nil, err
}

// sameSubscription answers with a subscription that is there, unless it differs from what a client wants to make.
func (c *call) sameSubscription(topic string, have *topics.Subscription, attributes []pair) error {
	if err := c.sameAttributes(topic, have, attributes); err != nil {
		return err
	}
	c.found(have.Name)
	if have.Settings.Replay.Task == "" { // it was cut short
		if err := c.beginReplay(topic, have.Name, have.Settings.Replay); err != nil {
			return err
		}
	}
	c.answerSubscribed(topic, have.Name)
	return nil
}

// sameAttributes compares a subscription with what a client wants to make. What it does not name may be anything.
func (c *call) sameAttributes(topic string, have *topics.Subscription, attributes []pair) error {
	for _, p := range attributes {
		want := have.Settings
		_ = c.setSubscription(topic, &want, p) // it was found to be right
		if want.DeadLetterQueue != have.Settings.DeadLetterQueue || want.Format != have.Settings.Format || want.FilterScope != have.Settings.FilterScope || !sameJSON(want.FilterPolicy, have.Settings.FilterPolicy) ||
			!sameJSON(ownPolicy(want), ownPolicy(have.Settings)) || !sameJSON(want.Replay.Policy, have.Settings.Replay.Policy) {
			return parameter("Attributes Reason: Subscription already exists with different attributes")
		}
	}
	return nil
}

func (c *call) answerSubscribed(topic, name string) {
	c.out.text("SubscriptionArn", c.subscriptionARN(topic, name))
}

// applySubscription returns settings with attributes changed. Its errors are what SNS writes behind the name of the parameter.
func (c *call) applySubscription(topic string, set topics.SubscriptionSettings, list []pair) (topics.SubscriptionSettings, error) {
	for _, p := range list {
		if err := c.setSubscription(topic, &set, p); err != nil {
			return set, err
		}
	}
	if _, err := filter.Compile(set.FilterPolicy, set.FilterScope); err != nil {
		return set, errors.New(filter.Reason(err))
	}
	return set, nil
}

var errUnknownAttribute = errors.New("AttributeName")

// setSubscription changes one attribute of a subscription of a topic.
func (c *call) setSubscription(topic string, set *topics.SubscriptionSettings, p pair) error {
	switch p.key {
	case "RawMessageDelivery":
		on, ok := boolean(p.value)
		switch {
		case !ok:
			return errors.New("RawMessageDelivery: Invalid value [" + clip(p.value) + "]. Must be true or false.")
		case on:
			set.Format = topics.Raw
		case set.Format == topics.Raw: // an envelope of REST is none of raw delivery either
			set.Format = topics.Notified
		}
	case "FilterPolicy":
		set.FilterPolicy = p.value
		// {} is none. What is wrong with it otherwise is found when its scope is known.
		if policy, err := filter.Compile(p.value, filter.Body); err == nil && policy.IsEmpty() {
			set.FilterPolicy = ""
		}
	case "FilterPolicyScope":
		scope, err := filter.ParseScope(p.value)
		if err != nil {
			return errors.New(filter.Reason(err))
		}
		set.FilterScope = scope
	case "RedrivePolicy":
		return c.setDeadLetters(topic, set, p.value)
	case "DeliveryPolicy":
		return setDelivery(set, p.value)
	case "ReplayPolicy":
		return setReplay(topic, set, p.value)
	case "SubscriptionRoleArn":
		if p.value != "" {
			return errors.New(p.key + ": is not supported here")
		}
	default:
		return errUnknownAttribute
	}
	return nil
}

// link is what an unsubscribe link says that has been verified.
type link struct{ created int64 } // of its subscription, ms

// byLink admits an Unsubscribe without a signature: by the token of the link in a notification.
func (c *call) byLink() error {
	arn, _ := c.in.text("SubscriptionArn")
	token, _ := c.in.text("Token")
	if token == "" {
		return errNoAuth.with("Request is missing Authentication Token")
	}
	owner, created, ok := c.door.Notifier.OpenUnsubscribeToken(token, arn)
	if !ok {
		return errParameter.with("Invalid token")
	}
	c.link = &link{created.UnixMilli()}
	return c.adopt(owner)
}

// adopt has a request act for a tenant that has not signed it.
func (c *call) adopt(owner tenants.ID) error {
	c.who.Tenant, c.owner = owner, owner
	var err error
	if c.terms, err = c.door.Tenants.Terms(c.ctx, owner); err != nil {
		return err
	}
	if err := c.terms.MayAct(); err != nil {
		return err
	}
	if c.account, err = c.door.accountOf(c.ctx, owner); err != nil {
		return err
	}
	if c.ownerAccount, c.ownerTerms = c.account, c.terms; c.door.Limiter == nil {
		return nil
	}
	if _, err = c.door.Limiter.Admit(owner, c.terms, int64(len(c.body))); err != nil {
		c.door.Meter.Refused(owner)
	}
	return err
}

// unsubscribe ends a subscription, and is content when there is none.
func (c *call) unsubscribe() error {
	topic, name, err := c.subscriptionIn()
	if isSort(err, errNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	cond := topics.Condition{}
	if c.link != nil { // which ends with its subscription, even if one of the same name follows
		s, err := c.door.Topics.GetSubscription(c.ctx, c.owner, topic, name)
		if err == nil && s.Created.UnixMilli() != c.link.created {
			return nil
		}
		if err == nil {
			cond.ETag = s.ETag
			if done, err := c.endByLink(&s); done || err != nil {
				return err
			}
		}
	}
	err = c.door.Topics.DeleteSubscription(c.ctx, c.owner, topic, name, cond)
	if errs.KindOf(err) == errs.NotFound {
		return c.door.Doubt(c.ctx)
	}
	return err
}

// listed is a subscription in a list.
type listed struct {
	topic string
	topics.Subscription
}

// leadsTo returns where a subscription leads, as SNS says it. Those that lead to topics are made by REST.
func (c *call) leadsTo(set topics.SubscriptionSettings) (protocol, endpoint string) {
	switch {
	case set.Topic != "":
		return "sns", c.topicARN(set.Topic)
	case set.Endpoint == "" && set.Account != "":
		return "sqs", c.arnIn(set.Account, set.Queue)
	case set.Endpoint == "":
		return "sqs", c.arn(set.Queue)
	}
	return webAddress(endpointOf(set))
}

func (c *call) answerSubscriptions(list []listed) error {
	plain := make([]topics.Subscription, len(list))
	for i := range list {
		plain[i] = list[i].Subscription
	}
	states, err := c.statesOf(plain)
	if err != nil {
		return err
	}
	c.out.members("Subscriptions", len(list), func(i int) {
		s := list[i]
		switch states[i] {
		case pendingState:
			c.out.text("SubscriptionArn", pendingARN)
		case endedState:
			c.out.text("SubscriptionArn", deletedARN)
		default:
			c.out.text("SubscriptionArn", c.subscriptionARN(s.topic, s.Name))
		}
		c.out.text("Owner", c.ownerAccount)
		protocol, endpoint := c.leadsTo(s.Settings)
		c.out.text("Protocol", protocol)
		c.out.text("Endpoint", endpoint)
		c.out.text("TopicArn", c.topicARN(s.topic))
	})
	return nil
}

func (c *call) listSubscriptionsByTopic() error {
	topic, err := c.topicIn("TopicArn")
	if err != nil {
		return err
	}
	after, err := c.goesOn("subscriptions " + topic)
	if err != nil {
		return err
	}
	found, next, err := c.door.Topics.ListSubscriptions(c.ctx, c.owner, topic, "", after, snsPage)
	if err != nil {
		return err
	}
	if err := c.answerSubscriptions(listedOf(nil, topic, found)); err != nil {
		return err
	}
	c.next("subscriptions "+topic, next)
	return nil
}

func listedOf(list []listed, topic string, found []topics.Subscription) []listed {
	for _, s := range found {
		list = append(list, listed{topic, s})
	}
	return list
}

// listSubscriptions lists those of all topics, by topic. One call looks at so many topics, so a page may be short before the
// end, also an empty one.
func (c *call) listSubscriptions() error {
	place, err := c.goesOn("subscriptions")
	if err != nil {
		return err
	}
	var list []listed
	topic, after, within := strings.Cut(place, " ")
	next := ""
	if within { // it goes on within a topic, which may be gone by now
		if list, next, err = c.moreOf(list, topic, after); err != nil {
			return err
		}
	}
	if next == "" {
		names, more, err := c.door.Topics.Names(c.ctx, c.owner, "", topic, maxTopicsLook)
		if err != nil {
			return err
		}
		for i := 0; i < len(names) && next == ""; i++ {
			if list, next, err = c.moreOf(list, names[i], ""); err != nil {
				return err
			}
		}
		if next == "" {
			next = more
		}
	}
	if err := c.answerSubscriptions(list); err != nil {
		return err
	}
	c.next("subscriptions", next)
	return nil
}

// moreOf adds the subscriptions of a topic to a list, and returns where the list goes on when it is full.
func (c *call) moreOf(list []listed, topic, after string) ([]listed, string, error) {
	found, next, err := c.door.Topics.ListSubscriptions(c.ctx, c.owner, topic, "", after, max(snsPage-len(list), 1))
	if errs.KindOf(err) == errs.NotFound {
		return list, "", nil
	}
	if err != nil {
		return list, "", err
	}
	list = listedOf(list, topic, found)
	switch {
	case next != "":
		return list, topic + " " + next, nil
	case len(list) >= snsPage:
		return list, topic, nil
	}
	return list, "", nil
}

func (c *call) getSubscriptionAttributes() error {
	topic, name, err := c.subscriptionIn()
	if err != nil {
		return err
	}
	s, err := c.door.Topics.GetSubscription(c.ctx, c.owner, topic, name)
	if errs.KindOf(err) == errs.NotFound {
		return errNotFound.with(noSubscription)
	}
	if err != nil {
		return err
	}
	how, err := c.stateOf(c.ctx, &s)
	if err == nil && how == endedState {
		return errNotFound.with(noSubscription)
	}
	if err != nil {
		return err
	}
	web, err := c.webAttributes(topic, s.Settings)
	if err != nil {
		return err
	}
	status, err := c.replayStatus(s.Settings.Replay)
	if err != nil {
		return err
	}
	protocol, endpoint := c.leadsTo(s.Settings)
	c.out.entries("Attributes", slices.Concat([]pair{
		{"SubscriptionArn", c.subscriptionARN(topic, name)},
		{"TopicArn", c.topicARN(topic)},
		{"Owner", c.ownerAccount},
		{"Protocol", protocol},
		{"Endpoint", endpoint},
	}, confirmationOf(how, s.Settings), []pair{
		{"SubscriptionPrincipal", "arn:aws:iam::" + c.ownerAccount + ":root"},
	}, c.subscriptionAttributes(s.Settings), web, status))
	return nil
}

// subscriptionAttributes returns those that can be set.
func (c *call) subscriptionAttributes(set topics.SubscriptionSettings) []pair {
	list := []pair{{"RawMessageDelivery", strconv.FormatBool(set.Format == topics.Raw)}}
	if set.FilterPolicy != "" { // a scope without a policy is remembered and not shown
		list = append(list, pair{"FilterPolicy", set.FilterPolicy}, pair{"FilterPolicyScope", set.FilterScope.String()})
	}
	if set.DeadLetterQueue != "" {
		list = append(list, pair{"RedrivePolicy", `{"deadLetterTargetArn":"` + c.arn(set.DeadLetterQueue) + `"}`})
	}
	if set.Replay.Policy != "" {
		list = append(list, pair{"ReplayPolicy", set.Replay.Policy})
	}
	return list
}

func (c *call) setSubscriptionAttributes() error {
	topic, name, err := c.subscriptionIn()
	if err != nil {
		return err
	}
	attribute, err := c.given("AttributeName")
	if err != nil {
		return err
	}
	value, _ := c.in.text("AttributeValue")
	if attribute == "ReplayPolicy" {
		return c.changeReplay(topic, name, value)
	}
	var refused error
	_, err = c.door.Topics.UpdateSubscription(c.ctx, c.owner, topic, name, topics.Condition{}, func(have topics.SubscriptionSettings) topics.SubscriptionSettings {
		next, err := c.applySubscription(topic, have, []pair{{attribute, value}})
		if refused = err; err != nil {
			return have
		}
		return next
	})
	switch {
	case errs.KindOf(err) == errs.NotFound:
		return errNotFound.with(noSubscription)
	case refused != nil:
		return parameter("%s", refused)
	}
	return err
}

// subscriptionState returns what is set of a subscription.
func (c *call) subscriptionState(name, topic string) (map[string]string, error) {
	s, err := c.door.Topics.GetSubscription(c.ctx, c.owner, topic, name)
	if err != nil {
		return nil, err
	}
	_, endpoint := c.leadsTo(s.Settings)
	how, err := c.stateOf(c.ctx, &s)
	if err != nil {
		return nil, err
	}
	state := map[string]string{"Endpoint": endpoint}
	list := c.subscriptionAttributes(s.Settings)
	if s.Settings.Endpoint != "" {
		list = append(list, confirmationOf(how, s.Settings)...)
	}
	if policy := ownPolicy(s.Settings); policy != "" {
		list = append(list, pair{"DeliveryPolicy", policy})
	}
	if how == endedState {
		list = append(list, pair{"Deleted", "true"})
	}
	for _, p := range list {
		state[p.key] = p.value
	}
	return state, nil
}
