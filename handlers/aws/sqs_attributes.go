package aws

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/queues"
)

// limits are the attributes of a queue that are numbers, with their bounds.
var limits = map[string]struct{ least, most int }{
	"DelaySeconds":                  {0, maxDelay},
	"MaximumMessageSize":            {queues.MinMessageSize, queues.MaxMessageSize},
	"MessageRetentionPeriod":        {60, 1_209_600},
	"ReceiveMessageWaitTimeSeconds": {0, 20},
	"VisibilityTimeout":             {0, 43_200},
	"KmsDataKeyReusePeriodSeconds":  {60, 86_400},
}

// usualKMSReuse is what KmsDataKeyReusePeriodSeconds is when nobody said it, in seconds.
const usualKMSReuse = 300

// otherAttributes are those that are no numbers. Those of FIFO queues are in fifoAttributes.
var otherAttributes = []string{"All", "Policy", "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId", "SqsManagedSseEnabled",
	"QueueArn", "CreatedTimestamp", "LastModifiedTimestamp", countVisible, countHidden, countDelayed}

var fifoAttributes = []string{"FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"}

const (
	countVisible = "ApproximateNumberOfMessages"
	countHidden  = "ApproximateNumberOfMessagesNotVisible"
	countDelayed = "ApproximateNumberOfMessagesDelayed"

	perGroup = "perMessageGroupId"
	perQueue = "perQueue"
)

// isQueueAttribute reports whether a queue can have an attribute of this name.
func isQueueAttribute(name string) bool {
	_, number := limits[name]
	return number || slices.Contains(otherAttributes, name) || slices.Contains(fifoAttributes, name)
}

func unknownAttribute(name string) error {
	return errAttributeName.with("Unknown Attribute %s.", clip(name))
}

func badAttribute(name string) error {
	return errAttributeValue.with("Invalid value for the parameter %s.", name)
}

// onlyFIFO refuses an attribute that a standard queue does not have.
func onlyFIFO(name string) error {
	if name == "FifoQueue" || name == "ContentBasedDeduplication" {
		return unknownAttribute(name)
	}
	return errAttributeName.with("You can specify the %s only when FifoQueue is set to true.", name)
}

func (c *call) getQueueAttributes() error {
	name, err := c.queue()
	if err != nil {
		return err
	}
	asked := c.in.texts(fieldAttributeNames)
	if err := c.flaw(); err != nil {
		return err
	}
	q, err := c.door.Queues.Get(c.ctx, c.owner, name)
	if err != nil {
		return err
	}
	counts := false
	for _, n := range asked {
		if !isQueueAttribute(n) {
			return unknownAttribute(n)
		}
		if slices.Contains(fifoAttributes, n) && !q.Settings.IsFIFO() {
			return onlyFIFO(n)
		}
		counts = counts || n == "All" || n == countVisible || n == countHidden || n == countDelayed
	}
	if len(asked) == 0 {
		return nil
	}
	var st queues.Stats
	if counts {
		if st, err = c.door.Queues.Stats(c.ctx, c.owner, name); err != nil {
			return err
		}
	}
	list := c.attributes(&q, &st)
	if !slices.Contains(asked, "All") {
		list = slices.DeleteFunc(list, func(p pair) bool { return !slices.Contains(asked, p.key) })
	}
	c.out.table(fieldAttributes, list)
	return nil
}

