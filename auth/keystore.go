package auth

import (
	"cmp"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/tenants"
)

const (
	// MaxKeys bounds the keys of a tenant, and those of all operators.
	MaxKeys = 1000
	// MaxKeyName bounds the name of a key, in bytes.
	MaxKeyName = 128
	// MaxScopes bounds the scopes of a key.
	MaxScopes = 50
	// MaxGrace bounds how long a key that was rotated may go on.
	MaxGrace = 30 * 24 * time.Hour

	// maxLookup and maxDrop bound the keys of one script.
	maxLookup = 500
	maxDrop   = 100

	pepperPurpose = "api-key-pepper"
)

// KeyStore keeps the API keys of an installation.
//
// A tenant's key lies in two slots: it is noted in the tenant's index, then its record makes it work, then that is
// noted too. Its end goes the other way round. So a key that works and that anybody was given is in the index, and a
// creation that died leaves at most a note without a record, which nobody sees and which goes when room is needed.
type KeyStore struct {
	engine  *engine.Engine
	tenants *tenants.Store
	clock   clock.Clock
	hasher  *hasher
	ring    *keyring.Keyring
	sealer  cipher.AEAD // of the secrets of AWS pairs
	// step is called between the steps of a creation; an error ends it there. Only tests set it.
	step func(done string) error

	mu      sync.Mutex
	dropped []func([]digest)
}

// NewKeyStore returns the store of the keys behind e. It has all keys of a tenant revoked when store deletes it.
func NewKeyStore(e *engine.Engine, ring *keyring.Keyring, store *tenants.Store, c clock.Clock) *KeyStore {
	k := &KeyStore{engine: e, tenants: store, clock: c, hasher: newHasher(ring.Derive(pepperPurpose)), sealer: newSealer(ring, awsPurpose), ring: ring,
		step: func(string) error { return nil }}
	store.OnDelete(k.RevokeAll)
	store.OnDelete(k.EndPortalLinks) // before the sessions, which could be opened with them
	store.OnDelete(k.endSessionsOf)
	store.OnDelete(k.forgetSignatures)
	return k
}

// NewKey is what a caller may say of a new key.
type NewKey struct {
	// Name is for people, at most 128 bytes. Default none.
	Name string
	// Scopes are what the key may do: scopes, wildcards and roles, at most 50. Default: what By may do, and all, "*",
	// without it.
	Scopes []string
	// Queues are the queues to which it may do so, as patterns of names; at most 50. Not for operators' keys. Default:
	// those of By, and all without it.
	Queues []string
	// AllowedIPs are the addresses and networks from which it may be used, at most 50. Default: those of By, and all
	// without it.
	AllowedIPs []string
	// ExpiresAt is when the key stops working. Default: when By does, and never without it.
	ExpiresAt time.Time
	// AWS asks for an AWS pair beside the key. Not for operators' keys.
	AWS bool
	// By is who asks for the key; nil: the installation itself. A key may no more than that: what goes beyond is
	// ErrPermissionDenied.
	By *Principal
}

// Key is what anybody may know of a key.
type Key struct {
	ID         string
	Name       string
	Kind       Kind
	Scopes     []string
	Queues     []string // none: all
	AllowedIPs []string // none: all
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	LastUsedAt time.Time // up to a minute behind; zero: never, as far as anybody knows
	LastUsedIP string    // "": not known
	ReplacedBy string    // id of the key that has its place since it was rotated, or ""
	// AWSAccessKeyID is the id of its AWS pair, or "".
	AWSAccessKeyID string
}

// Created is a new key together with its text, which is shown this once and kept nowhere.
type Created struct {
	Key
	Secret Secret
	// AWSSecret is that of the AWS pair, "" without one.
	AWSSecret Secret
}

