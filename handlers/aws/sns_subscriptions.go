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
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
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
	case len(parts) != 7 || topics.ValidName(parts[5]) != nil || topics.ValidSubscriptionName(parts[6]) != nil:
		return "", "", parameter("SubscriptionArn")
	case parts[4] != c.account:
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

// subscribeWeb subscribes a web endpoint.
func (c *call) subscribeWeb(_, protocol string) error {
	return parameter("Protocol Reason: %s is not supported here yet; subscribe a queue with the protocol sqs", protocol)
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
	queue, ok := c.queueOfARN(endpoint)
	switch {
	case !strings.HasPrefix(endpoint, "arn:"):
		return parameter("SQS endpoint ARN")
	case !ok:
		return parameter("Endpoint Reason: only queues of the same account and region can subscribe here")
	case queues.IsFIFOName(queue) && !topics.IsFIFOName(topic):
		return parameter("Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics")
	}
	set, err := applySubscription(topics.SubscriptionSettings{Queue: queue, Format: topics.Notified}, attributes)
	if err != nil {
		return parameter("Attributes Reason: %s", err)
	}
	for range maxSubscribe {
		have, err := c.subscribed(topic, queue)
		if err != nil {
			return err
		}
		if have != nil {
			return c.sameSubscription(topic, have, attributes)
		}
		name := subscriptionName(topic, endpoint)
		_, err = c.door.Topics.Subscribe(c.ctx, c.who.Tenant, topic, name, set)
		if errors.Is(err, topics.ErrSubscriptionPrecondition) {
			continue // another one was faster
		}
		if err == nil {
			c.made(name)
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

// subscribed returns the subscription of a queue to a topic, nil when there is none.
func (c *call) subscribed(topic, queue string) (*topics.Subscription, error) {
	list, _, err := c.door.Topics.ListSubscriptions(c.ctx, c.who.Tenant, topic, "", "", topics.MaxSubscriptions)
	if i := slices.IndexFunc(list, func(s topics.Subscription) bool { return s.Settings.Queue == queue }); i >= 0 {
		return &list[i], err
	}
	return nil, err
}

// sameSubscription compares a subscription with what a client wants to make. What it does not name may be anything.
func (c *call) sameSubscription(topic string, have *topics.Subscription, attributes []pair) error {
	for _, p := range attributes {
		want := have.Settings
		_ = setSubscription(&want, p) // it was found to be right
		if want.Format != have.Settings.Format || want.FilterScope != have.Settings.FilterScope || !sameJSON(want.FilterPolicy, have.Settings.FilterPolicy) {
			return parameter("Attributes Reason: Subscription already exists with different attributes")
		}
	}
	c.found(have.Name)
	c.answerSubscribed(topic, have.Name)
	return nil
}

func (c *call) answerSubscribed(topic, name string) {
	c.out.text("SubscriptionArn", c.subscriptionARN(topic, name))
}

// applySubscription returns settings with attributes changed. Its errors are what SNS writes behind the name of the parameter.
func applySubscription(set topics.SubscriptionSettings, list []pair) (topics.SubscriptionSettings, error) {
	for _, p := range list {
		if err := setSubscription(&set, p); err != nil {
			return set, err
		}
	}
	if _, err := filter.Compile(set.FilterPolicy, set.FilterScope); err != nil {
		return set, errors.New(filter.Reason(err))
	}
	return set, nil
}

var errUnknownAttribute = errors.New("AttributeName")

// setSubscription changes one attribute of a subscription.
func setSubscription(set *topics.SubscriptionSettings, p pair) error {
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
		if p.value != "" {
			return errors.New("RedrivePolicy: a subscription has no dead-letter queue here; its queue may have one")
		}
	case "DeliveryPolicy", "SubscriptionRoleArn", "ReplayPolicy":
		if p.value != "" {
			return errors.New(p.key + ": is not supported here for a subscription of a queue")
		}
	default:
		return errUnknownAttribute
	}
	return nil
}

// confirmSubscription finds no subscription to confirm: those of queues need none.
func (c *call) confirmSubscription() error {
	arn, _ := c.in.text("TopicArn")
	token, err := c.given("Token")
	if err != nil {
		return err
	}
	if parts, err := c.parts("Topic", arn); err != nil || len(parts) != 6 {
		return parameter("Topic")
	}
	if len(token) < 64 || strings.Trim(token, "0123456789abcdef") != "" {
		return errParameter.with("Invalid token")
	}
	return parameter("Token")
}

// anybody admits a request that changes nothing and shows nothing.
func (c *call) anybody() error { return nil }

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
	c.who.Tenant = owner
	var err error
	if c.terms, err = c.door.Tenants.Terms(c.ctx, owner); err != nil {
		return err
	}
	if err := c.terms.MayAct(); err != nil {
		return err
	}
	if c.account, err = c.door.accountOf(c.ctx, owner); err != nil || c.door.Limiter == nil {
		return err
	}
	_, err = c.door.Limiter.Admit(owner, c.terms, int64(len(c.body)))
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
		s, err := c.door.Topics.GetSubscription(c.ctx, c.who.Tenant, topic, name)
		if err == nil && s.Created.UnixMilli() != c.link.created {
			return nil
		}
		if err == nil {
			cond.ETag = s.ETag
		}
	}
	err = c.door.Topics.DeleteSubscription(c.ctx, c.who.Tenant, topic, name, cond)
	if errs.KindOf(err) == errs.NotFound {
		return c.door.Doubt(c.ctx)
	}
	return err
}

