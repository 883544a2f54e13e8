package aws

import (
	"errors"
	"strconv"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
)

func (c *call) deleteMessage() error {
	name, err := c.queue()
	if err != nil {
		return err
	}
	handle, err := c.required(c.in, "ReceiptHandle")
	if err != nil {
		return err
	}
	done, err := c.door.Queues.Settle(c.ctx, c.owner, name, []queues.Settlement{{Verb: queues.Ack, ReceiptHandle: handle}})
	if err != nil {
		return err
	}
	return deleteFault(done[0].Err, handle, name)
}

// deleteFault returns what a client is told of a delete. In a standard queue an old receipt is no error; it has no effect.
func deleteFault(err error, handle, name string) error {
	switch {
	case errors.Is(err, queues.ErrReceiptExpired) && queues.IsFIFOName(name):
		return invalidValue(handle, "ReceiptHandle", "The receipt handle has expired.")
	case errors.Is(err, queues.ErrReceiptExpired):
		return nil
	}
	return receiptFault(err, handle)
}

func receiptFault(err error, handle string) error {
	if errors.Is(err, queues.ErrReceiptInvalid) {
		return errReceipt.with(`The input receipt handle "%s" is not a valid receipt handle.`, clip(handle))
	}
	return err
}

func (c *call) deleteMessageBatch() error {
	return c.settleBatch(fieldDeletes, "DeleteMessageBatch", "DeleteMessageBatchResultEntry",
		func(in input) (queues.Settlement, error) {
			handle, err := c.required(in, "ReceiptHandle")
			return queues.Settlement{Verb: queues.Ack, ReceiptHandle: handle}, err
		},
		func(done queues.Settled, one queues.Settlement, name string) error {
			return deleteFault(done.Err, one.ReceiptHandle, name)
		})
}

func (c *call) changeVisibility() error {
	name, err := c.queue()
	if err != nil {
		return err
	}
	one, err := c.change(c.in)
	if err != nil {
		return err
	}
	done, err := c.door.Queues.Settle(c.ctx, c.owner, name, []queues.Settlement{one})
	if err != nil {
		return err
	}
	return changeFault(done[0], one, name)
}

// change reads for how long a message shall be hidden from now on: 0 returns it.
func (c *call) change(in input) (queues.Settlement, error) {
	var one queues.Settlement
	handle, err := c.required(in, "ReceiptHandle")
	if err != nil {
		return one, err
	}
	n, ok := in.number("VisibilityTimeout")
	if err := c.flaw(); err != nil {
		return one, err
	}
	switch {
	case !ok:
		return one, errMissingParameter.with("The request must contain the parameter VisibilityTimeout.")
	case !isVisibility(n):
		return one, badVisibility(n)
	case n == 0:
		return queues.Settlement{Verb: queues.Return, ReceiptHandle: handle}, nil
	}
	return queues.Settlement{Verb: queues.Extend, ReceiptHandle: handle, For: time.Duration(n) * time.Second}, nil
}

// changeFault returns what a client is told of a change of visibility. In a standard queue a lease that is over is no error
// while nobody else has the message: it can be received, and stays so.
func changeFault(done queues.Settled, one queues.Settlement, name string) error {
	err := done.Err
	switch {
	case done.Unheld && !queues.IsFIFOName(name):
		return nil
	case errors.Is(err, queues.ErrReceiptExpired):
		return invalidValue(one.ReceiptHandle, "ReceiptHandle", "Message does not exist or is not available for visibility timeout change.")
	case errs.KindOf(err) == errs.Invalid && one.Verb == queues.Extend && !errors.Is(err, queues.ErrReceiptInvalid):
		return invalidValue(strconv.Itoa(int(one.For.Seconds())), "VisibilityTimeout", "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]")
	}
	return receiptFault(err, one.ReceiptHandle)
}

func (c *call) changeVisibilityBatch() error {
	return c.settleBatch(fieldChanges, "ChangeMessageVisibilityBatch", "ChangeMessageVisibilityBatchResultEntry", c.change, changeFault)
}

// settleBatch settles up to ten leases. What is wrong with one entry fails that entry.
func (c *call) settleBatch(f field, action, element string, read func(input) (queues.Settlement, error),
	judge func(queues.Settled, queues.Settlement, string) error) error {
	name, err := c.queue()
	if err != nil {
		return err
	}
	entries, ids, err := c.entries(f, action)
	if err != nil {
		return err
	}
	results := make([]failure, len(entries))
	list := make([]queues.Settlement, 0, len(entries))
	for i, in := range entries {
		results[i].id = ids[i]
		one, err := read(in)
		if c.flaws.first != nil {
			return c.flaws.first
		}
		if err != nil {
			results[i].fault = fault(err)
			continue
		}
		list = append(list, one)
	}
	done, err := c.door.Queues.Settle(c.ctx, c.owner, name, list)
	if err != nil {
		return err
	}
	next := 0
	for i := range results {
		if results[i].fault != nil {
			continue
		}
		if err := judge(done[next], list[next], name); err != nil {
			results[i].fault = fault(err)
		}
		next++
	}
	c.results(element, results, nil)
	return nil
}