// attributes returns those that a queue has.
func (c *call) attributes(q *queues.Queue, st *queues.Stats) []pair {
	set := &q.Settings
	whole := func(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
	list := []pair{
		{countVisible, strconv.FormatInt(st.Available, 10)},
		{countHidden, strconv.FormatInt(st.InFlight, 10)},
		{countDelayed, strconv.FormatInt(st.Delayed, 10)},
		{"CreatedTimestamp", strconv.FormatInt(q.Created.Unix(), 10)},
		{"LastModifiedTimestamp", strconv.FormatInt(q.Updated.Unix(), 10)},
		{"QueueArn", c.arn(q.Name)},
		{"DelaySeconds", whole(set.Delay)},
		{"MaximumMessageSize", strconv.Itoa(set.MaxMessageSize)},
		{"MessageRetentionPeriod", whole(set.Retention)},
		{"ReceiveMessageWaitTimeSeconds", whole(set.ReceiveWait)},
		{"VisibilityTimeout", whole(set.VisibilityTimeout)},
		{"SqsManagedSseEnabled", strconv.FormatBool(!set.AWS.NoSSE)},
	}
	add := func(name, value string) {
		if value != "" {
			list = append(list, pair{name, value})
		}
	}
	if f := set.FIFO; set.IsFIFO() {
		scope, limit := "queue", perQueue
		if f.Scope == queues.ScopeGroup {
			scope = "messageGroup"
		}
		if set.AWS.PerGroup {
			limit = perGroup
		}
		add("FifoQueue", "true")
		add("ContentBasedDeduplication", strconv.FormatBool(f.ContentBased))
		add("DeduplicationScope", scope)
		add("FifoThroughputLimit", limit)
	}
	add("Policy", set.AWS.Policy)
	add("RedrivePolicy", c.redrivePolicy(set.Redrive))
	add("RedriveAllowPolicy", c.redriveAllowPolicy(set))
	if set.AWS.KMSKey != "" {
		reuse := set.AWS.KMSReuse
		if reuse == 0 {
			reuse = usualKMSReuse
		}
		add("KmsMasterKeyId", set.AWS.KMSKey)
		add("KmsDataKeyReusePeriodSeconds", strconv.Itoa(reuse))
	}
	return list
}

func (c *call) redrivePolicy(r queues.Redrive) string {
	if r.DeadLetterQueue == "" {
		return ""
	}
	return `{"deadLetterTargetArn":"` + c.arn(r.DeadLetterQueue) + `","maxReceiveCount":` + strconv.Itoa(r.MaxReceives) + `}`
}

func (c *call) redriveAllowPolicy(set *queues.Settings) string {
	switch a := set.RedriveAllow; {
	case a.None:
		return `{"redrivePermission":"denyAll"}`
	case len(a.Sources) > 0:
		arns := make([]string, len(a.Sources))
		for i, s := range a.Sources {
			arns[i] = `"` + c.arn(s) + `"`
		}
		return `{"redrivePermission":"byQueue","sourceQueueArns":[` + strings.Join(arns, ",") + `]}`
	case set.AWS.AllowsAll:
		return `{"redrivePermission":"allowAll"}`
	}
	return ""
}

func (c *call) setQueueAttributes() error {
	name, err := c.queue()
	if err != nil {
		return err
	}
	list := c.in.table(fieldAttributes)
	if err := c.flaw(); err != nil {
		return err
	}
	if len(list) == 0 {
		return errMissingParameter.with("The request must contain the parameter Attributes.")
	}
	_, err = c.door.Queues.Update(c.ctx, c.owner, name, queues.Condition{}, func(set queues.Settings) (queues.Settings, error) {
		return c.apply(set, name, list)
	})
	return err
}

// apply returns settings with attributes changed.
func (c *call) apply(set queues.Settings, name string, list []pair) (queues.Settings, error) {
	managed, key := false, false
	for _, p := range list {
		if err := c.set(&set, name, p); err != nil {
			return set, err
		}
		managed = managed || p.key == "SqsManagedSseEnabled" && strings.EqualFold(p.value, "true")
		key = key || p.key == "KmsMasterKeyId" && p.value != ""
	}
	switch {
	case managed && key:
		return set, errAttributeName.with("You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.")
	case key:
		set.AWS.NoSSE = true
	}
	if set.AWS.PerGroup && set.FIFO.Scope != queues.ScopeGroup {
		return set, errAttributeValue.with("Invalid value for the parameter FifoThroughputLimit. Reason: %s is allowed only when DeduplicationScope is messageGroup.", perGroup)
	}
	return set, nil
}

// set changes one attribute.
func (c *call) set(set *queues.Settings, name string, p pair) error {
	if slices.Contains(fifoAttributes, p.key) {
		return setFIFO(set, name, p)
	}
	if limit, ok := limits[p.key]; ok {
		n, ok := digits(p.value)
		if !ok || n < limit.least || n > limit.most {
			return badAttribute(p.key)
		}
		setNumber(set, p.key, n)
		return nil
	}
	switch p.key {
	case "Policy":
		if p.value != "" && (len(p.value) > queues.MaxPolicy || !isText(p.value) || !isObject(p.value)) {
			return badAttribute(p.key)
		}
		if err := checkPolicy(p.value); err != nil {
			return err
		}
		set.AWS.Policy, set.AWS.PolicyHolds = p.value, p.value != ""
	case "RedrivePolicy":
		return c.setRedrive(set, name, p.value)
	case "RedriveAllowPolicy":
		return c.setRedriveAllow(set, p.value)
	case "KmsMasterKeyId":
		if len(p.value) > queues.MaxKMSKey || !isText(p.value) {
			return badAttribute(p.key)
		}
		if set.AWS.KMSKey = p.value; p.value != "" {
			set.AWS.NoSSE = true
		}
	case "SqsManagedSseEnabled":
		on, ok := boolean(p.value)
		if !ok {
			return badAttribute(p.key)
		}
		if set.AWS.NoSSE = !on; on {
			set.AWS.KMSKey, set.AWS.KMSReuse = "", 0
		}
	default:
		return unknownAttribute(p.key)
	}
	return nil
}

func setNumber(set *queues.Settings, name string, n int) {
	d := time.Duration(n) * time.Second
	switch name {
	case "DelaySeconds":
		set.Delay = d
	case "MaximumMessageSize":
		set.MaxMessageSize = n
	case "MessageRetentionPeriod":
		set.Retention = d
	case "ReceiveMessageWaitTimeSeconds":
		set.ReceiveWait = d
	case "VisibilityTimeout":
		set.VisibilityTimeout = d
	case "KmsDataKeyReusePeriodSeconds":
		set.AWS.KMSReuse = n
	}
}

func setFIFO(set *queues.Settings, name string, p pair) error {
	if !queues.IsFIFOName(name) {
		return onlyFIFO(p.key)
	}
	switch p.key {
	case "FifoQueue":
		if on, ok := boolean(p.value); !ok || !on {
			return errAttributeValue.with("Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.")
		}
	case "ContentBasedDeduplication":
		on, ok := boolean(p.value)
		if !ok {
			return badAttribute(p.key)
		}
		set.FIFO.ContentBased = on
	case "DeduplicationScope":
		scope, ok := map[string]queues.Scope{"queue": queues.ScopeQueue, "messageGroup": queues.ScopeGroup}[p.value]
		if !ok {
			return badAttribute(p.key)
		}
		set.FIFO.Scope = scope
	case "FifoThroughputLimit":
		if p.value != perGroup && p.value != perQueue {
			return badAttribute(p.key)
		}
		set.AWS.PerGroup = p.value == perGroup
	}
	return nil
}

// setRedrive reads a RedrivePolicy. Its target must be there: a mistyped name must not make a queue.
func (c *call) setRedrive(set *queues.Settings, name, text string) error {
	if text == "" {
		set.Redrive = queues.Redrive{}
		return nil
	}
	bad := func(reason string) error { return invalidValue(text, "RedrivePolicy", reason) }
	var policy map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &policy) != nil || policy == nil {
		return bad("Redrive policy is not a valid JSON map.")
	}
	for _, member := range []string{"deadLetterTargetArn", "maxReceiveCount"} {
		if policy[member] == nil {
			return bad("Redrive policy does not contain mandatory attribute: " + member + ".")
		}
	}
	count, ok := digits(strings.Trim(string(policy["maxReceiveCount"]), `"`))
	if !ok || count < 1 || count > queues.MaxMaxReceives {
		return bad("Invalid value for maxReceiveCount: " + clip(strings.Trim(string(policy["maxReceiveCount"]), `"`)) + ", valid values are from 1 to 1000 both inclusive.")
	}
	var arn string
	_ = json.Unmarshal(policy["deadLetterTargetArn"], &arn)
	target, ok := c.queueOfARN(arn)
	switch {
	case !ok:
		return bad("Dead letter target does not exist.")
	case !c.who.Grants.Reaches(target):
		return errDenied.with("%s is not authorized to use the dead-letter queue", c.user())
	case queues.IsFIFOName(target) != queues.IsFIFOName(name):
		return bad("Dead-letter queue must be same type of queue as the source.")
	case target == name:
		return bad("Dead-letter queue must not be the source itself.")
	}
	if _, err := c.door.Queues.Get(context.WithoutCancel(c.ctx), c.owner, target); err != nil {
		if f := fault(err); f.sort != errNoQueue {
			return err
		}
		return bad("Dead letter target does not exist.")
	}
	set.Redrive = queues.Redrive{DeadLetterQueue: target, MaxReceives: count}
	return nil
}

