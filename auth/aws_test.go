package auth_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
)

// signer looks for a pair, and fails unless the answer is want, nil for success.
func (w *world) signer(t *testing.T, when, id string, want error) auth.Signer {
	t.Helper()
	s, err := w.auth.AccessKey(t.Context(), id)
	if !errors.Is(err, want) {
		t.Errorf("%s: AccessKey gives %v, want %v", when, err, want)
	}
	return s
}

func TestAKeyMayComeWithAnAWSPair(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		made := w.create(t, auth.NewKey{Name: "sdk", Scopes: []string{"messages:*"}, Queues: []string{"orders-*"}, AllowedIPs: []string{home}, AWS: true})
		if !regexp.MustCompile(`^SLAK[A-Z2-7]{16}$`).MatchString(made.AWSAccessKeyID) || !regexp.MustCompile(`^[0-9A-Za-z]{40}$`).MatchString(made.AWSSecret.Reveal()) {
			t.Errorf("the pair is %q and a secret of %d characters", made.AWSAccessKeyID, len(made.AWSSecret.Reveal()))
		}
		for _, s := range []*world{w, w.another()} {
			got := s.signer(t, "of the key", made.AWSAccessKeyID, nil)
			if got.Secret != made.AWSSecret {
				t.Error("the secret is another one")
			}
			p, err := got.Admit(home)
			if diff := cmp.Diff(*s.principal(t, made), p, sameID); diff != "" || err != nil {
				t.Errorf("the pair and the key are not the same caller: %v (-key +pair):\n%s", err, diff)
			}
			if _, err := got.Admit("198.51.100.1"); !errors.Is(err, auth.ErrAddressNotAllowed) {
				t.Errorf("from elsewhere: %v", err)
			}
		}
		if listed, err := w.Get(t.Context(), w.tenant.ID, made.ID); listed.AWSAccessKeyID != made.AWSAccessKeyID || err != nil {
			t.Errorf("listed as %q, %v", listed.AWSAccessKeyID, err)
		}

		// Nothing but its id finds it, and it opens nothing else.
		plain := w.newKey(t)
		if plain.AWSAccessKeyID != "" || plain.AWSSecret != "" {
			t.Error("a key has a pair that nobody asked for")
		}
		for what, id := range map[string]string{"no such id": "SLAKAAAAAAAAAAAAAAAA", "a key": made.Secret.Reveal(), "nothing": "", "short": made.AWSAccessKeyID[:19],
			"lower case": strings.ToLower(made.AWSAccessKeyID), "AWS's own": "AKIAIOSFODNN7EXAMPLE", "long": made.AWSAccessKeyID + "A"} {
			w.signer(t, what, id, auth.ErrUnauthenticated)
		}
		w.checkAuth(t, "the access key id as a key", made.AWSAccessKeyID, auth.ErrUnauthenticated)
		w.checkAuth(t, "the secret as a key", made.AWSSecret.Reveal(), auth.ErrUnauthenticated)
		if _, err := w.CreateOperatorKey(t.Context(), auth.NewKey{AWS: true}); errs.KindOf(err) != errs.Invalid {
			t.Errorf("an operator's pair: %v", err)
		}
	})
}

