package webhook_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/topics"
	"github.com/sluicemq/sluice/topics/webhook"
)

// verifiedBy reports whether one of a request's signatures is that of the pair with a public key, as whoever has no more than that finds out.
func verifiedBy(t *testing.T, public string, r received) bool {
	t.Helper()
	text, ok := strings.CutPrefix(public, "whpk_")
	raw, err := base64.StdEncoding.DecodeString(text)
	if must(t, err); !ok || len(raw) != ed25519.PublicKeySize {
		t.Fatalf("the public key is %q", public)
	}
	signed := r.header.Get("Webhook-Id") + "." + r.header.Get("Webhook-Timestamp") + "." + r.body
	for _, one := range strings.Fields(r.header.Get("Webhook-Signature")) {
		if text, ok := strings.CutPrefix(one, "v1a,"); ok {
			signature, err := base64.StdEncoding.DecodeString(text)
			must(t, err)
			if ed25519.Verify(raw, []byte(signed), signature) {
				return true
			}
		}
	}
	return false
}

// A secret is replaced by a pair of keys, and that by a secret again: both sign for a while, each on whichever server, and afterwards one alone.
func TestAPairOfKeysSigns(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, "", topics.Settings{})
		rc := newReceiver(t, nil)
		way := w.hook(t, tp, "a", webhook.Endpoint{URL: rc.URL})
		old, err := w.Secrets(t.Context(), way)
		must(t, err)
		if old[0].Type != webhook.HMAC || old[0].PublicKey != "" {
			t.Errorf("at first there is %+v", old[0])
		}
		pair, err := w.Rotate(t.Context(), way, webhook.Given{Type: webhook.Ed25519}, time.Hour)
		must(t, err)
		if len(pair) != 2 || pair[0].Type != webhook.Ed25519 || !strings.HasPrefix(pair[0].Secret, "whsk_") || pair[1].Secret != old[0].Secret {
			t.Fatalf("the rotation: %+v", pair)
		}
		last := func(n int) received {
			t.Helper()
			w.publish(t, tp, "x\n\xff")
			rc.comes(t, n)
			w.reaches(t, way, "it is noted", func(s webhook.Status) bool { return s.Pending == 0 })
			return rc.got()[n-1]
		}
		if r := last(1); !verifiedBy(t, pair[0].PublicKey, r) || !verified(t, old[0].Secret, r) {
			t.Errorf("while both sign: %v", r.header)
		}
		w.clock.Advance(2 * time.Hour)
		if r := last(2); !verifiedBy(t, pair[0].PublicKey, r) || strings.Contains(r.header.Get("Webhook-Signature"), "v1,") {
			t.Errorf("the pair alone: %v", r.header)
		}
		other := w.another(t)
		got, err := other.Secrets(t.Context(), way)
		if must(t, err); !cmp.Equal(pair[:1], got) {
			t.Errorf("another server has %+v, want %+v", got, pair[:1])
		}
		all, err := w.engine.Single().HGetAll(t.Context(), webhook.Keys(way)[1]).Result()
		must(t, err)
		for field, value := range all {
			if strings.Contains(value, strings.TrimPrefix(pair[0].Secret, "whsk_")[:40]) {
				t.Errorf("field %s has the private key", field)
			}
		}
		// What somebody else has made.
		own, err := other.Rotate(t.Context(), way, webhook.Given{Secret: "whsk_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, ed25519.SeedSize))}, 0)
		must(t, err)
		if r := last(3); len(own) != 1 || !verifiedBy(t, own[0].PublicKey, r) || verifiedBy(t, pair[0].PublicKey, r) {
			t.Errorf("one that is given: %+v, %v", own, r.header)
		}
		same, err := w.Rotate(t.Context(), way, webhook.Given{}, 0)
		if must(t, err); same[0].Type != webhook.Ed25519 || same[0].PublicKey == own[0].PublicKey {
			t.Errorf("another one of the same type: %+v", same)
		}
		back, err := w.Rotate(t.Context(), way, webhook.Given{Type: webhook.HMAC}, 0)
		must(t, err)
		if r := last(4); back[0].Type != webhook.HMAC || !verified(t, back[0].Secret, r) || strings.Contains(r.header.Get("Webhook-Signature"), "v1a,") {
			t.Errorf("a secret again: %+v, %v", back, r.header)
		}
	})
}

func TestWhatIsNoKeyIsRefused(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	encoded := func(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	wrong := append(bytes.Clone(private[:ed25519.SeedSize]), bytes.Repeat([]byte{1}, ed25519.PublicKeySize)...)
	for _, g := range []webhook.Given{
		{Secret: "whsk_"}, {Secret: "whsk_x"}, {Secret: "whsk_" + encoded(private[:31])}, {Secret: "whsk_" + encoded(append(bytes.Clone(private), 0))},
		{Secret: "whsk_" + encoded(wrong)}, {Secret: "whpk_" + encoded(private[32:])}, {Secret: encoded(private)},
		{Secret: "whsec_" + encoded(make([]byte, 72))}, {Secret: "whsec_" + encoded(make([]byte, 32)), Type: webhook.Ed25519}, {Secret: "whsk_" + encoded(private), Type: webhook.HMAC},
	} {
		if sealed, err := w.Seal(g); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%+v is %q, %v", g, sealed, err)
		}
	}
	if _, err := w.Seal(webhook.Given{Secret: "whsk_x"}); !errors.Is(err, webhook.ErrSecretInvalid) {
		t.Errorf("got %v", err)
	}
	// A secret that begins as a sealed pair does is none, however long it is.
	lookalike := "whsec_" + encoded(append([]byte("ed25519:"), make([]byte, 56)...))
	for given, want := range map[string]webhook.Secret{
		lookalike: {Secret: lookalike, Type: webhook.HMAC},
		"whsk_" + encoded(private[:ed25519.SeedSize]): {Secret: "whsk_" + encoded(private), Type: webhook.Ed25519, PublicKey: "whpk_" + encoded(private[32:])},
		"whsk_" + encoded(private):                    {Secret: "whsk_" + encoded(private), Type: webhook.Ed25519, PublicKey: "whpk_" + encoded(private[32:])},
	} {
		sealed, err := w.Seal(webhook.Given{Secret: given})
		must(t, err)
		if got, err := w.Unseal(sealed); err != nil || got != want {
			t.Errorf("%s is %+v, %v", given, got, err)
		}
	}
	if sealed, err := w.Seal(webhook.Given{}); err != nil || sealed != "" {
		t.Errorf("nothing is sealed as %q, %v", sealed, err)
	}
}
