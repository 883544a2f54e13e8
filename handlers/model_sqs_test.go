package handlers_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// sqsDoor is a client of SQS, by one of its protocols. A batch of one goes by the action for one.
type sqsDoor interface {
	send(ctx context.Context, queue string, list []queues.Outgoing) (ids []string, faults []error, err error)
	receive(ctx context.Context, queue string, most int, timeout *int32) ([]types.Message, error)
	delete(ctx context.Context, queue string, handles []string) (faults []error, err error)
	change(ctx context.Context, queue string, handles []string, timeouts []int32) (faults []error, err error)
	purge(ctx context.Context, queue string) error
	counts(ctx context.Context, queue string) (map[string]string, error)
}

// sqsDriver plays histories as a client of SQS. What SQS does not know the store does, and what it does not show the store shows.
type sqsDriver struct {
	*queues.Store
	door  sqsDoor
	url   string // of queues, up to their names
	calls calls
	zeros bool // the client says it when a message shall have no delay; the SDK leaves a zero out
	mild  bool // the last settlement went by the door
}

// Mild reports whether the last settlement went by the door, which says no times, and to many old receipts nothing.
func (d *sqsDriver) Mild() bool { return d.mild }

// sqsError is an error as SQS has it.
func sqsError(code, message string) error {
	switch {
	case code == "ReceiptHandleIsInvalid":
		return queues.ErrReceiptInvalid
	case code == "InvalidParameterValue" && strings.Contains(message, "not available for visibility timeout change"):
		return queues.ErrReceiptExpired
	case code == "InvalidParameterValue":
		return &errs.Error{Code: "validation_failed"}
	case code == "ServiceUnavailable" && strings.Contains(message, "paused"):
		return queues.ErrQueuePaused
	case code == "ServiceUnavailable" && strings.Contains(message, "max_messages"):
		return queues.ErrMessagesFull
	}
	return &errs.Error{Code: code, Message: message}
}

// counted counts what was asked n times in one request: once, or in a batch.
func (d *sqsDriver) counted(what string, n int) {
	if n > 1 {
		what += "Many"
	}
	d.calls[what]++
}

// maxSQSDelay is the longest delay that SQS takes.
const maxSQSDelay = 15 * time.Minute

func (d *sqsDriver) SendBatch(ctx context.Context, t tenants.ID, queue string, batch []queues.Outgoing, atomic bool) ([]queues.SendResult, error) {
	for _, m := range batch {
		if atomic || m.IdempotencyKey != "" || m.Retry != nil || m.Priority > 0 || m.TTL > 0 || m.Delay != nil && (!whole(*m.Delay) || *m.Delay > maxSQSDelay || *m.Delay == 0 && !d.zeros) {
			return d.Store.SendBatch(ctx, t, queue, batch, atomic)
		}
	}
	ids, faults, err := d.door.send(ctx, d.url+queue, batch)
	if err != nil {
		return nil, err
	}
	d.counted("send", len(batch))
	results := make([]queues.SendResult, len(batch))
	for i := range results {
		if results[i].Err = faults[i]; faults[i] != nil {
			continue
		}
		r := &results[i]
		if r.ID, err = idOfUUID(ids[i]); err != nil {
			return nil, err
		}
		if r.AvailableAt, err = availableAt(ctx, d.Store, t, queue, r.ID); err != nil {
			return nil, err
		}
		m, err := d.Store.Message(ctx, t, queue, r.ID)
		if err != nil {
			return nil, err
		}
		r.Now = m.SentAt
	}
	return results, nil
}

// idOfUUID reads the id of a message as SQS writes it.
func idOfUUID(text string) (id engine.ID, err error) {
	raw, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(raw) != 16 {
		return id, fmt.Errorf("%q is no UUID", text)
	}
	copy(id[:], append(append(append([]byte{}, raw[:6]...), raw[7]), raw[9:14]...))
	if id.UUID() != text {
		return id, fmt.Errorf("%q is not the UUID of a message", text)
	}
	return id, nil
}

