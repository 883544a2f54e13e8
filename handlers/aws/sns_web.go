package aws

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// What stands in the place of the ARN of a subscription that has none to show yet, or any more.
const (
	notYet       = "pending confirmation" // in the answer of Subscribe
	pendingARN   = "PendingConfirmation"  // in lists
	deletedARN   = "Deleted"
	maxStateAsks = 16 // subscriptions whose state is asked for at the same time
)

// subscribeWeb subscribes a web endpoint, which then has to confirm it.
func (c *call) subscribeWeb(topic, protocol string) error {
	endpoint, err := c.given("Endpoint")
	if err != nil {
		return err
	}
	attributes := c.in.table(fieldEntries)
	shown, _ := c.in.text("ReturnSubscriptionArn")
	if err := c.flaw(); err != nil {
		return err
	}
	switch {
	case !strings.HasPrefix(endpoint, protocol+"://"):
		return parameter("Endpoint must match the specified protocol")
	case topics.IsFIFOName(topic):
		return parameter("Invalid parameter: Endpoint Reason: only SQS queues can be subscribed to FIFO SNS topics")
	}
	e, err := webEndpoint(endpoint)
	if err != nil {
		return err
	}
	set, err := c.applySubscription(topic, topics.SubscriptionSettings{Endpoint: e.Encode(), Format: topics.Notified}, attributes)
	if err != nil {
		return parameter("Attributes Reason: %s", err)
	}
	protocol, address := webAddress(e)
	name, wantsARN := subscriptionName(topic, address), false // a password is not in it, nor in the ARN
	if shown != "" {
		if wantsARN, _ = boolean(shown); !wantsARN && !strings.EqualFold(shown, "false") {
			return parameter("ReturnSubscriptionArn")
		}
	}
	for range maxSubscribe {
		have, err := c.subscribedWeb(topic, name, protocol, address)
		if err != nil {
			return err
		}
		confirmed := false
		if have == nil {
			_, err = c.door.Topics.Subscribe(c.ctx, c.owner, topic, name, set)
			if errors.Is(err, topics.ErrSubscriptionPrecondition) {
				continue // another one was faster
			}
			if err != nil {
				return badEndpoint(err)
			}
			c.made(name)
		} else {
			if err := c.sameAttributes(topic, have, attributes); err != nil {
				return err
			}
			if err := c.newPassword(topic, have.Name, e.Auth); err != nil {
				return badEndpoint(err)
			}
			confirmed, err = c.askAgain(have)
			if errors.Is(err, webhook.ErrOver) {
				continue // it has been deleted, and is made anew
			}
			if err != nil {
				return err
			}
			name = have.Name
			c.found(name)
		}
		if confirmed || wantsARN {
			c.answerSubscribed(topic, name)
		} else {
			c.out.text("SubscriptionArn", notYet)
		}
		return nil
	}
	return engine.ErrUnavailable
}

// newPassword gives an endpoint the password with which it was subscribed once more.
func (c *call) newPassword(topic, name string, auth *webhook.Auth) error {
	if auth == nil {
		return nil
	}
	_, err := c.door.Topics.UpdateSubscription(c.ctx, c.owner, topic, name, topics.Condition{}, func(set topics.SubscriptionSettings) topics.SubscriptionSettings {
		e := endpointOf(set)
		e.Auth = auth
		set.Endpoint = e.Encode()
		return set
	})
	return err
}

// webEndpoint returns the settings of an endpoint that is subscribed. A user name and a password in its URL are a credential.
func webEndpoint(raw string) (webhook.Endpoint, error) {
	e := webhook.Endpoint{URL: raw, Verify: webhook.BySNS, SNS: &webhook.SNS{}}
	u, err := url.Parse(raw)
	if err != nil {
		return e, parameter("Endpoint Reason: it is no URL")
	}
	if u.User != nil {
		password, _ := u.User.Password()
		e.Auth = &webhook.Auth{Type: webhook.Basic, Username: u.User.Username(), Secret: webhook.Hidden{Plain: password}}
		u.User = nil
		e.URL = u.String()
	}
	return e, nil
}

// badEndpoint says what is wrong with an endpoint as SNS says it.
func badEndpoint(err error) error {
	if e, ok := errors.AsType[*errs.Error](err); ok && e.Kind == errs.Invalid && len(e.Fields) > 0 && !strings.HasPrefix(e.Fields[0].Pointer, "/filter") {
		return parameter("Endpoint Reason: %s", e.Message)
	}
	return err
}

// subscribedWeb returns the subscription of an endpoint to a topic, nil when there is none.
func (c *call) subscribedWeb(topic, name, protocol, endpoint string) (*topics.Subscription, error) {
	list, _, err := c.door.Topics.ListSubscriptions(c.ctx, c.owner, topic, "", "", topics.MaxSubscriptions)
	i := slices.IndexFunc(list, func(s topics.Subscription) bool { return s.Name == name && s.Settings.Endpoint != "" })
	if i < 0 {
		i = slices.IndexFunc(list, func(s topics.Subscription) bool {
			p, e := c.leadsTo(s.Settings)
			return s.Settings.Endpoint != "" && s.Settings.Owner == (topics.Owner{}) && p == protocol && e == endpoint
		})
	}
	if i < 0 {
		return nil, err
	}
	return &list[i], err
}

