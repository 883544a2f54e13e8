package engine

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// A server is told of what happens on channels that are named by its session's number, with a prefix before it.
const (
	WakePrefix  = Prefix + "wake:"    // new messages in queues
	TopicPrefix = Prefix + "topic:"   // new messages in topics
	HookPrefix  = Prefix + "webhook:" // something to send to webhooks
)

const (
	listenPing  = time.Second
	listenPause = 200 * time.Millisecond
)

// Listen hands every word sent to this server's channel of the given prefix to heard, until ctx ends. It calls connected with true each
// time the channel is up, the first time included, and with false when it is not any more: whatever is said meanwhile
// is lost, so the caller must look for itself. A silent connection is pinged each second, so that a dead one is noticed.
func (e *Engine) Listen(ctx context.Context, prefix string, connected func(up bool), heard func(word string)) {
	channel := prefix + strconv.FormatUint(uint64(e.session.Number()), 10)
	for ctx.Err() == nil {
		e.listenOnce(ctx, channel, connected, heard)
		connected(false)
		e.relearn()
		select {
		case <-ctx.Done():
		case <-time.After(listenPause):
		}
	}
}

func (e *Engine) listenOnce(ctx context.Context, channel string, connected func(up bool), heard func(string)) {
	var sub *redis.PubSub
	if e.clients.cluster != nil {
		sub = e.clients.cluster.Subscribe(ctx, channel)
	} else {
		sub = e.clients.single.Subscribe(ctx, channel)
	}
	defer func() { _ = sub.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer stop()
	unanswered := false
	for {
		msg, err := sub.ReceiveTimeout(ctx, listenPing)
		switch m := msg.(type) {
		case *redis.Subscription:
			connected(true)
		case *redis.Message:
			heard(m.Payload)
		}
		if err == nil {
			unanswered = false
			continue
		}
		if !isTimeout(err) || unanswered || ctx.Err() != nil {
			return
		}
		if sub.Ping(ctx) != nil {
			return
		}
		unanswered = true
	}
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool }) // net errors come bare from the pub/sub reader
	return ok && t.Timeout()
}