func (d *sqsDriver) Receive(ctx context.Context, t tenants.ID, queue string, opt queues.ReceiveOptions) ([]queues.Message, error) {
	q, err := d.Get(ctx, t, queue)
	if err != nil {
		return nil, err
	}
	lasts := q.Settings.VisibilityTimeout
	if opt.VisibilityTimeout != nil {
		lasts = *opt.VisibilityTimeout
	}
	// What is held for no time is available again before it can be looked at.
	if opt.AutoAck || opt.Consumer != "" || opt.Max > 10 || lasts == 0 || !whole(lasts) {
		return d.Store.Receive(ctx, t, queue, opt)
	}
	var timeout *int32
	if opt.VisibilityTimeout != nil {
		timeout = sdk.Int32(int32(secondsOf(lasts)))
	}
	got, err := d.door.receive(ctx, d.url+queue, opt.Max, timeout)
	if err != nil {
		return nil, err
	}
	d.calls["receive"]++
	list := make([]queues.Message, len(got))
	for i, m := range got {
		id, err := idOfUUID(sdk.ToString(m.MessageId))
		if err != nil {
			return nil, err
		}
		if list[i], err = d.Store.Message(ctx, t, queue, id); err != nil {
			return nil, err
		}
		one := &list[i]
		one.HeldSince = time.Time{} // no receive shows it
		one.Body, one.ReceiptHandle = sdk.ToString(m.Body), sdk.ToString(m.ReceiptHandle)
		one.SentAt, one.FirstReceivedAt = millisOf(m, "SentTimestamp"), millisOf(m, "ApproximateFirstReceiveTimestamp")
		if one.ReceiveCount, err = strconv.Atoi(m.Attributes["ApproximateReceiveCount"]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func millisOf(m types.Message, name string) time.Time {
	n, _ := strconv.ParseInt(m.Attributes[name], 10, 64)
	return time.UnixMilli(n).UTC()
}

func (d *sqsDriver) Settle(ctx context.Context, t tenants.ID, queue string, list []queues.Settlement) ([]queues.Settled, error) {
	d.mild = false
	var all []queues.Settled
	takes := func(s queues.Settlement) bool {
		return s.ReceiptHandle != "" && (s.Verb == queues.Ack || s.Verb == queues.Extend && whole(s.For) || s.Verb == queues.Return && s.For == 0)
	}
	err := runs(list, takes, func(part []queues.Settlement, byDoor bool) error {
		if !byDoor {
			done, err := d.Store.Settle(ctx, t, queue, part)
			all = append(all, done...)
			return err
		}
		d.mild = true
		var handles []string
		var timeouts []int32
		for _, s := range part {
			handles, timeouts = append(handles, s.ReceiptHandle), append(timeouts, int32(secondsOf(s.For)))
		}
		what := "delete"
		var faults []error
		var err error
		if part[0].Verb == queues.Ack {
			faults, err = d.door.delete(ctx, d.url+queue, handles)
		} else {
			what = "change"
			faults, err = d.door.change(ctx, d.url+queue, handles, timeouts)
		}
		d.counted(what, len(part))
		for _, fault := range faults {
			all = append(all, queues.Settled{Err: fault})
		}
		return err
	})
	for i := range all {
		if d.mild {
			all[i] = queues.Settled{Err: all[i].Err}
		}
	}
	return all, err
}

// Purge returns how many messages there were: SQS does not say.
func (d *sqsDriver) Purge(ctx context.Context, t tenants.ID, queue string) (int64, error) {
	st, err := d.Store.Stats(ctx, t, queue)
	if err != nil {
		return 0, err
	}
	d.calls["purge"]++
	return st.Available + st.InFlight + st.Delayed, d.door.purge(ctx, d.url+queue)
}

// Stats returns the counts as SQS shows them.
func (d *sqsDriver) Stats(ctx context.Context, t tenants.ID, queue string) (queues.Stats, error) {
	n, err := d.door.counts(ctx, d.url+queue)
	if err != nil {
		return queues.Stats{}, err
	}
	d.calls["counts"]++
	st, err := d.Store.Stats(ctx, t, queue)
	if err != nil {
		return st, err
	}
	for name, to := range map[string]*int64{"": &st.Available, "NotVisible": &st.InFlight, "Delayed": &st.Delayed} {
		if *to, err = strconv.ParseInt(n["ApproximateNumberOfMessages"+name], 10, 64); err != nil {
			return st, err
		}
	}
	return st, nil
}

// doorSigner signs at the time of the test's clock.
type doorSigner struct {
	clock *clock.Fake
	pair  sdk.Credentials
}

func (s doorSigner) SignHTTP(ctx context.Context, c sdk.Credentials, r *http.Request, hash, service, region string, _ time.Time, opts ...func(*v4.SignerOptions)) error {
	return v4.NewSigner().SignHTTP(ctx, c, r, hash, service, region, s.clock.Now(), opts...)
}

// sdkDoor is the SDK as somebody uses it who has changed the endpoint and nothing else. It speaks JSON.
type sdkDoor struct{ *sqs.Client }

func newSDKDoor(url string, signer doorSigner) sdkDoor {
	return sdkDoor{sqs.New(sqs.Options{
		HTTPSignerV4: signer, Region: "us-east-1", BaseEndpoint: &url, RetryMaxAttempts: 1,
		Credentials: credentials.StaticCredentialsProvider{Value: signer.pair},
	})}
}

// sdkError returns an error of the SDK as the store has it.
func sdkError(err error) error {
	var e interface {
		ErrorCode() string
		ErrorMessage() string
	}
	if errors.As(err, &e) {
		return sqsError(e.ErrorCode(), e.ErrorMessage())
	}
	return err
}

// failed puts the failed entries of a batch where they stood.
func failed(n int, entries []types.BatchResultErrorEntry) []error {
	faults := make([]error, n)
	for _, f := range entries {
		i, _ := strconv.Atoi(sdk.ToString(f.Id))
		faults[i] = sqsError(sdk.ToString(f.Code), sdk.ToString(f.Message))
	}
	return faults
}

func (c sdkDoor) send(ctx context.Context, queue string, list []queues.Outgoing) ([]string, []error, error) {
	delay := func(m queues.Outgoing) int32 { return int32(secondsOf(*m.Delay)) }
	ids := make([]string, len(list))
	if len(list) == 1 {
		in := &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: sdk.String(string(list[0].Body))}
		if list[0].Delay != nil {
			in.DelaySeconds = delay(list[0])
		}
		out, err := c.SendMessage(ctx, in)
		if err != nil {
			return ids, []error{sdkError(err)}, nil
		}
		return []string{*out.MessageId}, []error{nil}, nil
	}
	var entries []types.SendMessageBatchRequestEntry
	for i, m := range list {
		e := types.SendMessageBatchRequestEntry{Id: sdk.String(strconv.Itoa(i)), MessageBody: sdk.String(string(m.Body))}
		if m.Delay != nil {
			e.DelaySeconds = delay(m)
		}
		entries = append(entries, e)
	}
	out, err := c.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &queue, Entries: entries})
	if err != nil {
		return nil, nil, sdkError(err)
	}
	for _, s := range out.Successful {
		i, _ := strconv.Atoi(*s.Id)
		ids[i] = *s.MessageId
	}
	return ids, failed(len(list), out.Failed), nil
}