// record is what Redis holds under the digest of a key, of the id of its AWS pair, of a session, a portal link, a member or an
// invitation.
// Lua reads id, file, revoked_at and alias.
type record struct {
	ID         string         `json:"id"`
	Name       string         `json:"name,omitempty"`
	Kind       Kind           `json:"kind,omitempty"`
	Tenant     string         `json:"tenant,omitempty"`
	TenantName string         `json:"tenant_name,omitempty"`
	Scopes     []string       `json:"scopes,omitempty"`
	Queues     []string       `json:"queues,omitempty"`
	AllowedIPs []string       `json:"allowed_ips,omitempty"`
	ReplacedBy string         `json:"replaced_by,omitempty"`
	CreatedAt  int64          `json:"created_at,omitempty"` // milliseconds since 1970, as all times here
	ExpiresAt  int64          `json:"expires_at,omitempty"`
	File       bool           `json:"file,omitempty"`   // it lies in a file of a server
	AWSID      string         `json:"aws_id,omitempty"` // access key id of the AWS pair
	Alias      string         `json:"alias,omitempty"`  // of a key: digest of the record of its pair
	Of         string         `json:"of,omitempty"`     // of a pair or a session: digest of its key
	Sealed     string         `json:"sealed,omitempty"` // of a pair: its secret
	RevokedAt  int64          `json:"revoked_at,omitempty"`
	Session    *sessionRecord `json:"session,omitempty"` // of a session; of is then the digest of its owner, and its own when it has none
	Until      int64          `json:"until,omitempty"`   // of a portal link: when a session ends that is opened with it, at the latest
	Member     *memberRecord  `json:"member,omitempty"`  // of a member; scopes is then one role
}

func parseRecord(text string) (record, error) {
	var r record
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return r, engine.ErrBroken.Because(fmt.Errorf("record of a key is damaged: %w", err))
	}
	return r, nil
}

func (r record) key() Key {
	return Key{ID: r.ID, Name: r.Name, Kind: r.Kind, Scopes: r.Scopes, Queues: r.Queues, AllowedIPs: r.AllowedIPs,
		CreatedAt: time.UnixMilli(r.CreatedAt).UTC(), ExpiresAt: instant(r.ExpiresAt), ReplacedBy: r.ReplacedBy, AWSAccessKeyID: r.AWSID}
}

// instant returns a time of a record, and the zero time for 0.
func instant(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}

// grants returns what a record allows.
func (r record) grants() (*Grants, error) {
	from, err := parseAddresses(r.AllowedIPs)
	if err != nil {
		return nil, engine.ErrBroken.Because(fmt.Errorf("record of %s is damaged: %w", r.ID, err))
	}
	return &Grants{Scopes: r.Scopes, Queues: r.Queues, Addresses: from, ExpiresAt: instant(r.ExpiresAt),
		allowed: parseScopes(r.Scopes) & ofKind[r.Kind]}, nil
}

// CreateTenantKey makes a key that acts for a tenant. A tenant has at most 1,000: one more is ErrTooManyKeys.
func (k *KeyStore) CreateTenantKey(ctx context.Context, t tenants.ID, n NewKey) (Created, error) {
	r, err := k.describe(KindTenant, n)
	if err != nil {
		return Created{}, err
	}
	text := newKey(KindTenant)
	made := Created{Secret: text}
	p := k.addPair(&r, n.AWS, &made)
	r, err = k.addTenantKey(ctx, t, text, r, func(ctx context.Context, t tenants.ID, d digest, r record) (record, error) {
		more, err := k.with(p, d, r)
		if err != nil {
			return record{}, err
		}
		return k.register(ctx, registerScript, []string{recordsKey, tenantIDsKey}, d, r, append([]any{t.String(), newMark()}, more...)...)
	})
	if err != nil {
		return Created{}, err
	}
	made.Key = r.key()
	return made, nil
}

// CreateOperatorKey makes an operator's key. There are at most 1,000: one more is ErrTooManyKeys.
func (k *KeyStore) CreateOperatorKey(ctx context.Context, n NewKey) (Created, error) {
	r, err := k.describe(KindOperator, n)
	if err != nil {
		return Created{}, err
	}
	text := newKey(KindOperator)
	r, err = k.addOperatorKey(ctx, text, r)
	if err != nil {
		return Created{}, err
	}
	return Created{Key: r.key(), Secret: text}, nil
}

