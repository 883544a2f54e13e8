package aws_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/topics"
)

// replays works on the replays of a door from now on.
func (h *doorTest) replays() {
	h.run(tasks.NewRunner(tasks.Config{Store: h.door.Tasks, Clock: h.clock, Kinds: map[string]tasks.Kind{topics.ReplayTask: h.topics.Replaying()}}).Run)
}

// archived makes a FIFO topic that keeps messages, and publishes so many, a minute apart. It returns when each was published.
func (h *doorTest) archived(bodies ...string) (topic string, at []time.Time) {
	h.Helper()
	topic = h.topic(map[string]string{"FifoTopic": "true", "ArchivePolicy": `{"MessageRetentionPeriod":"7"}`})
	for _, body := range bodies {
		h.clock.Advance(time.Minute)
		at = append(at, h.clock.Now())
		h.fifoPublish(topic, body, "g", body)
	}
	return topic, at
}

// replaying is a ReplayPolicy from an instant on, up to another one if there is one.
func replaying(from time.Time, to ...time.Time) string {
	const form = "2006-01-02T15:04:05.000Z"
	end := ""
	if len(to) > 0 {
		end = `,"EndingPoint":"` + to[0].UTC().Format(form) + `"`
	}
	return `{"PointType":"Timestamp","StartingPoint":"` + from.UTC().Format(form) + `"` + end + `}`
}

// gets receives and deletes messages until there are as many as wanted, which are to be these, and no more.
func (h *doorTest) gets(address string, want ...string) {
	h.Helper()
	c, got := client{h, false}, []string{}
	until(h, fmt.Sprint(want, " arrive"), func() bool {
		for _, m := range messages(c.receive(address)) {
			got = append(got, str(m, "Body"))
			c.out("DeleteMessage", in(address, `"ReceiptHandle":`+quoted(str(m, "ReceiptHandle"))))
		}
		return len(got) >= len(want)
	})
	diff(h, "messages", want, got)
}

func (h *doorTest) replayed(sub, status string) {
	h.Helper()
	until(h, "the replay is "+status, func() bool { return h.attributesOf(sub)["ReplayStatus"] == status })
}

func TestN82_AReplayBringsWhatIsKept(t *testing.T) {
	onBoth(t, func(t *testing.T, h *doorTest) {
		h.replays()
		topic, at := h.archived("1", "2", "3")
		q := h.queue(map[string]string{"FifoQueue": "true"})
		h.clock.Advance(time.Second)
		policy := replaying(at[1])
		sub := h.subscribe(topic, q, map[string]string{"RawMessageDelivery": "true", "ReplayPolicy": policy})
		h.gets(q, "2", "3")
		diff(t, "again", sub, h.subscribe(topic, q, map[string]string{"ReplayPolicy": policy}))
		h.subscribing(topic, h.arn(q), "ReplayPolicy", replaying(at[0])).fails(400, "InvalidParameter", "", "Subscription already exists with different attributes")
		diff(t, "policy", policy, h.attributesOf(sub)["ReplayPolicy"])
		h.fifoPublish(topic, "4", "g", "4")
		h.gets(q, "4")

		// Another one takes the place of one that is under way, and so does none.
		goOn := h.pause(q)
		h.setSub(sub, "ReplayPolicy", replaying(at[0]))
		h.replayed(sub, "In progress")
		last := replaying(at[2])
		h.setSub(sub, "ReplayPolicy", last)
		diff(t, "policy", last, h.attributesOf(sub)["ReplayPolicy"])
		goOn()
		h.forward(time.Minute, "it is done", func() bool { return h.attributesOf(sub)["ReplayStatus"] == "Completed" })
		h.gets(q, "3", "4")
		goOn = h.pause(q)
		h.setSub(sub, "ReplayPolicy", replaying(at[0]))
		h.setSub(sub, "ReplayPolicy", "{}")
		for _, name := range []string{"ReplayPolicy", "ReplayStatus"} {
			if value, there := h.attributesOf(sub)[name]; there {
				t.Errorf("%s is %s", name, value)
			}
		}
		goOn()
		h.forward(time.Minute, "no task is left", func() bool {
			list, _, err := h.door.Tasks.List(t.Context(), h.tenant.ID.String(), tasks.Filter{Type: topics.ReplayTask}, 10, "")
			h.must(err)
			for i := range list {
				if list[i].FinishedAt.IsZero() {
					return false
				}
			}
			return true
		})
		h.fifoPublish(topic, "5", "g", "5")
		h.gets(q, "5")
	})
}