func (c sdkDoor) receive(ctx context.Context, queue string, most int, timeout *int32) ([]types.Message, error) {
	in := &sqs.ReceiveMessageInput{QueueUrl: &queue, MaxNumberOfMessages: int32(most), MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}}
	if timeout != nil {
		in.VisibilityTimeout = *timeout
	}
	out, err := c.ReceiveMessage(ctx, in)
	if err != nil {
		return nil, sdkError(err)
	}
	return out.Messages, nil
}

func (c sdkDoor) delete(ctx context.Context, queue string, handles []string) ([]error, error) {
	if len(handles) == 1 {
		_, err := c.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: &handles[0]})
		return []error{sdkError(err)}, nil
	}
	var entries []types.DeleteMessageBatchRequestEntry
	for i := range handles {
		entries = append(entries, types.DeleteMessageBatchRequestEntry{Id: sdk.String(strconv.Itoa(i)), ReceiptHandle: &handles[i]})
	}
	out, err := c.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &queue, Entries: entries})
	if err != nil {
		return nil, sdkError(err)
	}
	return failed(len(handles), out.Failed), nil
}

func (c sdkDoor) change(ctx context.Context, queue string, handles []string, timeouts []int32) ([]error, error) {
	if len(handles) == 1 || timeouts[0] == 0 { // in a batch the SDK leaves zeros out
		var faults []error
		for i := range handles {
			_, err := c.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &queue, ReceiptHandle: &handles[i], VisibilityTimeout: timeouts[i]})
			faults = append(faults, sdkError(err))
		}
		return faults, nil
	}
	var entries []types.ChangeMessageVisibilityBatchRequestEntry
	for i := range handles {
		entries = append(entries, types.ChangeMessageVisibilityBatchRequestEntry{Id: sdk.String(strconv.Itoa(i)), ReceiptHandle: &handles[i], VisibilityTimeout: timeouts[i]})
	}
	out, err := c.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &queue, Entries: entries})
	if err != nil {
		return nil, sdkError(err)
	}
	return failed(len(handles), out.Failed), nil
}

