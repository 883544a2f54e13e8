package egress_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/egress"
	"github.com/sluicemq/sluice/internal/egress/egresstest"
)

func identity(tb testing.TB, owner, certificate, key, authorities string) *egress.Identity {
	tb.Helper()
	id, err := egress.NewIdentity(owner, certificate, key, authorities)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

// A connection speaks for one owner and one certificate: nobody's request goes over one that another one has opened.
func TestIdentitiesShareNoConnections(t *testing.T) {
	t.Parallel()
	ca := egresstest.NewAuthority(t)
	s := ca.Serve(t, listen(t, endpoint, 0), tls.VerifyClientCertIfGiven, func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		fmt.Fprint(w, name, " ", r.RemoteAddr)
	})
	c := client(t)
	aCert, aKey := ca.Issue(t, "a")
	bCert, bKey := ca.Issue(t, "b")
	seen := map[string]string{} // connection to whose it is
	for range 3 {
		for who, id := range map[string]*egress.Identity{
			"a": identity(t, "one", aCert, aKey, ca.PEM), "a of another": identity(t, "other", aCert, aKey, ca.PEM),
			"b": identity(t, "one", bCert, bKey, ca.PEM), "nobody": identity(t, "one", "", "", ca.PEM), "nobody of another": identity(t, "other", "", "", ca.PEM),
		} {
			r := post(s.URL, "x")
			r.Identity = id
			answer, err := c.Do(t.Context(), r)
			if err != nil {
				t.Fatalf("%s: %v", who, err)
			}
			name, from, _ := strings.Cut(string(answer.Body), " ")
			if before, ok := seen[from]; name != strings.Fields(who)[0] || ok && before != who {
				t.Errorf("%s came as %s, by the connection of %q", who, name, before)
			}
			seen[from] = who
		}
	}
	if len(seen) != 5 {
		t.Errorf("%d connections of 5 identities: %v", len(seen), seen)
	}
	// Without the authority the endpoint is not trusted, and its authority is not trusted for others.
	_, err := c.Do(t.Context(), post(s.URL, "x"))
	wantKind(t, "without an identity", err, egress.TLS)
	r := post(s.URL, "x")
	r.Identity = identity(t, "one", "", "", egresstest.NewAuthority(t).PEM)
	_, err = c.Do(t.Context(), r)
	wantKind(t, "another authority", err, egress.TLS)
}

func TestAnEndpointMayAskForACertificate(t *testing.T) {
	t.Parallel()
	ca := egresstest.NewAuthority(t)
	s := ca.Serve(t, listen(t, endpoint, 0), tls.RequireAndVerifyClientCert, func(http.ResponseWriter, *http.Request) {})
	c := client(t)
	good, goodKey := ca.Issue(t, "a")
	bad, badKey := egresstest.NewAuthority(t).Issue(t, "a")
	for name, id := range map[string]*egress.Identity{"": identity(t, "", good, goodKey, ca.PEM), "none": identity(t, "", "", "", ca.PEM), "of another authority": identity(t, "", bad, badKey, ca.PEM)} {
		r := post(s.URL, "x")
		r.Identity = id
		_, err := c.Do(t.Context(), r)
		if name == "" {
			wantKind(t, "the right one", err, "")
			continue
		}
		wantKind(t, name, err, egress.TLS)
	}
	// The guard holds for them as for all.
	hits := trap(t, "127.0.0.3", 0)
	r := post(strings.Replace(s.URL, endpoint, "127.0.0.3", 1), "x")
	r.Identity = identity(t, "", good, goodKey, ca.PEM)
	_, err := c.Do(t.Context(), r)
	if wantKind(t, "a forbidden address", err, egress.NotAllowed); hits.Load() != 0 {
		t.Error("it was connected to")
	}
}

func TestIdentitiesAreChecked(t *testing.T) {
	t.Parallel()
	ca := egresstest.NewAuthority(t)
	certificate, key := ca.Issue(t, "a")
	_, otherKey := ca.Issue(t, "b")
	for name, c := range map[string][3]string{
		"nothing":             {},
		"no key":              {certificate, "", ""},
		"no certificate":      {"", key, ""},
		"another key":         {certificate, otherKey, ""},
		"no PEM":              {"certificate", key, ""},
		"a key in it":         {certificate + key, key, ""},
		"a damaged key in it": {strings.Replace(key, "\n", "!\n", 3) + certificate, key, ""},
		"no PEM of authority": {"", "", "authority"},
		"a key as authority":  {"", "", key},
		"a damaged one":       {"", "", strings.Replace(ca.PEM, "M", "N", 3)},
		"too many":            {"", "", strings.Repeat(ca.PEM, 11)},
		"too large":           {"", "", ca.PEM + strings.Repeat("\n", egress.MaxAuthorities)},
		"too large a key":     {certificate, key + strings.Repeat("\n", egress.MaxKey), ""},
	} {
		_, err := egress.NewIdentity("", c[0], c[1], c[2])
		wantKind(t, name, err, egress.Invalid)
		if err != nil && (strings.Contains(err.Error(), "BEGIN") || strings.Contains(err.Error(), "MI")) {
			t.Errorf("%s: the error repeats what was given: %v", name, err)
		}
	}
	identity(t, "", certificate+ca.PEM, key, "")
	if begins, expires := egress.Lifetime(certificate + ca.PEM); time.Until(expires) > time.Hour || time.Since(begins) < time.Minute {
		t.Errorf("it is valid from %v to %v", begins, expires)
	}
}

// Many identities leave neither connections nor goroutines behind.
func TestIdentitiesStayBounded(t *testing.T) {
	ca := egresstest.NewAuthority(t)
	s := ca.Serve(t, listen(t, endpoint, 0), tls.NoClientCert, func(http.ResponseWriter, *http.Request) {})
	c := client(t)
	use := func(from, to int) {
		for i := from; i < to; i++ {
			r := post(s.URL, "x")
			r.Identity = identity(t, fmt.Sprint("tenant", i), "", "", ca.PEM)
			if _, err := c.Do(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	use(0, 10)
	c.Close()
	before := runtime.NumGoroutine()
	use(10, 2*egress.MaxIdentities+10)
	if n := c.Identities(); n != egress.MaxIdentities {
		t.Errorf("%d identities are remembered, want %d", n, egress.MaxIdentities)
	}
	c.Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // connections end in the background
		if now := runtime.NumGoroutine(); now <= before+4 {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before %d identities, %d after them", before, 2*egress.MaxIdentities, now)
		}
	}
}