// describe checks what a caller says of a key.
func (k *KeyStore) describe(kind Kind, n NewKey) (record, error) {
	now := k.clock.Now()
	switch {
	case len(n.Name) > MaxKeyName || !utf8.ValidString(n.Name) || strings.ContainsFunc(n.Name, unicode.IsControl):
		return record{}, errs.Invalidf("/name", "a key's name has at most %d bytes of UTF-8 without control characters", MaxKeyName)
	case !n.ExpiresAt.IsZero() && !n.ExpiresAt.After(now):
		return record{}, errs.Invalidf("/expires_at", "must lie in the future")
	case n.ExpiresAt.Year() > 9999:
		return record{}, errs.Invalidf("/expires_at", "must lie before the year 10000")
	case kind == KindOperator && n.AWS:
		return record{}, errs.Invalidf("/aws", "is not for operators' keys")
	case kind == KindOperator && len(n.Queues) > 0:
		return record{}, errs.Invalidf("/queues", "is not for operators' keys")
	}
	if err := checkScopes(kind, n.Scopes); err != nil {
		return record{}, err
	}
	if err := checkQueues(n.Queues); err != nil {
		return record{}, err
	}
	if _, err := parseAddresses(n.AllowedIPs); err != nil {
		return record{}, err
	}
	if err := n.By.bound(kind, &n); err != nil {
		return record{}, err
	}
	from, err := parseAddresses(n.AllowedIPs)
	if err != nil {
		return record{}, err
	}
	r := record{Name: n.Name, Kind: kind, Scopes: slices.Clone(n.Scopes), Queues: slices.Clone(n.Queues), AllowedIPs: prefixTexts(from),
		CreatedAt: now.UnixMilli()}
	if len(r.Scopes) == 0 {
		r.Scopes = []string{everything}
	}
	if !n.ExpiresAt.IsZero() {
		r.ExpiresAt = n.ExpiresAt.UnixMilli()
	}
	return r, nil
}

// registering stores the record of a tenant's key, and returns what lies there now.
type registering func(ctx context.Context, t tenants.ID, d digest, r record) (record, error)

func (k *KeyStore) registerTenantKey(ctx context.Context, t tenants.ID, d digest, r record) (record, error) {
	return k.register(ctx, registerScript, []string{recordsKey, tenantIDsKey}, d, r, t.String(), newMark())
}

// addPair makes an AWS pair for a new key, if it shall have one, and notes it in both.
func (k *KeyStore) addPair(r *record, wanted bool, made *Created) *pair {
	if !wanted {
		return nil
	}
	p := newPair()
	r.AWSID, r.Alias, made.AWSSecret = p.id, k.hasher.digest(p.id).String(), p.secret
	return p
}

// addTenantKey makes text a key of a tenant, and returns its record: the existing one where it has been one before.
func (k *KeyStore) addTenantKey(ctx context.Context, t tenants.ID, text Secret, r record, register registering) (record, error) {
	d := k.hasher.digest(string(text))
	r.ID, r.Tenant = d.keyID(), t.String()
	name, err := k.index(ctx, t, d, false)
	if errors.Is(err, ErrTooManyKeys) {
		if err := k.prune(ctx, t); err != nil {
			return record{}, err
		}
		name, err = k.index(ctx, t, d, false)
	}
	if err != nil {
		return record{}, err
	}
	if err := k.step("indexed"); err != nil {
		return record{}, err
	}
	r.TenantName = name
	got, err := register(ctx, t, d, r)
	if err != nil {
		return record{}, err
	}
	if err := k.step("registered"); err != nil {
		return record{}, err
	}
	// Others may have revoked all keys, or made room, while this one was only noted: then it is noted anew.
	_, err = k.index(ctx, t, d, true)
	if errors.Is(err, ErrTooManyKeys) || errors.Is(err, tenants.ErrNotFound) {
		err = errors.Join(err, k.drop(ctx, []digest{d}))
	}
	if err != nil {
		return record{}, err
	}
	return got, nil
}

// addOperatorKey makes text an operator's key, and returns its record: the existing one where it has been one before.
func (k *KeyStore) addOperatorKey(ctx context.Context, text Secret, r record) (record, error) {
	d := k.hasher.digest(string(text))
	r.ID = d.keyID()
	return k.register(ctx, registerOperatorScript, []string{recordsKey, operatorsKey}, d, r, r.ID, newMark(), MaxKeys)
}

// index notes a key, or that it works, in its tenant's index. It returns the tenant's name.
func (k *KeyStore) index(ctx context.Context, t tenants.ID, d digest, works bool) (string, error) {
	terms, err := k.tenants.Terms(ctx, t)
	if err != nil {
		return "", err
	}
	most := terms.Limits[tenants.LimitKeys]
	got, err := k.run(ctx, indexScript, []string{tenantKey(t), indexKey(t)}, d.keyID(), d.String(), flag(works), most)
	switch {
	case err != nil:
		return "", err
	case got[0] == "gone":
		return "", tenants.ErrNotFound
	case got[0] == "full":
		return "", tenants.LimitKeys.Reached(ErrTooManyKeys, most, most)
	default:
		return got[1], nil
	}
}