func (c sdkDoor) purge(ctx context.Context, queue string) error {
	_, err := c.PurgeQueue(ctx, &sqs.PurgeQueueInput{QueueUrl: &queue})
	return sdkError(err)
}

func (c sdkDoor) counts(ctx context.Context, queue string) (map[string]string, error) {
	out, err := c.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &queue, AttributeNames: []types.QueueAttributeName{"All"}})
	if err != nil {
		return nil, sdkError(err)
	}
	return out.Attributes, nil
}

// formDoor speaks the query protocol, as clients do that make their requests by hand.
type formDoor struct {
	url    string
	signer doorSigner
}

// formAnswer is what any action may answer.
type formAnswer struct {
	Sent     string          `xml:"SendMessageResult>MessageId"`
	Stored   []formEntry     `xml:"SendMessageBatchResult>SendMessageBatchResultEntry"`
	Lost     []formEntry     `xml:"SendMessageBatchResult>BatchResultErrorEntry"`
	Kept     []formEntry     `xml:"DeleteMessageBatchResult>BatchResultErrorEntry"`
	Same     []formEntry     `xml:"ChangeMessageVisibilityBatchResult>BatchResultErrorEntry"`
	Messages []formMessage   `xml:"ReceiveMessageResult>Message"`
	Counts   []formAttribute `xml:"GetQueueAttributesResult>Attribute"`
	Code     string          `xml:"Error>Code"`
	Message  string          `xml:"Error>Message"`
}

type formEntry struct {
	ID        string `xml:"Id"`
	MessageID string `xml:"MessageId"`
	Code      string
	Message   string
}

type formMessage struct {
	MessageID     string `xml:"MessageId"`
	ReceiptHandle string
	Body          string
	Attributes    []formAttribute `xml:"Attribute"`
}

type formAttribute struct{ Name, Value string }

// post calls an action. params are names and values in turn.
func (c formDoor) post(ctx context.Context, action, queue string, params ...string) (*formAnswer, error) {
	form := url.Values{"Action": {action}, "Version": {"2012-11-05"}, "QueueUrl": {queue}}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	body := form.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	sum := sha256.Sum256([]byte(body))
	if err := c.signer.SignHTTP(ctx, c.signer.pair, req, hex.EncodeToString(sum[:]), "sqs", "us-east-1", time.Time{}); err != nil {
		return nil, err
	}
	res, err := unled.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	var out formAnswer
	if err := xml.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("%w in %s", err, text)
	}
	if res.StatusCode != http.StatusOK {
		return nil, sqsError(out.Code, out.Message)
	}
	return &out, nil
}

// entries writes a batch: of each entry names and values in turn.
func entries(name string, n int, entry func(i int) []string) (params []string) {
	for i := range n {
		prefix := name + "." + strconv.Itoa(i+1) + "."
		params = append(params, prefix+"Id", strconv.Itoa(i))
		of := entry(i)
		for j := 0; j < len(of); j += 2 {
			params = append(params, prefix+of[j], of[j+1])
		}
	}
	return params
}

