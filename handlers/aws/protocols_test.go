package aws_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/redistest"
)

// client calls actions by one of the protocols. Inputs and outputs have the form of JSON in both, so that a test says once
// what holds for the two; numbers of outputs are texts.
type client struct {
	*doorTest
	query bool
}

// bothProtocols runs a test by each of them.
func bothProtocols(t *testing.T, test func(t *testing.T, c client)) {
	t.Helper()
	inBoth(t, test, func(t *testing.T) client { return client{doorTest: open(t)} })
}

// bothProtocolsAlone does it on Redis servers of their own: whoever works on tasks takes those of the whole installation, and another
// test's clock may stand still.
func bothProtocolsAlone(t *testing.T, test func(t *testing.T, c client)) {
	t.Helper()
	inBoth(t, test, func(t *testing.T) client {
		return client{doorTest: open(t, func(_ *doorTest, opt *engine.Options) { opt.URL = redistest.Start(t, redistest.Options{}).URL() })}
	})
}

func inBoth(t *testing.T, test func(t *testing.T, c client), open func(t *testing.T) client) {
	t.Helper()
	for _, query := range []bool{false, true} {
		name := "json"
		if query {
			name = "query"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t)
			c.query = query
			test(t, c)
		})
	}
}

type object = map[string]any

// names of the query protocol for members that hold several things.
var lists = map[string]string{
	"Attributes": "Attribute", "AttributeNames": "AttributeName", "MessageSystemAttributeNames": "MessageSystemAttributeName",
	"MessageAttributeNames": "MessageAttributeName", "MessageAttributes": "MessageAttribute", "MessageSystemAttributes": "MessageSystemAttribute",
	"tags": "Tag", "Tags": "Tag", "TagKeys": "TagKey", "AWSAccountIds": "AWSAccountId", "Actions": "ActionName",
}

// call calls an action with an input as JSON.
func (c client) call(action, input string) *answer {
	c.Helper()
	if !c.query {
		return c.json(action, input)
	}
	var in object
	if err := json.Unmarshal([]byte(input), &in); err != nil {
		c.Fatalf("%v in %s", err, input)
	}
	form := url.Values{"Action": {action}, "Version": {"2012-11-05"}}
	parameters(form, "", action, in)
	return c.form("/", form.Encode())
}

// parameters writes an object as the query protocol does.
func parameters(form url.Values, prefix, action string, in object) {
	for name, value := range in {
		list := lists[name]
		if name == "Entries" {
			list = action + "RequestEntry"
		}
		switch v := value.(type) {
		case []any:
			for i, item := range v {
				key := fmt.Sprintf("%s%s.%d", prefix, list, i+1)
				if o, ok := item.(object); ok {
					parameters(form, key+".", action, o)
					continue
				}
				form.Set(key, fmt.Sprint(item))
			}
		case object:
			key, val := "Name", "Value"
			if list == "Tag" {
				key = "Key"
			}
			for i, k := range slices.Sorted(maps.Keys(v)) {
				at := fmt.Sprintf("%s%s.%d.", prefix, list, i+1)
				form.Set(at+key, k)
				if o, ok := v[k].(object); ok {
					for part, text := range o {
						form.Set(at+val+"."+part, fmt.Sprint(text))
					}
					continue
				}
				form.Set(at+val, fmt.Sprint(v[k]))
			}
		case float64:
			form.Set(prefix+name, fmt.Sprintf("%.0f", v))
		default:
			form.Set(prefix+name, fmt.Sprint(v))
		}
	}
}

// out calls an action that succeeds and returns its output.
func (c client) out(action, input string) object {
	c.Helper()
	a := c.call(action, input)
	a.ok(nil)
	if !c.query {
		dec := json.NewDecoder(strings.NewReader(a.body))
		dec.UseNumber()
		var o object
		if err := dec.Decode(&o); err != nil {
			c.Fatalf("%v in %s", err, a.body)
		}
		return plain(o).(object)
	}
	var root element
	if err := xml.Unmarshal([]byte(a.body), &root); err != nil {
		c.Fatalf("%v in %s", err, a.body)
	}
	if root.XMLName.Space != "http://queue.amazonaws.com/doc/2012-11-05/" || root.XMLName.Local != action+"Response" {
		c.Errorf("the root is %v", root.XMLName)
	}
	for _, e := range root.Children {
		if e.XMLName.Local == action+"Result" {
			return e.object(action)
		}
	}
	return object{}
}

