package aws

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	policies "github.com/sluicemq/sluice/internal/policy"
	"github.com/sluicemq/sluice/queues"
)

const (
	maxPermittedActions = 7
	maxStatements       = 20 // of the policy of a queue
	maxPrincipals       = 50
	maxConditions       = 10
)

// grantable are the actions that an owner can let others do.
var grantable = []string{
	"*", "SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes", "GetQueueUrl",
	"ListDeadLetterSourceQueues", "PurgeQueue",
}

// policy is a policy as far as permissions change it. Statements of others stay as they were written.
type policy struct {
	Version   string            `json:"Version"`
	ID        string            `json:"Id"`
	Statement []json.RawMessage `json:"Statement"`
}

type statement struct {
	Sid       string `json:"Sid"`
	Effect    string `json:"Effect"`
	Principal struct {
		AWS any `json:"AWS"`
	} `json:"Principal"`
	Action   any    `json:"Action"`
	Resource string `json:"Resource"`
}

func (c *call) addPermission() error {
	name, err := c.queue()
	if err != nil {
		return err
	}
	label, err := c.label()
	if err != nil {
		return err
	}
	accounts, allowed := c.in.texts(fieldAccounts), c.in.texts(fieldActions)
	if err := c.flaw(); err != nil {
		return err
	}
	if err := checkPermission(accounts, allowed); err != nil {
		return err
	}
	raw, err := newStatement(label, "SQS:", accounts, allowed, c.arn(name))
	if err != nil {
		return err
	}
	return c.changePolicy(name, func(p *policy) error {
		if slices.ContainsFunc(p.Statement, labelled(label)) {
			return invalidValue(label, "Label", "Already exists.")
		}
		if len(p.Statement) >= maxStatements {
			return errOverLimit.with("%d statements were found, maximum allowed is %d.", len(p.Statement)+1, maxStatements)
		}
		p.Statement = append(p.Statement, raw)
		return nil
	})
}

// newStatement returns a statement that allows accounts some actions.
func newStatement(label, prefix string, accounts, allowed []string, resource string) (json.RawMessage, error) {
	for i := range accounts {
		accounts[i] = "arn:aws:iam::" + accounts[i] + ":root"
	}
	for i := range allowed {
		allowed[i] = prefix + allowed[i]
	}
	s := statement{Sid: label, Effect: "Allow", Action: oneOrMany(allowed), Resource: resource}
	s.Principal.AWS = oneOrMany(accounts)
	return json.Marshal(s)
}

func checkPermission(accounts, allowed []string) error {
	switch {
	case len(accounts) == 0:
		return errMissingParameter.with("The request must contain the parameter AWSAccountIds.")
	case len(allowed) == 0:
		return errMissingParameter.with("The request must contain the parameter Actions.")
	case len(allowed) > maxPermittedActions:
		return errOverLimit.with("%d Actions were found, maximum allowed is %d.", len(allowed), maxPermittedActions)
	}
	for _, a := range accounts {
		if !isAccount(a) {
			return invalidValue(a, "PrincipalId", "Unable to verify.")
		}
	}
	for _, a := range allowed {
		if !slices.Contains(grantable, a) {
			return invalidValue("SQS:"+a, "ActionName", "Please refer to the appropriate WSDL for a list of valid actions. ")
		}
	}
	return nil
}

func (c *call) removePermission() error {
	name, err := c.queue()
	if err != nil {
		return err
	}
	label, err := c.label()
	if err != nil {
		return err
	}
	return c.changePolicy(name, func(p *policy) error {
		left := slices.DeleteFunc(slices.Clone(p.Statement), labelled(label))
		if len(left) == len(p.Statement) {
			return invalidValue(label, "Label", "can't find label.")
		}
		p.Statement = left
		return nil
	})
}

func (c *call) label() (string, error) {
	label, err := c.required(c.in, "Label")
	if err == nil && !isEntryID(label) { // they are written alike
		err = invalidValue(label, "Label", "A label can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
	}
	return label, err
}

// labelled reports whether a statement has a label.
func labelled(label string) func(json.RawMessage) bool {
	return func(raw json.RawMessage) bool {
		var s struct{ Sid string }
		return json.Unmarshal(raw, &s) == nil && s.Sid == label
	}
}

// changePolicy changes the statements of a queue's policy. With the last of them the policy goes.
func (c *call) changePolicy(name string, change func(*policy) error) error {
	_, err := c.door.Queues.Update(c.ctx, c.owner, name, queues.Condition{}, func(set queues.Settings) (queues.Settings, error) {
		p := policy{Version: policyVersion, ID: c.arn(name) + "/SQSDefaultPolicy"}
		if set.AWS.Policy != "" {
			p = readPolicy(set.AWS.Policy)
		}
		err := change(&p)
		if err == nil {
			set.AWS.Policy, err = p.text(queues.MaxPolicy)
		}
		if err == nil {
			err = checkPolicy(set.AWS.Policy)
		}
		set.AWS.PolicyHolds = set.AWS.Policy != ""
		return set, err
	})
	return err
}

const policyVersion = "2008-10-17"

// checkPolicy refuses a policy by which a queue could not be judged, in the words of SQS. "" is none.
func checkPolicy(text string) error {
	if text == "" {
		return nil
	}
	_, err := policies.Compile(text, policies.Limits{Statements: maxStatements, Principals: maxPrincipals, Conditions: maxConditions, DistinctSids: true})
	switch {
	case policies.IsLimit(err):
		return errOverLimit.with("%s", err)
	case err != nil:
		return errAttributeValue.with("Invalid value for the parameter Policy. Reason: %s.", err)
	}
	return nil
}

// text returns the policy as JSON of at most so many bytes, and "" for one without statements.
func (p *policy) text(most int) (string, error) {
	if len(p.Statement) == 0 {
		return "", nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil {
		return "", err
	}
	text := strings.TrimSuffix(b.String(), "\n")
	if len(text) > most {
		return "", errOverLimit.with("The policy would have %d bytes, maximum allowed is %d.", len(text), most)
	}
	return text, nil
}

// readPolicy reads a policy that somebody has set. A single statement needs no list around it.
func readPolicy(text string) policy {
	var p policy
	if json.Unmarshal([]byte(text), &p) == nil {
		return p
	}
	var one struct {
		Version   string
		ID        string `json:"Id"`
		Statement json.RawMessage
	}
	_ = json.Unmarshal([]byte(text), &one) // it was found to be an object
	p = policy{Version: one.Version, ID: one.ID}
	if one.Statement != nil {
		p.Statement = []json.RawMessage{one.Statement}
	}
	return p
}

// oneOrMany is a text for a list of one, as policies have it.
func oneOrMany(list []string) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}