func formFaults(n int, list []formEntry) []error {
	faults := make([]error, n)
	for _, f := range list {
		i, _ := strconv.Atoi(f.ID)
		faults[i] = sqsError(f.Code, f.Message)
	}
	return faults
}

func (c formDoor) send(ctx context.Context, queue string, list []queues.Outgoing) ([]string, []error, error) {
	params := func(i int) []string {
		p := []string{"MessageBody", string(list[i].Body)}
		if d := list[i].Delay; d != nil {
			p = append(p, "DelaySeconds", strconv.Itoa(secondsOf(*d)))
		}
		return p
	}
	if len(list) == 1 {
		out, err := c.post(ctx, "SendMessage", queue, params(0)...)
		if err != nil {
			return []string{""}, []error{err}, nil //nolint:nilerr // it is what the one message met
		}
		return []string{out.Sent}, []error{nil}, nil
	}
	out, err := c.post(ctx, "SendMessageBatch", queue, entries("SendMessageBatchRequestEntry", len(list), params)...)
	if err != nil {
		return nil, nil, err
	}
	ids := make([]string, len(list))
	for _, s := range out.Stored {
		i, _ := strconv.Atoi(s.ID)
		ids[i] = s.MessageID
	}
	return ids, formFaults(len(list), out.Lost), nil
}

func (c formDoor) receive(ctx context.Context, queue string, most int, timeout *int32) ([]types.Message, error) {
	params := []string{"MaxNumberOfMessages", strconv.Itoa(most), "AttributeName.1", "All"}
	if timeout != nil {
		params = append(params, "VisibilityTimeout", strconv.Itoa(int(*timeout)))
	}
	out, err := c.post(ctx, "ReceiveMessage", queue, params...)
	if err != nil {
		return nil, err
	}
	var list []types.Message
	for _, m := range out.Messages {
		list = append(list, types.Message{MessageId: &m.MessageID, ReceiptHandle: &m.ReceiptHandle, Body: &m.Body, Attributes: tableOf(m.Attributes)})
	}
	return list, nil
}

func tableOf(list []formAttribute) map[string]string {
	table := map[string]string{}
	for _, a := range list {
		table[a.Name] = a.Value
	}
	return table
}

func (c formDoor) delete(ctx context.Context, queue string, handles []string) ([]error, error) {
	params := func(i int) []string { return []string{"ReceiptHandle", handles[i]} }
	if len(handles) == 1 {
		_, err := c.post(ctx, "DeleteMessage", queue, params(0)...)
		return []error{err}, nil
	}
	out, err := c.post(ctx, "DeleteMessageBatch", queue, entries("DeleteMessageBatchRequestEntry", len(handles), params)...)
	if err != nil {
		return nil, err
	}
	return formFaults(len(handles), out.Kept), nil
}

func (c formDoor) change(ctx context.Context, queue string, handles []string, timeouts []int32) ([]error, error) {
	params := func(i int) []string {
		return []string{"ReceiptHandle", handles[i], "VisibilityTimeout", strconv.Itoa(int(timeouts[i]))}
	}
	if len(handles) == 1 {
		_, err := c.post(ctx, "ChangeMessageVisibility", queue, params(0)...)
		return []error{err}, nil
	}
	out, err := c.post(ctx, "ChangeMessageVisibilityBatch", queue, entries("ChangeMessageVisibilityBatchRequestEntry", len(handles), params)...)
	if err != nil {
		return nil, err
	}
	return formFaults(len(handles), out.Same), nil
}

func (c formDoor) purge(ctx context.Context, queue string) error {
	_, err := c.post(ctx, "PurgeQueue", queue)
	return err
}

func (c formDoor) counts(ctx context.Context, queue string) (map[string]string, error) {
	out, err := c.post(ctx, "GetQueueAttributes", queue, "AttributeName.1", "All")
	if err != nil {
		return nil, err
	}
	return tableOf(out.Counts), nil
}