// listed is a subscription in a list.
type listed struct {
	topic, name string
	settings    topics.SubscriptionSettings
}

// leadsTo returns where a subscription leads, as SNS says it. Webhooks are made by REST.
func (c *call) leadsTo(set topics.SubscriptionSettings) (protocol, endpoint string) {
	if set.Endpoint == "" {
		return "sqs", c.arn(set.Queue)
	}
	e, _ := webhook.ParseEndpoint(set.Endpoint) // it was written by Encode
	protocol, _, _ = strings.Cut(e.URL, ":")
	return protocol, e.URL
}

func (c *call) answerSubscriptions(list []listed) {
	c.out.members("Subscriptions", len(list), func(i int) {
		s := list[i]
		c.out.text("SubscriptionArn", c.subscriptionARN(s.topic, s.name))
		c.out.text("Owner", c.account)
		protocol, endpoint := c.leadsTo(s.settings)
		c.out.text("Protocol", protocol)
		c.out.text("Endpoint", endpoint)
		c.out.text("TopicArn", c.topicARN(s.topic))
	})
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
	found, next, err := c.door.Topics.ListSubscriptions(c.ctx, c.who.Tenant, topic, "", after, snsPage)
	if err != nil {
		return err
	}
	c.answerSubscriptions(listedOf(nil, topic, found))
	c.next("subscriptions "+topic, next)
	return nil
}

func listedOf(list []listed, topic string, found []topics.Subscription) []listed {
	for _, s := range found {
		list = append(list, listed{topic, s.Name, s.Settings})
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
		names, more, err := c.door.Topics.Names(c.ctx, c.who.Tenant, "", topic, maxTopicsLook)
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
	c.answerSubscriptions(list)
	c.next("subscriptions", next)
	return nil
}

// moreOf adds the subscriptions of a topic to a list, and returns where the list goes on when it is full.
func (c *call) moreOf(list []listed, topic, after string) ([]listed, string, error) {
	found, next, err := c.door.Topics.ListSubscriptions(c.ctx, c.who.Tenant, topic, "", after, max(snsPage-len(list), 1))
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
	s, err := c.door.Topics.GetSubscription(c.ctx, c.who.Tenant, topic, name)
	if errs.KindOf(err) == errs.NotFound {
		return errNotFound.with(noSubscription)
	}
	if err != nil {
		return err
	}
	protocol, endpoint := c.leadsTo(s.Settings)
	c.out.entries("Attributes", append([]pair{
		{"SubscriptionArn", c.subscriptionARN(topic, name)},
		{"TopicArn", c.topicARN(topic)},
		{"Owner", c.account},
		{"Protocol", protocol},
		{"Endpoint", endpoint},
		{"PendingConfirmation", "false"},
		{"ConfirmationWasAuthenticated", "true"},
		{"SubscriptionPrincipal", "arn:aws:iam::" + c.account + ":root"},
	}, subscriptionAttributes(s.Settings)...))
	return nil
}

// subscriptionAttributes returns those that can be set.
func subscriptionAttributes(set topics.SubscriptionSettings) []pair {
	list := []pair{{"RawMessageDelivery", strconv.FormatBool(set.Format == topics.Raw)}}
	if set.FilterPolicy != "" { // a scope without a policy is remembered and not shown
		list = append(list, pair{"FilterPolicy", set.FilterPolicy}, pair{"FilterPolicyScope", set.FilterScope.String()})
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
	var refused error
	_, err = c.door.Topics.UpdateSubscription(c.ctx, c.who.Tenant, topic, name, topics.Condition{}, func(have topics.SubscriptionSettings) topics.SubscriptionSettings {
		next, err := applySubscription(have, []pair{{attribute, value}})
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
	s, err := c.door.Topics.GetSubscription(c.ctx, c.who.Tenant, topic, name)
	if err != nil {
		return nil, err
	}
	_, endpoint := c.leadsTo(s.Settings)
	state := map[string]string{"Endpoint": endpoint}
	for _, p := range subscriptionAttributes(s.Settings) {
		state[p.key] = p.value
	}
	return state, nil
}
