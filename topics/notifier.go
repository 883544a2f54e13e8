package topics

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/tenants"
)

const (
	// signingBits is the size of the key of notifications, as SNS has it. A signature takes almost two milliseconds.
	signingBits = 2048
	// certificateLife is how long the certificate holds. Who verifies a notification of long ago wants it to hold still, and
	// nothing but the installation's secret could renew the trust in it.
	certificateLife = 30 * 365 * 24 * time.Hour

	signingPurpose     = "sns-signing-key"
	unsubscribePurpose = "sns-unsubscribe-links"
	confirmPurpose     = "sns-confirmations"
)

// NotifierConfig is what a Notifier needs.
type NotifierConfig struct {
	Engine *engine.Engine
	Keys   *keyring.Keyring
	// Account returns the account number of a tenant.
	Account func(context.Context, tenants.ID) (string, error)
	Region  string // in ARNs
	Origin  string // what addresses in notifications begin with, such as https://sluice.example
	Clock   clock.Clock
}

// Notifier makes what subscriptions of the format Notified get: the JSON of SNS, signed with a key that all servers share.
// Redis holds the key, sealed with one of the installation, beside its certificate.
type Notifier struct {
	NotifierConfig
	sealer   cipher.AEAD
	links    []byte      // key of the tokens in links that end a subscription
	tokens   cipher.AEAD // seals the tokens that confirm one
	accounts sync.Map

	making sync.Mutex
	known  atomic.Pointer[signingKey]
}

// signingKey is what notifications are signed with.
type signingKey struct {
	private     *rsa.PrivateKey
	certificate []byte // PEM
	path        string // at which the certificate is served
}

// NewNotifier returns the notifier of an installation.
func NewNotifier(c NotifierConfig) *Notifier {
	if c.Clock == nil {
		c.Clock = clock.Real{}
	}
	return &Notifier{NotifierConfig: c, sealer: newSealer(c.Keys, signingPurpose), links: c.Keys.Derive(unsubscribePurpose), tokens: newSealer(c.Keys, confirmPurpose)}
}

// newSealer seals by a key of the installation.
func newSealer(ring *keyring.Keyring, purpose string) cipher.AEAD {
	block, err := aes.NewCipher(ring.Derive(purpose))
	if err != nil {
		panic("seal " + purpose + ": " + err.Error()) // only for lengths that keyring.KeySize is not
	}
	sealer, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("seal " + purpose + ": " + err.Error())
	}
	return sealer
}

// key returns the key, which the first server that needs one makes.
func (n *Notifier) key(ctx context.Context) (*signingKey, error) {
	if k := n.known.Load(); k != nil {
		return k, nil
	}
	n.making.Lock()
	defer n.making.Unlock()
	if k := n.known.Load(); k != nil {
		return k, nil
	}
	kept, err := n.keep(ctx, "")
	if err == nil && kept == "" {
		fresh, failed := n.newKey()
		if failed != nil {
			return nil, failed
		}
		kept, err = n.keep(ctx, fresh)
	}
	if err != nil {
		return nil, err
	}
	k, err := n.open(kept)
	if err != nil {
		return nil, engine.ErrBroken.Because(fmt.Errorf("the key of notifications does not open: %w", err))
	}
	n.known.Store(k)
	return k, nil
}

// keep returns what Redis holds, which is fresh if it held nothing.
func (n *Notifier) keep(ctx context.Context, fresh string) (string, error) {
	reply, err := n.Engine.Do(ctx, signingKeyScript, []string{signingKeyKey()}, fresh)
	kept, _ := reply.(string)
	return kept, err
}

// newKey returns a key with its certificate as Redis keeps them. The seal binds the key to the certificate, so that none
// that somebody else wrote there is served.
func (n *Notifier) newKey() (string, error) {
	private, err := rsa.GenerateKey(rand.Reader, signingBits)
	if err != nil {
		return "", err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return "", err
	}
	now := n.Clock.Now()
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "Sluice notifications"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(certificateLife), KeyUsage: x509.KeyUsageDigitalSignature}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return "", err
	}
	sealed := n.sealer.Seal(nil, nil, x509.MarshalPKCS1PrivateKey(private), certificate)
	return base64.StdEncoding.EncodeToString(certificate) + " " + base64.StdEncoding.EncodeToString(sealed), nil
}

func (n *Notifier) open(kept string) (*signingKey, error) {
	public, secret, _ := strings.Cut(kept, " ")
	certificate, err := base64.StdEncoding.DecodeString(public)
	if err != nil {
		return nil, err
	}
	sealed, err := base64.StdEncoding.DecodeString(secret)
	if err != nil {
		return nil, err
	}
	plain, err := n.sealer.Open(nil, nil, sealed, certificate)
	if err != nil {
		return nil, err
	}
	private, err := x509.ParsePKCS1PrivateKey(plain)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(certificate)
	return &signingKey{private: private, certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		path: certificateBegin + hex.EncodeToString(sum[:16]) + certificateEnd}, nil
}

// A certificate is served at a path that is made of its digest and begins and ends as in SNS.
const (
	certificateBegin = "/SimpleNotificationService-"
	certificateEnd   = ".pem"
)

// IsCertificatePath reports whether a path is one at which a certificate may be served.
func IsCertificatePath(path string) bool {
	return strings.HasPrefix(path, certificateBegin) && strings.HasSuffix(path, certificateEnd)
}

// Certificate returns the certificate that is served at a path, as PEM, and nil when there is none.
func (n *Notifier) Certificate(ctx context.Context, path string) ([]byte, error) {
	k, err := n.key(ctx)
	if err != nil || k.path != path {
		return nil, err
	}
	return k.certificate, nil
}