// register stores a record and returns what lies under its digest now.
func (k *KeyStore) register(ctx context.Context, script *engine.Script, keys []string, d digest, r record, more ...any) (record, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return record{}, err
	}
	got, err := k.run(ctx, script, keys, append([]any{d.String(), string(text)}, more...)...)
	switch {
	case err != nil:
		return record{}, err
	case got[0] == "gone":
		return record{}, tenants.ErrNotFound
	case got[0] == "full":
		return record{}, ErrTooManyKeys
	default:
		return parseRecord(got[0])
	}
}

// List returns the keys of a tenant, oldest first. Expired ones are there until they are revoked.
func (k *KeyStore) List(ctx context.Context, t tenants.ID) ([]Key, error) {
	return k.list(ctx, indexKey(t))
}

// ListOperatorKeys returns the keys of all operators, oldest first.
func (k *KeyStore) ListOperatorKeys(ctx context.Context) ([]Key, error) {
	return k.list(ctx, operatorsKey)
}

func (k *KeyStore) list(ctx context.Context, index string) ([]Key, error) {
	notes, err := k.notes(ctx, index)
	if err != nil {
		return nil, err
	}
	keys := make([]Key, 0, len(notes))
	for part := range slices.Chunk(notes, maxLookup) {
		some, err := k.describeAll(ctx, part)
		if err != nil {
			return nil, err
		}
		keys = append(keys, some...)
	}
	slices.SortFunc(keys, func(a, b Key) int { return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID)) })
	return keys, nil
}

// describeAll returns the keys behind notes, without those that are being made or were revoked.
func (k *KeyStore) describeAll(ctx context.Context, notes []note) ([]Key, error) {
	found, err := k.lookup(ctx, digests(notes))
	if err != nil {
		return nil, err
	}
	uses, err := k.uses(ctx, digests(notes))
	if err != nil {
		return nil, err
	}
	var keys []Key
	for i, text := range found.records {
		if text == "" {
			continue
		}
		r, err := parseRecord(text)
		if err != nil {
			return nil, err
		}
		if r.RevokedAt != 0 {
			continue
		}
		key := r.key()
		key.LastUsedAt, key.LastUsedIP = instant(uses[i].millis), uses[i].address
		keys = append(keys, key)
	}
	return keys, nil
}

// Get returns a key of a tenant.
func (k *KeyStore) Get(ctx context.Context, t tenants.ID, keyID string) (Key, error) {
	n, err := k.find(ctx, indexKey(t), keyID)
	if err != nil {
		return Key{}, err
	}
	keys, err := k.describeAll(ctx, []note{n})
	if err != nil {
		return Key{}, err
	}
	if len(keys) == 0 {
		return Key{}, ErrKeyNotFound
	}
	return keys[0], nil
}

// find returns the note of a key in an index.
func (k *KeyStore) find(ctx context.Context, index, keyID string) (note, error) {
	got, err := k.run(ctx, findScript, []string{index}, keyID)
	switch {
	case err != nil:
		return note{}, err
	case got[0] == "":
		return note{}, ErrKeyNotFound
	}
	return parseNote(keyID, got[0])
}

// note is what an index says of a key.
type note struct {
	digest digest
	works  bool // it has come to work; otherwise it may be on the way there, or its maker died
}

func digests(notes []note) []digest {
	list := make([]digest, len(notes))
	for i, n := range notes {
		list[i] = n.digest
	}
	return list
}

func (k *KeyStore) notes(ctx context.Context, index string) ([]note, error) {
	got, err := k.run(ctx, listScript, []string{index})
	if err != nil {
		return nil, err
	}
	notes := make([]note, 0, len(got)/2)
	for i := 0; i+1 < len(got); i += 2 {
		n, err := parseNote(got[i], got[i+1])
		if err != nil {
			return nil, err
		}
		notes = append(notes, n)
	}
	return notes, nil
}

func parseNote(keyID, text string) (note, error) {
	text, early := strings.CutPrefix(text, "?")
	d, ok := parseDigest(text)
	if !ok {
		return note{}, engine.ErrBroken.Because(fmt.Errorf("index of keys is damaged at %q", keyID))
	}
	return note{digest: d, works: !early}, nil
}

// looked is what one look at the records of keys shows, all at the same instant.
type looked struct {
	now     int64    // by the clock of Redis, in milliseconds since 1970
	mark    string   // changes with every change of any record; "" while there are none
	records []string // "" for none
}