func TestN82_ReplaysThatCannotBe(t *testing.T) {
	t.Parallel()
	h := open(t)
	topic, at := h.archived("1")
	plain, forgetful := h.topic(nil), h.topic(map[string]string{"FifoTopic": "true"})
	fifo := map[string]string{"FifoQueue": "true"}
	sub := h.subscribe(topic, h.queue(fifo), nil)
	begin, err := time.Parse(time.RFC3339, h.attributesOf(topic)["BeginningArchiveTime"])
	h.must(err)
	for policy, words := range map[string]string{
		`x`:                         "failed to parse JSON",
		`[]`:                        "failed to parse JSON",
		`{"PointType":"Timestamp"}`: "must have PointType and StartingPoint",
		`{"StartingPoint":"2026-01-01T00:00:00Z"}`:                    "must have PointType and StartingPoint",
		strings.Replace(replaying(at[0]), "Timestamp", "Sequence", 1): "PointType must be Timestamp",
		`{"PointType":"Timestamp","StartingPoint":"yesterday"}`:       "StartingPoint must be a time",
		strings.Replace(replaying(at[0]), "{", `{"Other":"x",`, 1):    "Unexpected JSON member: Other",
		replaying(at[0], at[0]):                                       "EndingPoint must be later than StartingPoint",
		replaying(begin.Add(-time.Second)):                            "StartingPoint must not be before the topic's BeginningArchiveTime",
		replaying(h.clock.Now().Add(time.Second)):                     "StartingPoint must not lie in the future",
	} {
		h.subscribing(topic, h.arn(h.queue(fifo)), "ReplayPolicy", policy).fails(400, "InvalidParameter", "", "Invalid parameter: Attributes Reason: ReplayPolicy: "+words)
		h.refusesTo("SetSubscriptionAttributes", "Invalid parameter: ReplayPolicy: "+words, "SubscriptionArn", sub, "AttributeName", "ReplayPolicy", "AttributeValue", policy)
	}
	h.subscribing(plain, h.arn(h.queue(nil)), "ReplayPolicy", replaying(at[0])).fails(400, "InvalidParameter", "", "ReplayPolicy: is only for subscriptions to FIFO topics")
	h.subscribing(forgetful, h.arn(h.queue(fifo)), "ReplayPolicy", replaying(at[0])).fails(400, "InvalidParameter", "", "ReplayPolicy: the topic has no ArchivePolicy")
	if policy, there := h.attributesOf(sub)["ReplayPolicy"]; there {
		t.Errorf("a policy that was refused is there: %s", policy)
	}
	// What an archive has forgotten is not replayed.
	h.clock.Advance(8 * 24 * time.Hour)
	h.fifoPublish(topic, "2", "g", "2")
	h.refusesTo("SetSubscriptionAttributes", "BeginningArchiveTime", "SubscriptionArn", sub, "AttributeName", "ReplayPolicy", "AttributeValue", replaying(at[0]))
}

func TestN83_AReplaySaysHowFarItIs(t *testing.T) {
	onBoth(t, func(t *testing.T, h *doorTest) {
		topic, at := h.archived("1", "2", "3")
		q := h.queue(map[string]string{"FifoQueue": "true"})
		h.clock.Advance(time.Second)
		sub := h.subscribe(topic, q, map[string]string{"RawMessageDelivery": "true", "ReplayPolicy": replaying(at[0], at[2])})
		h.replayed(sub, "Pending")
		goOn := h.pause(q)
		h.replays()
		h.replayed(sub, "In progress")
		goOn()
		h.forward(time.Minute, "it is done", func() bool { return h.attributesOf(sub)["ReplayStatus"] == "Completed" })
		h.gets(q, "1", "2")
		// With an end nothing new comes, until there is no such policy any more.
		h.fifoPublish(topic, "4", "g", "4")
		diff(t, "new ones", []string{}, h.arrivedNow(sub, q))
		h.setSub(sub, "ReplayPolicy", "")
		h.fifoPublish(topic, "5", "g", "5")
		h.gets(q, "5")
		// Without one they come.
		h.setSub(sub, "ReplayPolicy", replaying(at[2]))
		h.replayed(sub, "Completed")
		h.gets(q, "3", "4", "5")
		h.fifoPublish(topic, "6", "g", "6")
		h.gets(q, "6")
		// One that has nowhere to go fails.
		h.pause(q)
		h.setSub(sub, "ReplayPolicy", replaying(at[0]))
		h.replayed(sub, "In progress")
		h.query("DeleteQueue", "QueueUrl", q).ok(nil)
		h.forward(time.Minute, "it has failed", func() bool { return h.attributesOf(sub)["ReplayStatus"] == "Failed" })
	})
}

