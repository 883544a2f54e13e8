package topics

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/policy"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// A subscription may lead to a queue of another tenant. What lets the messages in is the policy of that queue, which is asked
// each time something is to be delivered: what it does not let in is dropped, as if there were no such queue.

const (
	// accountTarget begins the name of a queue of another tenant: account number and name follow. No queue's name has a colon.
	accountTarget = "account:"

	// sendAction and asService are what a policy has to allow, and to whom.
	sendAction = "sqs:SendMessage"
	asService  = "sns.amazonaws.com"
)

func queueAbroad(account, queue string) string { return accountTarget + account + ":" + queue }

// cutAbroad returns the account number and the name of a queue of another tenant, and false for all else.
func cutAbroad(target string) (account, queue string, ok bool) {
	rest, ok := strings.CutPrefix(target, accountTarget)
	account, queue, _ = strings.Cut(rest, ":")
	return account, queue, ok
}

// errClosed is why messages do not reach a queue of another tenant. It does not say whether there is one.
func errClosed(account, queue string) error {
	e := *queues.ErrQueueNotFound
	e.Message = fmt.Sprintf("There is no queue %q of account %s, or its policy does not let the topic send to it.", queue, account)
	return &e
}

// ownerOf returns the tenant of an account; the error is of the kind errs.NotFound when there is none.
func (s *Store) ownerOf(ctx context.Context, account string) (tenants.ID, error) {
	if s.byAccount == nil {
		return tenants.ID{}, tenants.ErrNotFound
	}
	return s.byAccount(ctx, account)
}

// bringAbroad stores a parcel in a queue of another tenant that lets the topic in.
func (s *Store) bringAbroad(ctx context.Context, t tenants.ID, topic, account, queue string, p *parcel) (queues.Delivered, error) {
	closed := errClosed(account, queue)
	owner, err := s.ownerOf(ctx, account)
	if errs.KindOf(err) == errs.NotFound || s.notifier == nil {
		return queues.Delivered{}, closed
	}
	if err != nil {
		return queues.Delivered{}, err
	}
	own, err := s.notifier.account(ctx, t)
	if err != nil {
		return queues.Delivered{}, err
	}
	allows, _, err := s.queues.Policy(ctx, owner, queue)
	if errs.KindOf(err) == errs.NotFound {
		return queues.Delivered{}, closed
	}
	if err != nil {
		return queues.Delivered{}, err
	}
	region := s.notifier.Region
	arn := ARN(region, own, topic)
	if !allows.Allows(&policy.Request{Action: sendAction, Resource: "arn:aws:sqs:" + region + ":" + account + ":" + queue, Service: asService,
		SourceARN: arn, SourceAccount: own, Region: region, Now: s.clock.Now()}) {
		return queues.Delivered{}, closed
	}
	terms, err := s.terms(ctx, owner)
	if err != nil {
		return queues.Delivered{}, err
	}
	if terms.MaySend() != nil { // why is no concern of the topic's owner
		return queues.Delivered{}, engine.ErrUnavailable
	}
	ctx = queues.By(ctx, func() queues.Actor { return queues.Actor{Kind: queues.ByTopic, Name: arn} })
	return s.queues.Deliver(ctx, owner, queue, p.source, p.list, p.to)
}