// askAgain has the endpoint of a subscription asked once more, and reports whether there is nothing to ask.
func (c *call) askAgain(s *topics.Subscription) (confirmed bool, err error) {
	if e := endpointOf(s.Settings); e.Verify != webhook.BySNS || e.SNS == nil {
		state, err := c.stateOf(c.ctx, s)
		return state == confirmedState, err
	}
	asked, err := c.door.Webhooks.AskAgain(c.ctx, s.Way)
	if errors.Is(err, topics.ErrSubscriptionNotFound) {
		// Whoever stores it has not come to its webhook yet, or has died before.
		if err = c.door.Topics.Finish(c.ctx, s.Way); err == nil {
			asked, err = c.door.Webhooks.AskAgain(c.ctx, s.Way)
		}
	}
	switch {
	case errors.Is(err, webhook.ErrOver):
		if err := c.door.Topics.EndSubscription(c.ctx, s.Way); err != nil {
			return false, err
		}
		return false, webhook.ErrOver
	case errors.Is(err, topics.ErrSubscriptionNotFound):
		return false, webhook.ErrOver // it has been deleted meanwhile
	}
	return !asked, err
}

// endpointOf returns the endpoint of a subscription.
func endpointOf(set topics.SubscriptionSettings) webhook.Endpoint {
	if set.Endpoint == "" {
		return webhook.Endpoint{}
	}
	e, _ := webhook.ParseEndpoint(set.Endpoint) // it was written by Encode
	return e
}

// webAddress returns the URL of an endpoint as SNS shows it.
func webAddress(e webhook.Endpoint) (protocol, endpoint string) {
	protocol, rest, _ := strings.Cut(e.URL, "://")
	if e.Auth != nil && e.Auth.Type == webhook.Basic {
		rest = url.User(e.Auth.Username).String() + ":****@" + rest
	}
	return protocol, protocol + "://" + rest
}

// setDelivery changes the delivery policy of a subscription.
func setDelivery(set *topics.SubscriptionSettings, text string) error {
	e := endpointOf(*set)
	if e.SNS == nil {
		if text == "" {
			return nil
		}
		return errors.New("DeliveryPolicy: is only for subscriptions of web endpoints that were made by Subscribe")
	}
	if len(text) > topics.MaxPolicy {
		return errors.New("DeliveryPolicy: is too long")
	}
	if err := webhook.CheckPolicy(text); err != nil {
		return errors.New("DeliveryPolicy: " + err.Error())
	}
	next := *e.SNS
	next.Policy = text
	e.SNS = &next
	set.Endpoint = e.Encode()
	return nil
}

// ownPolicy returns the delivery policy of a subscription, or "".
func ownPolicy(set topics.SubscriptionSettings) string {
	if e := endpointOf(set); e.SNS != nil {
		return e.SNS.Policy
	}
	return ""
}

// state is how far a subscription is.
type state int

const (
	confirmedState state = iota
	pendingState         // its endpoint has not confirmed it
	endedState           // a link has ended it, and its endpoint may restore it
)

// stateOf returns how far a subscription is. One of a queue or a topic is confirmed.
func (c *call) stateOf(ctx context.Context, s *topics.Subscription) (state, error) {
	if endpointOf(s.Settings).Verify == "" {
		return confirmedState, nil
	}
	how, err := c.door.Webhooks.Status(ctx, s.Way)
	switch {
	case errors.Is(err, topics.ErrSubscriptionNotFound): // it is about to be made, or has just ended
		return pendingState, nil
	case err != nil:
		return pendingState, err
	case !how.Ended.IsZero():
		return endedState, nil
	case how.Verified.IsZero():
		return pendingState, nil
	}
	return confirmedState, nil
}

// statesOf does it for a list.
func (c *call) statesOf(list []topics.Subscription) ([]state, error) {
	out := make([]state, len(list))
	g, ctx := errgroup.WithContext(c.ctx)
	g.SetLimit(maxStateAsks)
	for i := range list {
		g.Go(func() (err error) {
			out[i], err = c.stateOf(ctx, &list[i])
			return err
		})
	}
	return out, g.Wait()
}

// countStates returns how many subscriptions of a topic are to be confirmed, and how many a link has ended.
func (c *call) countStates(topic string) (pending, ended int64, err error) {
	list, _, err := c.door.Topics.ListSubscriptions(c.ctx, c.owner, topic, "", "", topics.MaxSubscriptions)
	if err != nil {
		return 0, 0, err
	}
	states, err := c.statesOf(list)
	for _, s := range states {
		switch s {
		case pendingState:
			pending++
		case endedState:
			ended++
		}
	}
	return pending, ended, err
}