// arrivedNow is arrived, signed by the clock of the test.
func (h *doorTest) arrivedNow(sub, address string) []string {
	h.Helper()
	until(h, "all is carried", func() bool {
		topic := nameOfARN(strings.TrimSuffix(sub, ":"+nameOfARN(sub)))
		s, err := h.topics.GetSubscription(h.Context(), h.tenant.ID, topic, nameOfARN(sub))
		h.must(err)
		return s.Lag == 0
	})
	return bodies(client{h, false}.receive(address))
}

func TestN84_AReplayedMessageSaysSo(t *testing.T) {
	onBoth(t, func(t *testing.T, h *doorTest) {
		h.replays()
		topic, _ := h.archived()
		raw, wrapped := h.queue(map[string]string{"FifoQueue": "true"}), h.queue(map[string]string{"FifoQueue": "true"})
		rawSub := h.subscribe(topic, raw, map[string]string{"RawMessageDelivery": "true", "FilterPolicy": `{"kind":["a"]}`})
		sub := h.subscribe(topic, wrapped, map[string]string{"FilterPolicy": `{"kind":["a"]}`})
		begin := h.clock.Now()
		for _, kind := range []string{"a", "b"} {
			h.publish(topic, func(in *sns.PublishInput) {
				in.Message, in.MessageGroupId, in.MessageDeduplicationId = &kind, sdk.String("g"), &kind
				in.MessageAttributes = map[string]snstypes.MessageAttributeValue{"kind": {DataType: sdk.String("String"), StringValue: &kind}}
			})
		}
		first, firstRaw := h.notice(wrapped), h.next(raw)
		for _, s := range []string{sub, rawSub} {
			h.setSub(s, "ReplayPolicy", replaying(begin))
			h.replayed(s, "Completed")
		}
		again, againRaw := h.notice(wrapped), h.next(raw)
		for name, value := range map[string]string{"of a notification": again.MessageAttributes["Replayed"].Value, "of a raw one": *againRaw.MessageAttributes["Replayed"].StringValue} {
			diff(t, name, "true", value)
		}
		delete(again.MessageAttributes, "Replayed")
		first.UnsubscribeURL, again.UnsubscribeURL = "", ""
		diff(t, "else it is the same", first, again)
		diff(t, "raw", []string{*firstRaw.Body, "a"}, []string{*againRaw.Body, *againRaw.MessageAttributes["kind"].StringValue})
		diff(t, "what the policy keeps out", object{}, client{h, false}.receive(wrapped))
	})
}

func TestN84_SoManyReplaysAtATime(t *testing.T) {
	t.Parallel()
	h := open(t) // which works on none
	topic, at := h.archived("1")
	sub := h.subscribe(topic, h.queue(map[string]string{"FifoQueue": "true"}), nil)
	h.setSub(sub, "ReplayPolicy", replaying(at[0]))
	for range tasks.MaxUnfinished - 1 {
		_, err := h.door.Tasks.Start(t.Context(), h.tenant.ID.String(), tasks.NewTask{Type: topics.ReplayTask, Params: "{}"})
		h.must(err)
	}
	h.ask("SetSubscriptionAttributes", "SubscriptionArn", sub, "AttributeName", "ReplayPolicy", "AttributeValue", replaying(at[0], h.clock.Now().Add(time.Second))).
		fails(403, "ReplayLimitExceeded", "", "")
	diff(t, "it stays as it was", []string{replaying(at[0]), "Pending"}, []string{h.attributesOf(sub)["ReplayPolicy"], h.attributesOf(sub)["ReplayStatus"]})
}
