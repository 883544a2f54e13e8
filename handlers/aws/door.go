// Package aws speaks the wire protocols of Amazon SQS, SNS and STS, so that their SDKs work unchanged. It translates between
// them and the domain, and adds no semantics.
//
// A request comes as JSON or as parameters (query); both become an input, which an action reads, and a reply, which it
// writes, so that an action does not know by which it was called.
package aws

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/auth/sigv4"
	"github.com/sluicemq/sluice/internal/audit"
	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/room"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// Door is the AWS door. Fill its fields in, then call New.
type Door struct {
	Queues  *queues.Store
	Topics  *topics.Store
	Tenants *tenants.Store
	Tasks   *tasks.Store
	Auth    *auth.Authenticator
	Audit   *audit.Store
	// Webhooks are the web endpoints that subscribe to topics.
	Webhooks *webhook.Store
	// Notifier has the certificate of notifications, and knows the links in them.
	Notifier *topics.Notifier
	// Limiter holds the rates of tenants. Default: tenants do as much as they like.
	Limiter *tenants.Limiter
	// Answers is the room that large answers take while they are sent. Default: as much as they need.
	Answers *room.Room
	// Crowd bounds what waits for each tenant. Default: nothing does.
	Crowd *tenants.Waiting
	// Meter counts requests and their bytes. Default: nothing is counted.
	Meter *tenants.Meter
	// NewID makes the ids of requests: engine.Engine.NewID.
	NewID func(shard int) engine.ID

	Clock  clock.Clock  // default: the machine's
	Logger *slog.Logger // default: nothing
	// Region is part of all ARNs. Clients may sign for any. Default: us-east-1.
	Region string
	// PublicURL is what addresses of queues begin with; its path does not count. Default: what the client used.
	PublicURL *url.URL
	// Waits has a client wait for a minute before it purges a queue again or makes one of the name of one that it has deleted, as
	// SQS does. Default: nobody waits.
	Waits bool
	// OnceEach has all doors take each signature once, for a round trip to Redis a request. Default: as often as it comes.
	OnceEach bool
	// MaxWaitingReceives bounds the receives that wait for a message at the same time. One more is answered at once.
	// Default: 20,000.
	MaxWaitingReceives int
	// ClientAddress returns where a request came from. Default: the other end of the connection.
	ClientAddress func(*http.Request) string
	// IsLocal says that a request was made by a program on this machine and passed on by nobody. Default: none was.
	IsLocal func(*http.Request) bool
	// Doubt is asked before something is called missing. An error says that nobody knows. Default: it is missing.
	Doubt func(context.Context) error

	verifier sigv4.Verifier
	waiting  atomic.Int64
	accounts sync.Map // tenants.ID → account number, which never changes
	warned   sync.Map // tenants.ID → time.Time of the last warning that a signature was not asked for
}

const (
	defaultRegion     = "us-east-1"
	defaultMaxWaiting = 20_000
	// maxBody bounds a request: a batch of 1 MiB whose every byte is escaped, as \u0041 or %41, with room for the rest.
	maxBody = 8 << 20
	// firstRead is how much room a body gets before any of it has come, so that a length that a client only claims
	// costs no memory.
	firstRead = 64 << 10
	// maxKept is the largest buffer that is kept for the next request.
	maxKept = 256 << 10
)

