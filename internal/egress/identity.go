package egress

import (
	"container/list"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"sync"
	"time"
)

// The limits of what an identity is made of, in bytes of PEM, and of the certificates in it.
const (
	MaxCertificate = 8 << 10 // with those that lead to its authority
	MaxKey         = 4 << 10
	MaxAuthorities = 8 << 10
	maxChain       = 10
)

// Identity is what connections show to an endpoint and whom they trust. Connections of two identities are never shared, nor are
// those of two owners, whatever they show.
type Identity struct {
	key    [sha256.Size]byte
	secure *tls.Config
}

// NewIdentity makes an identity of PEM: a certificate, behind it those that lead to its authority, with its key; and authorities that
// are trusted instead of the client's. Either may be "". The error is of kind Invalid, and its message is for the one who gave them.
func NewIdentity(owner, certificate, key, authorities string) (*Identity, error) {
	id := &Identity{secure: &tls.Config{MinVersion: tls.VersionTLS12}}
	switch {
	case len(certificate) > MaxCertificate || len(key) > MaxKey || len(authorities) > MaxAuthorities:
		return nil, invalid("A client's certificate has at most %d bytes, its key %d and the authorities %d.", MaxCertificate, MaxKey, MaxAuthorities)
	case (certificate == "") != (key == ""):
		return nil, invalid("A client's certificate and its key belong together: give both.")
	case certificate == "" && authorities == "":
		return nil, invalid("There is neither a client's certificate nor an authority.")
	}
	if certificate != "" {
		if _, err := certificates(certificate, "client's certificate"); err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
		if err != nil { // its text may repeat what was given
			return nil, invalid("The client's key is none in PEM without a password, or it belongs to another certificate. The certificate stands before those that lead to its authority.")
		}
		id.secure.Certificates = []tls.Certificate{pair}
	}
	if authorities != "" {
		all, err := certificates(authorities, "authority")
		if err != nil {
			return nil, err
		}
		id.secure.RootCAs = x509.NewCertPool()
		for _, one := range all {
			id.secure.RootCAs.AddCert(one)
		}
	}
	id.key = sha256.Sum256([]byte(strings.Join([]string{owner, certificate, key, authorities}, "\x00")))
	return id, nil
}

// certificates reads PEM that has nothing but certificates.
func certificates(text, what string) ([]*x509.Certificate, error) {
	if strings.Contains(text, "PRIVATE KEY") { // it would be shown again
		return nil, invalid("The %s has a private key in it, which goes into the member for the key.", what)
	}
	var all []*x509.Certificate
	for rest := []byte(text); len(strings.TrimSpace(string(rest))) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return nil, invalid("The %s must be PEM, with nothing but certificates in it.", what)
		}
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, invalid("The %s has a certificate that cannot be read.", what)
		}
		if all = append(all, one); len(all) > maxChain {
			return nil, invalid("The %s has more than %d certificates.", what, maxChain)
		}
	}
	return all, nil
}

// Lifetime returns from when and until when a certificate is valid, the first of PEM; zero where there is none.
func Lifetime(certificate string) (begins, expires time.Time) {
	all, err := certificates(certificate, "certificate")
	if err != nil || len(all) == 0 {
		return time.Time{}, time.Time{}
	}
	return all[0].NotBefore, all[0].NotAfter
}

// maxIdentities bounds the identities for which a client keeps connections. Those that were not used for longest go first; what
// is under way on their connections ends as it would.
const maxIdentities = 256

// identities are the transports of identities, the latest used first.
type identities struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]*list.Element
	order list.List
}

type owned struct {
	key [sha256.Size]byte
	transports
}

// of returns the transports of an identity.
func (o *identities) of(c *Client, id *Identity) transports {
	o.mu.Lock()
	defer o.mu.Unlock()
	if at := o.known[id.key]; at != nil {
		o.order.MoveToFront(at)
		return at.Value.(*owned).transports
	}
	secure := id.secure.Clone()
	if secure.RootCAs == nil {
		secure.RootCAs = c.config.RootCAs
	}
	one := &owned{id.key, c.transports(secure)}
	if o.known == nil {
		o.known = map[[sha256.Size]byte]*list.Element{}
	}
	o.known[id.key] = o.order.PushFront(one)
	if o.order.Len() > maxIdentities {
		last := o.order.Remove(o.order.Back()).(*owned)
		delete(o.known, last.key)
		last.pooled.CloseIdleConnections()
	}
	return one.transports
}

// close closes connections that are idle.
func (o *identities) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for at := o.order.Front(); at != nil; at = at.Next() {
		at.Value.(*owned).pooled.CloseIdleConnections()
	}
}