func (k *KeyStore) lookup(ctx context.Context, digests []digest) (looked, error) {
	args := make([]any, len(digests))
	for i, d := range digests {
		args[i] = d.String()
	}
	got, err := k.run(ctx, lookupScript, []string{recordsKey}, args...)
	if err != nil {
		return looked{}, err
	}
	var found looked
	if found.now, err = strconv.ParseInt(got[0], 10, 64); err != nil || len(got) != 2+len(digests) {
		return looked{}, engine.ErrBroken.Because(fmt.Errorf("%s: unexpected answer of %d values", lookupScript.Name, len(got)))
	}
	found.mark, found.records = got[1], got[2:]
	return found, nil
}

// Revoke ends a key of a tenant: at once on this server, within 5 s on all others.
func (k *KeyStore) Revoke(ctx context.Context, t tenants.ID, keyID string) error {
	return k.revoke(ctx, indexKey(t), keyID)
}

// RevokeOperatorKey ends an operator's key: at once on this server, within 5 s on all others.
func (k *KeyStore) RevokeOperatorKey(ctx context.Context, keyID string) error {
	return k.revoke(ctx, operatorsKey, keyID)
}

func (k *KeyStore) revoke(ctx context.Context, index, keyID string) error {
	n, err := k.find(ctx, index, keyID)
	if err != nil {
		return err
	}
	return k.end(ctx, index, []note{n})
}

// RevokeAll ends all keys of a tenant.
func (k *KeyStore) RevokeAll(ctx context.Context, t tenants.ID) error {
	notes, err := k.notes(ctx, indexKey(t))
	if err != nil {
		return err
	}
	return k.end(ctx, indexKey(t), notes)
}

// end makes keys useless and then forgets them, so that one whose end died in between is still found. A key that comes
// to work after the first step keeps its note: it was made after the others were ended.
func (k *KeyStore) end(ctx context.Context, index string, notes []note) error {
	for part := range slices.Chunk(notes, maxDrop) {
		if err := k.drop(ctx, digests(part)); err != nil {
			return err
		}
		if err := k.step("dropped"); err != nil {
			return err
		}
		if err := k.unindex(ctx, index, part); err != nil {
			return err
		}
	}
	return nil
}

// prune makes room among the keys of a tenant: it forgets those that never came to work, and ends those that were rotated
// and have expired. One that is being made right now is noted anew by its maker.
func (k *KeyStore) prune(ctx context.Context, t tenants.ID) error {
	notes, err := k.notes(ctx, indexKey(t))
	if err != nil {
		return err
	}
	for part := range slices.Chunk(notes, maxDrop) {
		found, err := k.lookup(ctx, digests(part))
		if err != nil {
			return err
		}
		var dead, over []note
		for i, text := range found.records {
			if text == "" {
				dead = append(dead, part[i])
				continue
			}
			if r, err := parseRecord(text); err == nil && r.ReplacedBy != "" && r.ExpiresAt <= found.now {
				over = append(over, part[i])
			}
		}
		if len(over) > 0 {
			if err := k.end(ctx, indexKey(t), over); err != nil {
				return err
			}
		}
		if len(dead) == 0 {
			continue
		}
		if err := k.unindex(ctx, indexKey(t), dead); err != nil {
			return err
		}
	}
	return nil
}

// drop makes keys useless.
func (k *KeyStore) drop(ctx context.Context, digests []digest) error {
	args := []any{newMark()}
	for _, d := range digests {
		args = append(args, d.String())
	}
	if _, err := k.run(ctx, dropScript, []string{recordsKey, usesKey}, args...); err != nil {
		return err
	}
	k.tell(digests)
	return nil
}

// tell has this server forget what it knows of keys.
func (k *KeyStore) tell(digests []digest) {
	k.mu.Lock()
	told := slices.Clone(k.dropped)
	k.mu.Unlock()
	for _, f := range told {
		f(digests)
	}
}

// unindex forgets keys, unless one has come to work since its note was read.
func (k *KeyStore) unindex(ctx context.Context, index string, notes []note) error {
	args := make([]any, len(notes))
	for i, n := range notes {
		if id := n.digest.keyID(); n.works {
			args[i] = id
		} else {
			args[i] = "?" + id
		}
	}
	_, err := k.run(ctx, unindexScript, []string{index}, args...)
	return err
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// onDrop has f told of keys that this server has ended or changed.
func (k *KeyStore) onDrop(f func([]digest)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dropped = append(k.dropped, f)
}

// newMark returns a mark that the records never had, even after Redis went back to an older state.
func newMark() string { return rand.Text() }
