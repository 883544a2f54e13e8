package aws_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/queues"
)

// withDead makes a queue whose messages leave for another one after one receive. Both are FIFO queues, or none is.
func (c client) withDead(fifo bool, more ...string) (address, dead string) {
	c.Helper()
	attributes := map[string]string{}
	if fifo {
		attributes["FifoQueue"] = "true"
	}
	dead = c.queue(attributes)
	for i := 0; i < len(more); i += 2 {
		attributes[more[i]] = more[i+1]
	}
	attributes["RedrivePolicy"] = `{"deadLetterTargetArn":"` + c.arn(dead) + `","maxReceiveCount":1}`
	return c.queue(attributes), dead
}

// buries receives what is there once, and again, by which it leaves, and waits until it has arrived: a move takes what is there then.
func (c client) buries(address string) {
	c.Helper()
	c.receive(address, `"VisibilityTimeout":0`)
	diff(c, "moved instead", object{}, c.receive(address))
	until(c.TB, "it has arrived", func() bool {
		st, err := c.queues.Stats(c.Context(), c.tenant.ID, nameOf(address))
		c.must(err)
		return st.Moving == 0
	})
}

// letters waits for dead letters, and returns as many as there are.
func (c client) letters(dead string, more ...string) []object {
	c.Helper()
	return messages(c.receive(dead, append(more, `"WaitTimeSeconds":20`)...))
}

func TestQ123_AMessageLeavesAfterSoManyReceives(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address, dead := c.withDead(false)
		c.send(address, "x")
		diff(t, "once", []string{"x"}, bodies(c.receive(address, `"VisibilityTimeout":1`)))
		diff(t, "not yet", object{}, c.receive(dead))
		c.clock.Advance(time.Second)
		diff(t, "moved instead", object{}, c.receive(address))
		diff(t, "there", "x", str(c.letters(dead)[0], "Body"))
	})
}

func TestQ124_ADeadLetterIsTheSameMessage(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address, dead := c.withDead(false)
		sent := c.send(address, "x", `"MessageAttributes":{"k":{"DataType":"String","StringValue":"x"}}`)
		at := strconv.FormatInt(c.clock.Now().UnixMilli(), 10)
		c.clock.Advance(time.Second)
		c.buries(address)
		m := c.letters(dead, `"AttributeNames":["ApproximateReceiveCount","DeadLetterQueueSourceArn","SentTimestamp"],"MessageAttributeNames":["All"]`)[0]
		diff(t, "attributes", object{"ApproximateReceiveCount": "2", "DeadLetterQueueSourceArn": c.arn(address), "SentTimestamp": at}, m["Attributes"])
		diff(t, "the same message", []any{sent["MessageId"], "x", "a45daa70926828a2f0a1db3418e6feb4"}, []any{m["MessageId"], m["Body"], m["MD5OfMessageAttributes"]})
	})
}

func TestQ125_TheAgeOfADeadLetter(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		standard, dead := c.withDead(false)
		fifo, deadFIFO := c.withDead(true)
		c.send(standard, "x")
		c.sends(fifo, "x", "g", "d")
		c.clock.Advance(3 * 24 * time.Hour)
		for address, dead := range map[string]string{standard: dead, fifo: deadFIFO} {
			c.buries(address)
			diff(t, "there", 1, len(c.letters(dead, `"VisibilityTimeout":0`)))
		}
		c.clock.Advance(2 * 24 * time.Hour) // five days after the send, two after the move; it lasts for four
		diff(t, "counted from the send", 0, len(messages(c.receive(dead))))
		diff(t, "counted from the move", 1, len(messages(c.receive(deadFIFO))))
	})
}

func TestQ126_TwoDeadLettersWithOneIDBothArrive(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		address, dead := c.withDead(true)
		var got []object
		for i := range 2 {
			c.sends(address, "x", "g", "d")
			c.buries(address)
			until(t, "it is there", func() bool {
				got = c.letters(dead, `"VisibilityTimeout":0,"AttributeNames":["MessageGroupId"]`)
				return len(got) == i+1
			})
			c.clock.Advance(5 * time.Minute)
		}
		diff(t, "group", object{"MessageGroupId": "g"}, got[1]["Attributes"])
	})
}

// startMove starts to move the messages of a dead-letter queue.
func (c client) startMove(dead, more string) *answer {
	c.Helper()
	return c.call("StartMessageMoveTask", `{"SourceArn":"`+c.arn(dead)+`"`+more+`}`)
}

func (c client) moves(dead, more string) []any {
	c.Helper()
	all, _ := c.out("ListMessageMoveTasks", `{"SourceArn":"`+c.arn(dead)+`"`+more+`}`)["Results"].([]any)
	return all
}

func TestQ131_OneMoveOfAQueueAtATime(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		_, dead := c.withDead(false)
		_, other := c.withDead(false)
		c.startMove(dead, "").ok(nil)
		c.startMove(dead, "").fails(400, invalid, invalidType, "There is already a task running. Only one active task is allowed for a source queue arn at a given time.")
		c.startMove(other, "").ok(nil)
	})
}

func TestQ132_TheRateOfAMove(t *testing.T) {
	t.Parallel()
	bothProtocols(t, func(t *testing.T, c client) {
		_, dead := c.withDead(false)
		for _, n := range []string{"0", "501", "-1"} {
			c.startMove(dead, `,"MaxNumberOfMessagesPerSecond":`+n).fails(400, invalid, invalidType, "MaxNumberOfMessagesPerSecond")
		}
		c.startMove(dead, `,"MaxNumberOfMessagesPerSecond":500`).ok(nil)
		diff(t, "shown", "500", str(c.moves(dead, "")[0].(object), "MaxNumberOfMessagesPerSecond"))
	})
}