// New returns the door after it has filled in what d leaves out.
func New(d *Door) *Door {
	if d.Clock == nil {
		d.Clock = clock.Real{}
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Region == "" {
		d.Region = defaultRegion
	}
	if d.MaxWaitingReceives == 0 {
		d.MaxWaitingReceives = defaultMaxWaiting
	}
	if d.ClientAddress == nil {
		d.ClientAddress = func(r *http.Request) string {
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			return host
		}
	}
	if d.IsLocal == nil {
		d.IsLocal = func(*http.Request) bool { return false }
	}
	if d.Doubt == nil {
		d.Doubt = func(context.Context) error { return nil }
	}
	return d
}

// Waiting returns how many receives wait for a message, or are about to.
func (d *Door) Waiting() int64 { return d.waiting.Load() }

// Accepts reports whether a request is one for this door: at the path of a queue or of a certificate, or at the root when it
// looks like one.
func Accepts(r *http.Request) bool {
	if r.URL.Path != "/" {
		_, _, ok := splitPath(r.URL.Path)
		return ok || topics.IsCertificatePath(r.URL.Path)
	}
	return r.Method == http.MethodPost || r.Header.Get("X-Amz-Target") != "" || sigv4.IsSigned(r) ||
		strings.HasPrefix(r.URL.RawQuery, "Action=") || strings.Contains(r.URL.RawQuery, "&Action=")
}

// Served is what is known of a request when it has been answered: what the one line in the log says of it.
type Served struct {
	ID        string
	Action    string // "": none that there is
	Service   string // of the action: sqs or sns
	Queue     string // "": none
	Principal auth.Principal
	Status    int
	Code      string // of the error with which it was answered, or ""
	Size      int64
}

// call is one request on its way.
type call struct {
	door *Door
	r    *http.Request
	ctx  context.Context //nolint:containedctx // a call lives as long as its request
	json bool
	id   string // of the request

	act     *action
	service *service
	in      input
	flaws   flaws
	out     reply
	body    []byte

	key     string           // access key id that signed it
	signed  *sigv4.Signature // nil: it needs none
	who     auth.Principal
	terms   *tenants.Terms // what holds for the tenant
	let     bool           // the request was let in, and counts
	account string         // account number of the tenant
	owner   tenants.ID     // of the queue or topic that the action is about: the caller's tenant, or one that lets him
	name    string         // of the queue that the action is about, once it is known
	link    *link          // by which the request is allowed; nil: by a signature
	record  *audit.Entry   // of the audit log; nil: there is none
	deliver func(sent bool)

	ownerAccount string
	ownerTerms   *tenants.Terms
}

// Refuse answers a request with an error, in the protocol that it came by.
func Refuse(w http.ResponseWriter, r *http.Request, err error) Served {
	var id engine.ID
	_, _ = rand.Read(id[:]) // never fails
	c := &call{r: r, json: isJSON(r), id: id.UUID(), service: sqs}
	return c.fail(w, fault(err))
}

// ServeHTTP implements http.Handler.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.Serve(w, r) }

// Serve answers a request.
func (d *Door) Serve(w http.ResponseWriter, r *http.Request) Served {
	if topics.IsCertificatePath(r.URL.Path) {
		return d.serveCertificate(w, r)
	}
	c := &call{door: d, r: r, json: isJSON(r), id: d.NewID(0).UUID(), service: sqs}
	c.ctx = queues.By(r.Context(), c.actor)
	body, answer := getBuffer(), getBuffer()
	defer body.release()
	defer answer.release()
	c.out = reply{b: answer.b, json: c.json}
	err := c.run(body)
	if err == nil {
		served := c.succeed(w)
		answer.b = c.out.b
		c.count(served.Queue, served.Size)
		return served
	}
	answer.b = c.out.b[:0]
	c.count("", 0)
	return c.fail(w, c.explain(err))
}

// count counts a request that was let in: for its queue and with its answer where it was answered with success.
func (c *call) count(queue string, out int64) {
	if !c.let {
		return
	}
	kind := tenants.KindQueue
	if queue == "" || c.abroad() { // what the queue of another did is counted there
		kind, queue = tenants.KindTenant, ""
	}
	c.door.Meter.AddRequest(c.who.Tenant, kind, queue, int64(len(c.body)), out)
	c.door.Meter.AddCall(c.who.Tenant, c.who.KeyID)
}

// run does what is asked.
func (c *call) run(buf *buffer) error {
	if err := c.read(buf); err != nil {
		return err
	}
	if err := c.decode(); err != nil {
		return err
	}
	if err := c.authenticate(); err != nil {
		c.refused(err)
		return err
	}
	c.begin()
	if err := c.audited(c.act.run); err != nil {
		return err
	}
	c.end()
	return nil
}

// explain returns the error that a client is told. What it asks for wrongly of a queue that there is not, it is told that.
func (c *call) explain(err error) *Fault {
	f := fault(err)
	if c.service == sns {
		f = c.snsFault(f)
	}
	if f.sort == errInvalidParameter || f.sort == errMissingParameter || f.sort == errContents {
		if c.name != "" {
			if _, err := c.door.Queues.Get(c.ctx, c.owner, c.name); errors.Is(err, queues.ErrQueueNotFound) {
				f = fault(err)
			}
		}
	}
	if f.sort == errNoQueue || f.sort == errNoResource || f.sort == errNotFound || f.sort == errNoTagged {
		if err := c.door.Doubt(c.ctx); err != nil {
			return fault(err)
		}
	}
	if !f.bySender() && f.sort != errUnavailable && f.sort != errThrottled {
		c.door.Logger.Error("a request failed", "request_id", c.id, "error", f.cause)
	}
	return f
}

// buffer is memory for a body or an answer.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

func getBuffer() *buffer { return buffers.Get().(*buffer) }

// release gives the buffer back: nothing may point into it any more.
func (b *buffer) release() {
	if cap(b.b) <= maxKept {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}

// read reads the body. It must say how long it is: net/http hides whether a length stood beside chunks, which is how
// requests are smuggled past a proxy.
func (c *call) read(buf *buffer) error {
	switch n := c.r.ContentLength; {
	case c.r.Method != http.MethodPost && c.r.Method != http.MethodGet:
		return errMethod.with("The method %s is not allowed here.", clip(c.r.Method))
	case n < 0 || len(c.r.TransferEncoding) > 0:
		return errLength.with("You must provide the Content-Length HTTP header: chunked bodies are not accepted.")
	case n > maxBody:
		return errTooLarge.with("A request has at most %d bytes.", maxBody)
	case n == 0:
		return nil
	case int64(cap(buf.b)) < min(n, firstRead)+bytes.MinRead: // which a Buffer wants free before it finds the end
		buf.b = make([]byte, 0, min(n, firstRead)+bytes.MinRead)
	}
	into := bytes.NewBuffer(buf.b[:0])
	_, err := io.CopyN(into, c.r.Body, c.r.ContentLength)
	buf.b = into.Bytes()
	c.body = buf.b
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return errTimeout.with("The body did not arrive in time.").because(err)
	}
	if errors.Is(err, room.ErrOverloaded) {
		return err
	}
	if err != nil {
		return errSerialization.with("The body ended early.").because(err)
	}
	return nil
}

// authenticate finds out who signed the request, and whether he may do what he asks for.
func (c *call) authenticate() error {
	if c.act.unsigned != nil && !sigv4.IsSigned(c.r) {
		return c.act.unsigned(c)
	}
	s, err := sigv4.Parse(c.r)
	if err != nil {
		return err
	}
	if err := s.For(c.service.scope); err != nil {
		return err
	}
	if err := s.InTime(c.door.Clock.Now()); err != nil {
		return err
	}
	if s.SessionToken != "" {
		return errClientToken.with(noToken) // nobody gives any
	}
	signer, err := c.door.Auth.AccessKey(c.ctx, s.AccessKeyID)
	if err != nil {
		return err
	}
	err = c.door.verifier.Verify(c.r, s, sigv4.Payload{Body: c.body, Guarded: c.r.TLS != nil}, signer.Secret.Reveal())
	holds := err == nil
	if !holds && !c.needsNone(signer) {
		return err
	}
	c.key, c.signed = s.AccessKeyID, s
	if err := c.admit(signer); err != nil {
		return err
	}
	if c.account, err = c.door.accountOf(c.ctx, c.who.Tenant); err != nil {
		return err
	}
	c.owner, c.ownerAccount, c.ownerTerms = c.who.Tenant, c.account, c.terms
	if !c.who.Grants.May(c.act.need) {
		return errDenied.with("%s is not authorized to perform: %s:%s because its key does not have the scope %s",
			c.user(), c.service.scope, c.act.name, c.act.scope)
	}
	if c.service == sns && c.who.Grants.Limited() {
		// A topic has messages of whoever publishes, for queues of whoever subscribes.
		return errDenied.with("%s is not authorized to perform: %s:%s because its key reaches only some queues, and so no topics", c.user(), c.service.scope, c.act.name)
	}
	if c.door.Limiter != nil {
		if _, err = c.door.Limiter.Admit(c.who.Tenant, c.terms, int64(len(c.body))); err != nil {
			c.door.Meter.Refused(c.who.Tenant)
		}
	}
	if err == nil && holds && c.door.OnceEach { // last, so that what was refused for now may be sent again as it is
		err = signer.Use(c.ctx, s.Text(), c.id, s.End().Sub(c.door.Clock.Now()))
	}
	c.let = err == nil
	return err
}

// warnEvery is how often the log says of a tenant that a signature was not asked for.
const warnEvery = time.Minute

// needsNone reports whether a request whose signature does not hold is let in all the same: it was made on this machine, for a
// tenant that asks for no signatures from there.
func (c *call) needsNone(signer auth.Signer) bool {
	d, t := c.door, signer.Tenant()
	if !d.IsLocal(c.r) {
		return false
	}
	terms, err := d.Tenants.Terms(c.ctx, t)
	if err != nil || !terms.AnySignature {
		return false
	}
	now := d.Clock.Now()
	if last, ok := d.warned.Load(t); !ok || now.Sub(last.(time.Time)) >= warnEvery {
		d.warned.Store(t, now)
		d.Logger.Warn("a request was let in whose signature does not hold, because its tenant has aws_any_signature: never leave that on where others use this machine",
			"tenant", t.String(), "request_id", c.id)
	}
	return true
}

// admit lets the owner of a key in, unless its tenant may not act.
func (c *call) admit(signer auth.Signer) (err error) {
	if c.who, err = signer.Admit(c.door.ClientAddress(c.r)); err != nil {
		return err
	}
	if c.terms, err = c.door.Tenants.Terms(c.ctx, c.who.Tenant); err != nil {
		return err
	}
	if c.act.brings() {
		return c.terms.MaySend()
	}
	return c.terms.MayAct()
}

// recheck reports whether the request would still be let in: a receive may outlive a key, and what a policy said.
func (c *call) recheck() error {
	signer, err := c.door.Auth.AccessKey(c.ctx, c.key)
	if err != nil {
		return err
	}
	if err := c.admit(signer); err != nil {
		return err
	}
	return c.permit(c.name)
}

// user is the ARN of the caller.
func (c *call) user() string { return "arn:aws:iam::" + c.account + ":user/" + c.who.KeyID }

func (d *Door) accountOf(ctx context.Context, id tenants.ID) (string, error) {
	if n, ok := d.accounts.Load(id); ok {
		return n.(string), nil
	}
	t, err := d.Tenants.ByID(ctx, id)
	if errs.KindOf(err) == errs.NotFound {
		return "", errClientToken.with(noToken)
	}
	if err != nil {
		return "", err
	}
	d.accounts.Store(id, t.AccountNumber)
	return t.AccountNumber, nil
}

// write answers. An error says that the client did not get it.
func (c *call) write(w http.ResponseWriter, status int) (Served, error) {
	h := w.Header()
	h["Content-Type"] = xmlType
	if c.json {
		h["Content-Type"] = jsonType
	}
	h["X-Amzn-Requestid"] = []string{c.id}
	h["Content-Length"] = []string{strconv.Itoa(len(c.out.b))}
	h["X-Content-Type-Options"] = noSniff
	served := Served{ID: c.id, Queue: c.name, Principal: c.who, Status: status, Size: int64(len(c.out.b))}
	if c.act != nil {
		served.Action, served.Service = c.act.name, c.service.scope
	}
	if c.r.Context().Err() != nil {
		return served, errGone
	}
	if c.terms != nil && c.door.Limiter != nil {
		c.door.Limiter.Charge(c.who.Tenant, c.terms, 0, served.Size)
	}
	w.WriteHeader(status)
	_, err := w.Write(c.out.b)
	return served, err
}

// Values of headers, ready to be used. They are never changed.
var (
	jsonType = []string{"application/x-amz-json-1.0"}
	xmlType  = []string{"text/xml"}
	noSniff  = []string{"nosniff"}
)

var errGone = errors.New("the client has gone")

// succeed answers with what the action wrote.
func (c *call) succeed(w http.ResponseWriter) Served {
	give, err := c.door.Answers.Take(int64(len(c.out.b)))
	if err != nil {
		if c.deliver != nil {
			c.deliver(false)
		}
		c.out.b = c.out.b[:0]
		return c.fail(w, c.explain(err))
	}
	defer give()
	served, err := c.write(w, http.StatusOK)
	if c.deliver == nil {
		return served
	}
	// Small answers stay in a buffer until the handler returns, and nobody would hear that they could not be sent.
	if err == nil {
		if err = http.NewResponseController(w).Flush(); errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	c.deliver(err == nil)
	return served
}