// account returns the account number of a tenant, which never changes.
func (n *Notifier) account(ctx context.Context, t tenants.ID) (string, error) {
	if known, ok := n.accounts.Load(t); ok {
		return known.(string), nil
	}
	number, err := n.Account(ctx, t)
	if err == nil {
		n.accounts.Store(t, number)
	}
	return number, err
}

// unsubscribeToken is what a link must have that ends a subscription and is not signed by its owner: an ARN is no secret. It
// ends with the subscription, also when one of the same name follows.
func (n *Notifier) unsubscribeToken(t tenants.ID, arn string, created time.Time) string {
	said := t.String() + "." + strconv.FormatInt(created.UnixMilli(), 10)
	mac := hmac.New(sha256.New, n.links)
	mac.Write([]byte(said + " " + arn))
	return said + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// OpenUnsubscribeToken returns of what tenant the subscription with an ARN was to which a token of UnsubscribeURL belongs,
// and when it was created. It reports false for a token that this installation did not make for that ARN.
func (n *Notifier) OpenUnsubscribeToken(token, arn string) (owner tenants.ID, created time.Time, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return owner, created, false
	}
	owner, ok = tenants.ParseID(parts[0])
	millis, err := strconv.ParseInt(parts[1], 10, 64)
	created = at(millis)
	return owner, created, ok && err == nil && hmac.Equal([]byte(token), []byte(n.unsubscribeToken(owner, arn, created)))
}

// errNoNotifier says that the program was put together wrongly.
var errNoNotifier = errors.New("a subscription wants notifications, and there is no notifier")

// Sender makes what SNS sends of one topic: notifications, and what asks an endpoint whether it wants them.
type Sender struct {
	notifier *Notifier
	key      *signingKey // nil: they are not signed
	tenant   tenants.ID
	arn      string // of the topic
	fifo     bool
	version  string // by which they are signed
	delivery string // the delivery policy of the topic
}

// TopicARN returns the ARN of the topic.
func (s *Sender) TopicARN() string { return s.arn }

// DeliveryPolicy returns what the topic's owner said of how web endpoints are tried, as it was given, or "".
func (s *Sender) DeliveryPolicy() string { return s.delivery }

// SignatureVersion returns by which rules it signs, as the topic has it.
func (s *Sender) SignatureVersion() string { return s.version }

// sender returns the sender of a topic, with a key only where its notifications are signed.
func (n *Notifier) sender(ctx context.Context, t tenants.ID, c *config, signs bool) (*Sender, error) {
	account, err := n.account(ctx, t)
	if err != nil {
		return nil, err
	}
	s := &Sender{notifier: n, tenant: t, arn: ARN(n.Region, account, c.name), fifo: IsFIFOName(c.name), version: c.AWS.SignatureVersion,
		delivery: c.AWS.DeliveryPolicy}
	if signs {
		s.key, err = n.key(ctx)
	}
	return s, err
}

// senderFor returns the sender of a topic, and nil when none of the subscriptions needs one. Webhooks have one of their own.
func (n *Notifier) senderFor(ctx context.Context, t tenants.ID, c *config, subs ...*carried) (*Sender, error) {
	needed := false
	for _, s := range subs {
		for i := range s.rules {
			needed = needed || s.rules[i].format == Notified && s.last().Endpoint == ""
		}
	}
	switch {
	case !needed:
		return nil, nil
	case n == nil:
		return nil, engine.ErrBroken.Because(errNoNotifier)
	}
	return n.sender(ctx, t, c, !IsFIFOName(c.name))
}

// senderAge is for how long what a topic says of its notifications is remembered, so that a webhook reads no settings for each
// request. A change of them holds after as long at the latest.
const senderAge = time.Second

// keptSender is a sender, and when it was made.
type keptSender struct {
	sender *Sender
	at     time.Time
}

// Sender returns what makes the messages of SNS of a topic, by settings that are a second old at most. Where they cannot be
// read, older ones do.
func (s *Store) Sender(ctx context.Context, t tenants.ID, topicName string) (*Sender, error) {
	if s.notifier == nil {
		return nil, engine.ErrBroken.Because(errNoNotifier)
	}
	var out *Sender
	err := s.with(ctx, t, topicName, func(tp *topic) error {
		known := tp.sender.Load()
		now := s.clock.Now()
		if known == nil || now.Sub(known.at) >= senderAge {
			fresh, err := tp.newSender(ctx, now)
			switch {
			case errors.Is(err, errGone) || known == nil && err != nil:
				return err
			case err == nil:
				known = fresh
			}
		}
		out = known.sender
		return nil
	})
	return out, err
}

// newSender reads the topic's settings, unless another caller has just done it.
func (tp *topic) newSender(ctx context.Context, now time.Time) (*keptSender, error) {
	tp.senders.Lock()
	defer tp.senders.Unlock()
	if known := tp.sender.Load(); known != nil && now.Sub(known.at) < senderAge {
		return known, nil
	}
	c, _, err := tp.store.load(ctx, tp.keys, nil)
	if err != nil {
		return nil, err
	}
	sender, err := tp.store.notifier.sender(ctx, tp.at.tenant, c, true)
	if err != nil {
		return nil, err
	}
	fresh := &keptSender{sender, now}
	tp.sender.Store(fresh)
	return fresh, nil
}

// ARN returns the ARN of a topic.
func ARN(region, account, name string) string {
	return "arn:aws:sns:" + region + ":" + account + ":" + name
}