// redrives works on the moves of a door from now on.
func (h *doorTest) redrives() {
	h.run(tasks.NewRunner(tasks.Config{Store: h.door.Tasks, Clock: h.clock, Kinds: map[string]tasks.Kind{queues.RedriveTask: h.queues.Redriving()}}).Run)
}

func TestQ133_EachMessageGoesBackToItsOwnQueue(t *testing.T) {
	t.Parallel()
	bothProtocolsAlone(t, func(t *testing.T, c client) {
		c.redrives()
		one, dead := c.withDead(false)
		two := c.queue(map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"` + c.arn(dead) + `","maxReceiveCount":1}`})
		for _, address := range []string{one, two} {
			c.send(address, nameOf(address))
			c.buries(address)
		}
		c.startMove(dead, "").ok(nil)
		c.moveIs(dead, "COMPLETED")
		for _, address := range []string{one, two} {
			diff(t, "back", nameOf(address), str(c.letters(address)[0], "Body"))
		}
		c.startMove(dead, `,"DestinationArn":"`+c.arn(c.fifo())+`"`).fails(400, invalid, invalidType, "")
	})
}

func TestQ134_WhatWasMovedIsNew(t *testing.T) {
	t.Parallel()
	bothProtocolsAlone(t, func(t *testing.T, c client) {
		c.redrives()
		address, dead := c.withDead(false)
		sent := c.send(address, "x")
		c.buries(address)
		c.clock.Advance(time.Hour)
		began := c.clock.Now()
		c.startMove(dead, "").ok(nil)
		c.moveIs(dead, "COMPLETED")
		m := c.letters(address, `"AttributeNames":["ApproximateReceiveCount","SentTimestamp"]`)[0]
		if m["MessageId"] == sent["MessageId"] {
			t.Error("it has its old id")
		}
		attributes := m["Attributes"].(object)
		at, _ := strconv.ParseInt(str(attributes, "SentTimestamp"), 10, 64)
		if sent := time.UnixMilli(at); sent.Before(began) || sent.After(c.clock.Now()) {
			t.Errorf("it was sent at %v, want when it was moved, from %v on", sent, began)
		}
		diff(t, "receives", "1", str(attributes, "ApproximateReceiveCount"))
	})
}

// moveIs waits until the newest move has a status. Who works on moves looks again by the clock of the test, so that goes on.
func (c client) moveIs(dead, status string) {
	c.Helper()
	until(c.TB, "the move is "+status, func() bool {
		c.clock.Advance(20 * time.Millisecond)
		return str(c.moves(dead, "")[0].(object), "Status") == status
	})
}

func TestQ135_AMoveSaysHowFarItIs(t *testing.T) {
	t.Parallel()
	bothProtocolsAlone(t, func(t *testing.T, c client) {
		address, dead := c.withDead(false)
		c.send(address, "x")
		c.buries(address)
		other := c.queue(nil)
		now := strconv.FormatInt(c.clock.Now().UnixMilli(), 10)
		c.startMove(dead, `,"DestinationArn":"`+c.arn(other)+`","MaxNumberOfMessagesPerSecond":7`).ok(nil)
		got := c.moves(dead, "")[0].(object)
		if str(got, "TaskHandle") == "" {
			t.Error("one that is running has no handle")
		}
		delete(got, "TaskHandle")
		want := object{"Status": "RUNNING", "SourceArn": c.arn(dead), "DestinationArn": c.arn(other), "MaxNumberOfMessagesPerSecond": "7", "StartedTimestamp": now,
			"ApproximateNumberOfMessagesMoved": "0", "ApproximateNumberOfMessagesToMove": "1"}
		diff(t, "running", want, got)
		c.out("DeleteQueue", in(other, ""))
		c.clock.Advance(time.Minute) // until a server takes it up
		c.redrives()
		c.moveIs(dead, "FAILED")
		want["Status"], want["FailureReason"] = "FAILED", noQueueCode
		diff(t, "failed", want, c.moves(dead, "")[0].(object))
		// The newest comes first, and one unless more are asked for.
		c.startMove(dead, "").ok(nil)
		c.moveIs(dead, "COMPLETED")
		list := c.moves(dead, `,"MaxResults":10`)
		diff(t, "list", []any{"COMPLETED", "FAILED", 1}, []any{str(list[0].(object), "Status"), str(list[1].(object), "Status"), len(c.moves(dead, ""))})
	})
}

func TestQ136_AMoveIsCancelledWhileItRuns(t *testing.T) {
	t.Parallel()
	bothProtocolsAlone(t, func(t *testing.T, c client) {
		_, dead := c.withDead(false)
		handle := str(c.out("StartMessageMoveTask", `{"SourceArn":"`+c.arn(dead)+`"}`), "TaskHandle")
		cancel := func(handle string) *answer {
			return c.call("CancelMessageMoveTask", `{"TaskHandle":`+quoted(handle)+`}`)
		}
		cancel("garbage").fails(400, invalid, invalidType, "Value for parameter TaskHandle is invalid.")
		diff(t, "moved by then", object{"ApproximateNumberOfMessagesMoved": "0"}, c.out("CancelMessageMoveTask", `{"TaskHandle":`+quoted(handle)+`}`))
		c.redrives()
		c.moveIs(dead, "CANCELLED")
		if h, there := c.moves(dead, "")[0].(object)["TaskHandle"]; there {
			t.Errorf("one that has ended has the handle %v", h)
		}
		cancel(handle).fails(404, "ResourceNotFoundException", "com.amazonaws.sqs#ResourceNotFoundException", "Task does not exist.")
	})
}