// plain turns numbers and truths into texts.
func plain(v any) any {
	switch v := v.(type) {
	case object:
		for k := range v {
			v[k] = plain(v[k])
		}
		return v
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
		return v
	case string:
		return v
	}
	return fmt.Sprint(v)
}

type element struct {
	XMLName  xml.Name
	Text     string    `xml:",chardata"`
	Children []element `xml:",any"`
}

// object returns the children of an element as JSON would have them.
func (e element) object(action string) object {
	o := object{}
	plural := map[string]string{
		"QueueUrl": "QueueUrls", "Message": "Messages", "BatchResultErrorEntry": "Failed", "ListMessageMoveTasksResultEntry": "Results",
		"SendMessageBatchResultEntry": "Successful", "DeleteMessageBatchResultEntry": "Successful", "ChangeMessageVisibilityBatchResultEntry": "Successful",
	}
	if action == "ListDeadLetterSourceQueues" {
		plural["QueueUrl"] = "queueUrls"
	}
	for _, c := range e.Children {
		name := c.XMLName.Local
		list, isList := plural[name]
		isList = isList && !(name == "QueueUrl" && !strings.HasPrefix(action, "List")) && !(name == "Message" && len(c.Children) == 0)
		switch {
		case isList:
			var item any = c.Text
			if len(c.Children) > 0 {
				item = c.object(action)
			}
			have, _ := o[list].([]any)
			o[list] = append(have, item)
		case name == "Attribute" || name == "Tag" || name == "MessageAttribute":
			have, ok := o[name+"s"].(object)
			if !ok {
				have = object{}
				o[name+"s"] = have
			}
			value := any(c.Children[1].Text)
			if len(c.Children[1].Children) > 0 {
				value = c.Children[1].object(action)
			}
			have[c.Children[0].Text] = value
		default:
			o[name] = c.Text
		}
	}
	return o
}

// in writes an input: the address of a queue and more members.
func in(address, more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"QueueUrl":` + quoted(address) + more + `}`
}

// messages returns those of an output.
func messages(o object) []object {
	list, _ := o["Messages"].([]any)
	out := make([]object, len(list))
	for i := range list {
		out[i] = list[i].(object)
	}
	return out
}

func bodies(o object) []string {
	out := []string{}
	for _, m := range messages(o) {
		out = append(out, m["Body"].(string))
	}
	return out
}

// send stores a message and returns what is told of it.
func (c client) send(address, body string, more ...string) object {
	c.Helper()
	return c.out("SendMessage", in(address, strings.Join(append([]string{`"MessageBody":` + quoted(body)}, more...), ",")))
}

// receive returns up to ten messages.
func (c client) receive(address string, more ...string) object {
	c.Helper()
	return c.out("ReceiveMessage", in(address, strings.Join(append([]string{`"MaxNumberOfMessages":10`}, more...), ",")))
}

func str(o object, name string) string {
	s, _ := o[name].(string)
	return s
}

func keysOf(v any) []string {
	o, _ := v.(object)
	return slices.Sorted(maps.Keys(o))
}

// attributesOf returns attributes of a queue.
func (c client) attributesOf(address string, names ...string) object {
	c.Helper()
	raw, _ := json.Marshal(names)
	o, _ := c.out("GetQueueAttributes", in(address, `"AttributeNames":`+string(raw)))["Attributes"].(object)
	return o
}

const (
	noQueueCode = "AWS.SimpleQueueService.NonExistentQueue"
	invalid     = "InvalidParameterValue"
	invalidType = "InvalidParameterValueException"
)

// refuses calls an action that fails with InvalidParameterValue.
func (c client) refuses(action, input, words string) {
	c.Helper()
	c.call(action, input).fails(400, invalid, invalidType, words)
}