// webAttributes returns the attributes that only subscriptions of web endpoints have.
func (c *call) webAttributes(topic string, set topics.SubscriptionSettings) ([]pair, error) {
	e := endpointOf(set)
	if e.SNS == nil {
		return nil, nil
	}
	t, err := c.door.Topics.Get(c.ctx, c.owner, topic)
	if err != nil {
		return nil, err
	}
	var list []pair
	if e.SNS.Policy != "" {
		list = append(list, pair{"DeliveryPolicy", webhook.ShownPolicy(e.SNS.Policy)})
	}
	return append(list, pair{"EffectiveDeliveryPolicy", webhook.Effective(t.Settings.AWS.DeliveryPolicy, e.SNS.Policy).OfSubscription()}), nil
}

// tokenIn returns what the token of a ConfirmSubscription stands for. The topic that the request names does not count, as in
// SNS, as long as it looks like one.
func (c *call) tokenIn() (*topics.Confirmation, error) {
	arn, _ := c.in.text("TopicArn")
	token, err := c.given("Token")
	if err != nil {
		return nil, err
	}
	if parts, err := c.parts("Topic", arn); err != nil || len(parts) != 6 {
		return nil, parameter("Topic")
	}
	if len(token) < 64 || strings.Trim(token, "0123456789abcdef") != "" {
		return nil, errParameter.with("Invalid token")
	}
	found, ok := c.door.Notifier.OpenConfirmToken(token)
	if !ok {
		return nil, parameter("Token")
	}
	return found, nil
}

// byToken admits a ConfirmSubscription without a signature: by the token that its endpoint was sent.
func (c *call) byToken() error {
	token, err := c.tokenIn()
	if err != nil {
		return err
	}
	c.link = &link{}
	return c.adopt(token.Tenant)
}

// namedByToken returns what a ConfirmSubscription is about.
func (c *call) namedByToken() (name, topic string) {
	if token, err := c.tokenIn(); err == nil && token.Tenant == c.owner {
		return token.Subscription, token.Topic
	}
	return "", ""
}

// confirmSubscription notes that an endpoint wants to be sent to: whoever has the token got it there.
func (c *call) confirmSubscription() error {
	token, err := c.tokenIn()
	if err != nil {
		return err
	}
	lock, _ := c.in.text("AuthenticateOnUnsubscribe")
	locked, ok := boolean(lock)
	switch {
	case lock != "" && !ok:
		return parameter("AuthenticateOnUnsubscribe")
	case token.Tenant != c.owner:
		return parameter("Token")
	}
	s, err := c.door.Topics.GetSubscription(c.ctx, token.Tenant, token.Topic, token.Subscription)
	if errs.KindOf(err) == errs.NotFound {
		return parameter("Token")
	}
	if err != nil {
		return err
	}
	e := endpointOf(s.Settings)
	if !token.Confirms(s.Way, e.ToVerify(), c.door.Clock.Now()) {
		return parameter("Token")
	}
	if c.link == nil && e.SNS != nil {
		if err := c.signConfirmation(s.Way, locked); err != nil {
			return err
		}
	}
	ok, err = c.door.Webhooks.Accept(c.ctx, s.Way, e.ToVerify())
	switch {
	case errors.Is(err, topics.ErrSubscriptionNotFound) || err == nil && !ok:
		return parameter("Token")
	case err != nil:
		return err
	}
	c.answerSubscribed(token.Topic, token.Subscription)
	return nil
}

// signConfirmation notes that a subscription is confirmed by a signed request and, if it is to be locked, that no link ends it.
func (c *call) signConfirmation(w topics.Way, locked bool) error {
	_, err := c.door.Topics.UpdateSubscription(c.ctx, w.Tenant, w.Topic, w.Subscription, topics.Condition{}, func(set topics.SubscriptionSettings) topics.SubscriptionSettings {
		e := endpointOf(set)
		if e.SNS == nil {
			return set
		}
		e.SNS = &webhook.SNS{Policy: e.SNS.Policy, Signed: true, Locked: e.SNS.Locked || locked}
		set.Endpoint = e.Encode()
		return set
	})
	if errs.KindOf(err) == errs.NotFound {
		return parameter("Token")
	}
	return err
}

// endByLink ends the subscription of a web endpoint whose link was followed, in such a way that the endpoint may restore it. It
// reports false for one that is simply deleted.
func (c *call) endByLink(s *topics.Subscription) (bool, error) {
	e := endpointOf(s.Settings)
	switch {
	case e.SNS == nil:
		return false, nil
	case e.SNS.Locked:
		return false, errNoAuth.with("Request is missing Authentication Token")
	}
	how, err := c.stateOf(c.ctx, s)
	if err != nil || how == endedState {
		return true, err
	}
	done, err := c.door.Webhooks.Deactivate(c.ctx, s.Way)
	if errors.Is(err, webhook.ErrOver) || errors.Is(err, topics.ErrSubscriptionNotFound) {
		return true, nil // it has ended already
	}
	return done, err
}

// confirmationOf returns the attributes that say how far a subscription is.
func confirmationOf(s state, set topics.SubscriptionSettings) []pair {
	signed := true
	if e := endpointOf(set); e.SNS != nil {
		signed = e.SNS.Signed
	}
	return []pair{{"PendingConfirmation", strconv.FormatBool(s == pendingState)}, {"ConfirmationWasAuthenticated", strconv.FormatBool(signed && s != pendingState)}}
}