func TestAWarmPairCostsNoCallToRedis(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	made := w.create(t, auth.NewKey{AWS: true})
	w.signer(t, "cold", made.AWSAccessKeyID, nil)
	before := w.calls()
	for range 100 {
		if _, err := w.signer(t, "warm", made.AWSAccessKeyID, nil).Admit(home); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.calls() - before; n != 0 {
		t.Errorf("%d calls, want none", n)
	}
	// The use of a pair is a use of its key.
	w.clock.Advance(time.Second)
	_, _ = w.signer(t, "warm", made.AWSAccessKeyID, nil).Admit(home)
	w.auth.NoteUses(t.Context())
	if k, err := w.Get(t.Context(), w.tenant.ID, made.ID); err != nil || !k.LastUsedAt.Equal(w.clock.Now()) {
		t.Errorf("last used %s, %v", k.LastUsedAt, err)
	}
}

func TestG20_AnAWSPairEndsWithItsKey(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		for how, end := range map[string]func(auth.Created) error{
			"revoked": func(k auth.Created) error { return w.Revoke(t.Context(), w.tenant.ID, k.ID) },
			"all revoked": func(auth.Created) error {
				return w.RevokeAll(t.Context(), w.tenant.ID)
			},
			"rotated": func(k auth.Created) error {
				next, err := w.Rotate(t.Context(), w.tenant.ID, k.ID, auth.Rotation{})
				if err != nil {
					return err
				}
				if next.AWSAccessKeyID == "" || next.AWSAccessKeyID == k.AWSAccessKeyID || next.AWSSecret == k.AWSSecret {
					t.Errorf("the successor's pair is %q", next.AWSAccessKeyID)
				}
				if s := w.signer(t, "the successor", next.AWSAccessKeyID, nil); s.Secret != next.AWSSecret {
					t.Error("the successor's secret is another one")
				}
				return nil
			},
		} {
			made := w.create(t, auth.NewKey{AWS: true})
			other := w.another()
			over := func(s *world) bool {
				k, err := s.auth.AccessKey(t.Context(), made.AWSAccessKeyID)
				if err == nil {
					_, err = k.Admit(home)
				}
				return errs.KindOf(err) == errs.Unauthenticated
			}
			if over(w) || over(other) {
				t.Fatalf("%s: the pair does not work before", how)
			}
			if err := end(made); err != nil {
				t.Fatal(err)
			}
			if !over(w) {
				t.Errorf("%s: the pair goes on, on the server that ended it", how)
			}
			for begin := w.clock.Now(); !over(other); w.clock.Advance(100 * time.Millisecond) {
				if w.clock.Now().Sub(begin) > 4*time.Second {
					t.Fatalf("%s: the pair goes on for more than 4 s on another server", how)
				}
			}
			d, _ := w.Digest(made.AWSAccessKeyID)
			if text := w.redis.HGet(t.Context(), engine.SystemKey("keys"), d).Val(); how != "rotated" && text != "" {
				t.Errorf("%s: Redis still holds %s", how, text)
			}
		}
	})
}

// A rotation with a grace leaves both pairs working until it is over.
func TestAnAWSPairHasTheGraceOfItsKey(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	made := w.create(t, auth.NewKey{AWS: true})
	if _, err := w.Rotate(t.Context(), w.tenant.ID, made.ID, auth.Rotation{Grace: time.Minute}); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Duration]error{59 * time.Second: nil, time.Minute: auth.ErrKeyExpired} {
		w.clock.Set(start.Add(at))
		if _, err := w.another().signer(t, "in grace", made.AWSAccessKeyID, nil).Admit(home); !errors.Is(err, want) {
			t.Errorf("after %s: got %v, want %v", at, err, want)
		}
	}
}

func TestG30_RedisHoldsNoAWSSecretThatOpensWithoutTheMasterKey(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	a, b := w.create(t, auth.NewKey{AWS: true}), w.create(t, auth.NewKey{AWS: true})
	names, err := w.redis.Keys(t.Context(), "*").Result()
	if err != nil || len(names) == 0 {
		t.Fatalf("keys: %v, %v", names, err)
	}
	for _, name := range names {
		fields, _ := w.redis.HGetAll(t.Context(), name).Result()
		if all := name + fmt.Sprint(fields); strings.Contains(all, a.AWSSecret.Reveal()) || strings.Contains(all, b.AWSSecret.Reveal()) {
			t.Errorf("an AWS secret lies in %s", name)
		}
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if text := fmt.Sprintf(format, a); strings.Contains(text, a.AWSSecret.Reveal()) {
			t.Errorf("%s prints the secret: %s", format, text)
		}
	}
	// A sealed secret under another id, or one that was changed, opens nothing and is no reason to let anybody in.
	records := engine.SystemKey("keys")
	field := func(k auth.Created) string {
		d, _ := w.Digest(k.AWSAccessKeyID)
		return d
	}
	sealed := regexp.MustCompile(`"sealed":"[^"]*"`)
	mine, theirs := w.redis.HGet(t.Context(), records, field(a)).Val(), w.redis.HGet(t.Context(), records, field(b)).Val()
	for what, text := range map[string]string{
		"another's seal": strings.Replace(mine, sealed.FindString(mine), sealed.FindString(theirs), 1),
		"cut short":      strings.Replace(mine, sealed.FindString(mine), `"sealed":"AAAA"`, 1),
		"no base64":      strings.Replace(mine, sealed.FindString(mine), `"sealed":"?"`, 1),
	} {
		w.redis.HSet(t.Context(), records, field(a), text)
		_, err := w.another().auth.AccessKey(context.Background(), a.AWSAccessKeyID)
		if !errors.Is(err, engine.ErrBroken) || strings.Contains(fmt.Sprint(err), "sealed") {
			t.Errorf("%s: got %v, want ErrBroken", what, err)
		}
	}
}
