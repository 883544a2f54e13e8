package aws

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/auth/sigv4"
	"github.com/sluicemq/sluice/internal/errs"
)

// service is one of AWS's. It has a version, and a name in the scope of signatures.
type service struct {
	scope, version, namespace, target string
}

var (
	sqs = &service{"sqs", "2012-11-05", "http://queue.amazonaws.com/doc/2012-11-05/", "AmazonSQS."}
	sns = &service{"sns", "2010-03-31", "http://sns.amazonaws.com/doc/2010-03-31/", ""}
	sts = &service{"sts", "2011-06-15", "https://sts.amazonaws.com/doc/2011-06-15/", ""}
)

// isJSON reports whether a request came by the JSON protocol: it names its action in a header, or calls its body so.
func isJSON(r *http.Request) bool {
	media := r.Header.Get("Content-Type")
	return r.Method == http.MethodPost && (r.Header.Get("X-Amz-Target") != "" && !strings.HasPrefix(media, "application/x-www-form-urlencoded") ||
		strings.HasPrefix(media, "application/x-amz-json-1."))
}

// decode finds out what is asked for.
func (c *call) decode() error {
	var err *Fault
	if c.json {
		err = c.decodeJSON()
	} else {
		err = c.decodeQuery()
	}
	if err != nil {
		return err
	}
	return nil
}

func (c *call) decodeJSON() *Fault {
	in, err := parseJSON(string(c.body), &c.flaws)
	if err != nil {
		return err
	}
	c.in = in
	target := c.r.Header.Get("X-Amz-Target")
	if name, ok := strings.CutPrefix(target, sqs.target); ok {
		if a := find(name, sqs.version, ""); a != nil && a.service == sqs {
			c.act = a
			return nil
		}
	}
	e := errUnknownOperation.with("The operation is not known here.")
	if target == "" {
		e.status = http.StatusNotFound
	}
	return e
}

func (c *call) decodeQuery() *Fault {
	body := ""
	if c.r.Method == http.MethodPost {
		body = string(c.body)
	}
	in, err := parseForm(c.r.URL.RawQuery, body, &c.flaws)
	if err != nil {
		return err
	}
	c.in = in
	name, ok := in.text("Action")
	if !ok {
		e := errUnknownOperation.with("The request names no action.")
		e.status = http.StatusNotFound
		return e
	}
	version, versioned := in.text("Version")
	for _, s := range []*service{sns, sts} {
		if version == s.version {
			c.service = s // whose errors look as it writes them, also when it has no such action
		}
	}
	scope := ""
	if s, err := sigv4.Parse(c.r); err == nil && !versioned {
		scope = s.Service
	}
	a := find(name, version, scope)
	if a == nil || c.r.URL.Path != "/" && a.atRoot {
		return errAction.with("The action %s is not valid for this endpoint.", clip(name))
	}
	c.act, c.service = a, a.service
	if versioned && version != c.service.version {
		return errVersion.with("The requested version (%s) of service %s does not exist.", clip(version), c.service.scope)
	}
	return nil
}

// begin and end write what stands around an answer.
func (c *call) begin() {
	if c.json {
		c.out.b = append(c.out.b, '{')
		return
	}
	c.out.b = append(c.out.b, xmlHead...)
	c.out.b = append(append(append(c.out.b, '<'), c.act.name...), `Response xmlns="`...)
	c.out.b = append(append(c.out.b, c.service.namespace...), `">`...)
	if !c.act.void {
		c.out.open(c.act.name + "Result")
	}
}

const xmlHead = `<?xml version="1.0"?>`

func (c *call) end() {
	if c.json {
		c.out.b = append(c.out.b, '}')
		return
	}
	if !c.act.void {
		// An empty result is closed in itself: clients exist that stumble over anything in it.
		if open := "<" + c.act.name + "Result>"; strings.HasSuffix(string(c.out.b[max(0, len(c.out.b)-len(open)):]), open) {
			c.out.b = append(c.out.b[:len(c.out.b)-1], "/>"...)
		} else {
			c.out.close(c.act.name + "Result")
		}
	}
	c.out.open("ResponseMetadata")
	c.out.plain("RequestId", c.id)
	c.out.close("ResponseMetadata")
	c.out.close(c.act.name + "Response")
}

// fail answers with an error.
func (c *call) fail(w http.ResponseWriter, e *Fault) Served {
	if e.status >= http.StatusRequestTimeout && len(c.body) < int(c.r.ContentLength) || c.r.ContentLength < 0 {
		w.Header().Set("Connection", "close") // nobody wants to read the rest
	}
	if known, ok := errors.AsType[*errs.Error](e.cause); ok && known.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((known.RetryAfter+time.Second-1)/time.Second)))
	}
	c.out = reply{json: c.json, b: c.out.b[:0]}
	whose := "Sender"
	if !e.bySender() {
		whose = "Receiver"
	}
	switch {
	case c.json:
		w.Header()["X-Amzn-Query-Error"] = []string{e.code + ";" + whose}
		c.out.b = append(c.out.b, '{')
		c.out.text("__type", e.shape)
		c.out.text("message", e.message)
		c.out.b = append(c.out.b, '}')
	case e.sort.code == errUnknownOperation.code:
		c.out.b = append(c.out.b, "<UnknownOperationException/>"...)
	default:
		message := e.message
		if e.sort == errNoQueue {
			message = noQueueQuery
		}
		c.out.b = append(append(append(append(c.out.b, xmlHead...), `<ErrorResponse xmlns="`...), c.service.namespace...), `"><Error>`...)
		c.out.text("Type", whose)
		c.out.text("Code", e.code)
		c.out.text("Message", message)
		c.out.b = append(c.out.b, "<Detail/></Error>"...)
		c.out.plain("RequestId", c.id)
		c.out.close("ErrorResponse")
	}
	served, _ := c.write(w, e.status)
	served.Code = e.code
	return served
}