// setRedriveAllow reads a RedriveAllowPolicy.
func (c *call) setRedriveAllow(set *queues.Settings, text string) error {
	set.RedriveAllow, set.AWS.AllowsAll = queues.RedriveAllow{}, false
	if text == "" {
		return nil
	}
	bad := func(reason string) error { return invalidValue(text, "RedriveAllowPolicy", reason) }
	var policy map[string]json.RawMessage
	var permission string
	var arns []string
	if json.Unmarshal([]byte(text), &policy) != nil || json.Unmarshal(policy["redrivePermission"], &permission) != nil ||
		policy["sourceQueueArns"] != nil && json.Unmarshal(policy["sourceQueueArns"], &arns) != nil {
		return bad("Redrive allow policy is not a valid JSON map.")
	}
	if (permission == "byQueue") != (len(arns) > 0) {
		return bad("sourceQueueArns must be given with redrivePermission byQueue, and only with it.")
	}
	switch permission {
	case "allowAll":
		set.AWS.AllowsAll = true
	case "denyAll":
		set.RedriveAllow.None = true
	case "byQueue":
		if len(arns) > queues.MaxRedriveSources {
			return bad("sourceQueueArns must name at most 10 queues.")
		}
		for _, arn := range arns {
			source, ok := c.queueOfARN(arn)
			if !ok {
				return bad("sourceQueueArns must name queues of this account and region.")
			}
			set.RedriveAllow.Sources = append(set.RedriveAllow.Sources, source)
		}
	default:
		return bad("redrivePermission must be allowAll, denyAll or byQueue.")
	}
	return nil
}

// digits reads a number that is written with digits only.
func digits(s string) (int, bool) {
	if s == "" || len(s) > 9 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

func boolean(s string) (value, ok bool) {
	return strings.EqualFold(s, "true"), strings.EqualFold(s, "true") || strings.EqualFold(s, "false")
}

func isObject(text string) bool {
	var m map[string]json.RawMessage
	return json.Unmarshal([]byte(text), &m) == nil && m != nil
}

// sameJSON reports whether two texts are the same JSON.
func sameJSON(a, b string) bool {
	var x, y any
	return a == b || json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}
