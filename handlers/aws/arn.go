package aws

import (
	"net/http"
	"strings"

	"github.com/sluicemq/sluice/queues"
)

// maxAddress bounds a QueueUrl and an ARN, in bytes.
const maxAddress = 2048

// isAccount reports whether s looks like an account number.
func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// splitPath returns the account number and the name in a path of a queue: /123456789012/orders, with a slash at its end or
// without.
func splitPath(path string) (account, name string, ok bool) {
	account, name, ok = strings.Cut(strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/"), "/")
	return account, name, ok && isAccount(account) && name != "" && !strings.Contains(name, "/")
}

// splitQueueURL returns the account number and the name in a QueueUrl. Only these two count, whatever host is before them:
// clients reach the server by other names than it knows. A bare name is one of the caller's own account.
func splitQueueURL(text string) (account, name string, ok bool) {
	if len(text) > maxAddress {
		return "", "", false
	}
	path := text
	if scheme, rest, found := strings.Cut(text, "://"); found {
		if scheme != "http" && scheme != "https" {
			return "", "", false
		}
		_, path, _ = strings.Cut(rest, "/")
	}
	path = strings.Trim(path, "/")
	steps := strings.Split(path, "/")
	switch n := len(steps); {
	case n == 1 && path != "" && path != text && strings.Contains(text, "://"):
		return "", "", false // a host with one step is no address of a queue
	case n == 1 && path != "":
		return "", path, true
	case n > 1 && isAccount(steps[n-2]):
		return steps[n-2], steps[n-1], true
	}
	return "", "", false
}

// arn returns the ARN of a queue of the account that the action is about.
func (c *call) arn(queue string) string { return c.arnIn(c.ownerAccount, queue) }

func (c *call) arnIn(account, queue string) string {
	return "arn:aws:sqs:" + c.door.Region + ":" + account + ":" + queue
}

// splitQueueARN returns the account and the name of a queue of any account by its ARN, and false for what is none.
func (c *call) splitQueueARN(text string) (account, name string, ok bool) {
	rest, ok := strings.CutPrefix(text, "arn:aws:sqs:"+c.door.Region+":")
	account, name, more := strings.Cut(rest, ":")
	return account, name, ok && more && len(text) <= maxAddress && isAccount(account) && queues.ValidName(name) == nil
}

// queueOfARN returns the name of a queue of that account by its ARN, and false for all other ARNs.
func (c *call) queueOfARN(text string) (string, bool) {
	name, ok := strings.CutPrefix(text, c.arn(""))
	return name, ok && queues.ValidName(name) == nil
}

// origin returns what addresses in answers begin with: the public address, or the one that the client used.
func (d *Door) origin(r *http.Request) string {
	switch {
	case d.PublicURL != nil:
		return d.PublicURL.Scheme + "://" + d.PublicURL.Host
	case r.TLS != nil, r.Header.Get("X-Forwarded-Proto") == "https": // the server has removed what no proxy of ours says
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func (c *call) queueURL(name string) string {
	return c.door.origin(c.r) + "/" + c.ownerAccount + "/" + name
}
