package tenants

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
)

const (
	// MaxPage bounds List; defaultPage is how many it returns when nobody says.
	MaxPage     = 500
	defaultPage = 50

	// maxRounds bounds how often one Put or Delete starts anew because others changed the same tenant meanwhile.
	maxRounds = 8
	// maxReads bounds the records that one List reads at the same time.
	maxReads = 16
)

// Store keeps the tenants of an installation in Redis.
type Store struct {
	engine *engine.Engine
	terms  *termsCache
	// accounts are ids of tenants by their account numbers.
	accounts sync.Map
	// step is called between the steps of a creation or deletion; an error ends it there. Only tests set it.
	step func(done string) error

	mu       sync.Mutex
	onDelete []func(context.Context, ID) error
	onErase  []func(context.Context, ID, int) (int64, error)
}

// New returns the store of the tenants behind e. All times are those of Redis; the clock is for what a server counts
// by itself.
func New(e *engine.Engine, c clock.Clock) *Store {
	return &Store{engine: e, terms: newTermsCache(c), step: func(string) error { return nil }}
}

// errAgain says that others changed the tenant, so that the caller starts anew.
var errAgain = errors.New("start again")

// Put creates the tenant name or replaces its settings, and reports whether it created it. Settings that are as they
// were leave UpdatedAt and ETag as they are.
func (s *Store) Put(ctx context.Context, name string, set Settings, cond Condition) (Tenant, bool, error) {
	if err := checkName(name); err != nil {
		return Tenant{}, false, err
	}
	if err := checkAccount(name, set.AccountNumber); err != nil {
		return Tenant{}, false, err
	}
	labels, rest, err := set.encode()
	if err != nil {
		return Tenant{}, false, err
	}
	for range maxRounds {
		want := entry{name: name, id: newID(), account: set.AccountNumber, etag: newETag(), labels: labels, more: rest, plan: set.Plan}
		if want.account == "" {
			want.account = newAccount(name)
		}
		t, created, err := s.put(ctx, want, set.AccountNumber, cond)
		if !errors.Is(err, errAgain) {
			return t, created, err
		}
	}
	return Tenant{}, false, errBusy
}

// put is one round of Put: it may end in errAgain. account is the one that the caller asked for, or "".
func (s *Store) put(ctx context.Context, want entry, account string, cond Condition) (Tenant, bool, error) {
	claimed, err := s.claimFor(ctx, want)
	if err != nil {
		return Tenant{}, false, err
	}
	e, err := s.findOrReserve(ctx, want, account, cond)
	if err != nil {
		return Tenant{}, false, err
	}
	if e.etag == want.etag {
		if err := s.step("reserved"); err != nil {
			return Tenant{}, false, err
		}
		t, err := s.load(ctx, e)
		if err != nil {
			return Tenant{}, false, again(err)
		}
		return t, true, nil
	}
	if e.state != entryReady {
		_, err := s.load(ctx, e)
		return Tenant{}, false, again(err)
	}
	if account != "" && account != e.account && cond.IfNoneMatch != "*" { // which is refused in any case
		return Tenant{}, false, ErrAccountFixed
	}
	if want.plan != "" && e.id != claimed {
		return Tenant{}, false, errAgain // others made it just now
	}
	t, err := s.update(ctx, e.id, change{labels: want.labels, more: want.more, suspended: keep}, want.etag, cond)
	if errors.Is(err, errAgain) {
		_, err = s.load(ctx, e)
		return Tenant{}, false, again(err)
	}
	return t, false, err
}

// claimFor claims the plan for the tenant that there is, or else for the one that is about to be made, and returns its id.
func (s *Store) claimFor(ctx context.Context, want entry) (ID, error) {
	if want.plan == "" {
		return ID{}, nil
	}
	e, ok, err := s.find(ctx, want.name, ID{})
	if err != nil {
		return ID{}, err
	}
	if !ok {
		e.id = want.id
	}
	return e.id, s.claim(ctx, want.plan, e.id)
}

// again turns the error of load into errAgain, unless something failed: then starting again would only hide it.
func again(err error) error {
	switch {
	case err == nil:
		return errAgain
	case !errors.Is(err, ErrNotFound):
		return err
	case errors.Unwrap(err) != nil:
		return errors.Unwrap(err)
	default:
		return errAgain
	}
}

// findOrReserve returns the entry of want.name, and makes it unless the condition asks for an existing tenant.
func (s *Store) findOrReserve(ctx context.Context, want entry, account string, cond Condition) (entry, error) {
	if cond.IfMatch != "" {
		e, ok, err := s.find(ctx, want.name, ID{})
		if err == nil && !ok {
			err = ErrPrecondition
		}
		return e, err
	}
	e, taken, err := s.reserve(ctx, want)
	switch {
	case taken == "account_taken" && (account != "" || want.name == Default):
		return entry{}, ErrAccountTaken
	case taken != "":
		return entry{}, errAgain // random digits or letters met others: roll again
	default:
		return e, err
	}
}

// change is what is to become of a record, as JSON. keep leaves a part as it is.
type change struct{ labels, more, suspended string }

const keep = "-"

// update changes a tenant. errAgain says that it has no record, or is being deleted.
func (s *Store) update(ctx context.Context, id ID, to change, etag string, cond Condition) (Tenant, error) {
	got, err := s.run(ctx, updateScript, []string{recordKey(id)}, to.labels, to.more, to.suspended, etag, cond.IfMatch, cond.IfNoneMatch)
	switch {
	case err != nil:
		return Tenant{}, err
	case got[0] == "gone":
		return Tenant{}, errAgain
	case got[0] == "precondition":
		return Tenant{}, ErrPrecondition
	}
	t, err := parseRecord(got[1:], s.terms.clock.Now())
	if err != nil {
		return Tenant{}, err
	}
	return t, s.announce(ctx, t)
}

// Update changes the settings of the tenant name by a function of them, which may be called more than once.
func (s *Store) Update(ctx context.Context, name string, cond Condition, f func(Settings) (Settings, error)) (Tenant, error) {
	return s.amend(ctx, name, cond, func(t Tenant) (change, error) {
		set, err := f(t.settings())
		if err != nil {
			return change{}, err
		}
		if err := checkAccount(name, set.AccountNumber); err != nil {
			return change{}, err
		}
		if set.AccountNumber != "" && set.AccountNumber != t.AccountNumber {
			return change{}, ErrAccountFixed
		}
		labels, rest, err := set.encode()
		if err == nil {
			err = s.claim(ctx, set.Plan, t.ID)
		}
		return change{labels: labels, more: rest, suspended: keep}, err
	})
}

// amend changes an existing tenant by a function of it, which may be called more than once.
func (s *Store) amend(ctx context.Context, name string, cond Condition, f func(Tenant) (change, error)) (Tenant, error) {
	for range maxRounds {
		t, err := s.Get(ctx, name)
		if err != nil {
			return Tenant{}, err
		}
		if !cond.holds(t.ETag) {
			return Tenant{}, ErrPrecondition
		}
		to, err := f(t)
		if err != nil {
			return Tenant{}, err
		}
		got, err := s.update(ctx, t.ID, to, newETag(), Condition{IfMatch: t.ETag})
		if errors.Is(err, ErrPrecondition) || errors.Is(err, errAgain) {
			continue // others were faster
		}
		return got, err
	}
	return Tenant{}, errBusy
}

// holds reports whether a tenant with this ETag satisfies the condition, as lua/lib/record.lua judges it.
func (c Condition) holds(etag string) bool {
	if c.IfMatch != "" && c.IfMatch != "*" && c.IfMatch != etag {
		return false
	}
	return c.IfNoneMatch == "" || c.IfNoneMatch != "*" && c.IfNoneMatch != etag
}

// Get returns the tenant name.
func (s *Store) Get(ctx context.Context, name string) (Tenant, error) {
	if err := checkName(name); err != nil {
		if meant := meantName(name); meant != "" {
			return Tenant{}, ErrNotFound.WithFix("Names of tenants are lower case: did you mean %q?", meant)
		}
		return Tenant{}, ErrNotFound
	}
	e, ok, err := s.find(ctx, name, ID{})
	if err != nil {
		return Tenant{}, err
	}
	if !ok {
		return Tenant{}, ErrNotFound
	}
	return s.load(ctx, e)
}

// ByID returns the tenant with an id.
func (s *Store) ByID(ctx context.Context, id ID) (Tenant, error) {
	e, ok, err := s.find(ctx, "", id)
	if err != nil {
		return Tenant{}, err
	}
	if !ok || e.id != id {
		return Tenant{}, ErrNotFound
	}
	return s.load(ctx, e)
}

// ByAccount returns the id of the tenant with an account number. Which tenant that is never changes, so a server asks once for
// each that there is; whether the tenant may act is another question, see Terms.
func (s *Store) ByAccount(ctx context.Context, account string) (ID, error) {
	if id, ok := s.accounts.Load(account); ok {
		return id.(ID), nil
	}
	got, err := s.run(ctx, accountScript, []string{accountsKey}, account)
	if err != nil {
		return ID{}, err
	}
	if len(got) == 0 {
		return ID{}, ErrNotFound
	}
	id, ok := ParseID(got[0])
	if !ok {
		return ID{}, engine.ErrBroken.Because(fmt.Errorf("registry of tenants: account %s is damaged", account))
	}
	s.accounts.Store(account, id)
	return id, nil
}

// List returns the tenants whose names begin with prefix, in the order of their names, from the first one behind after
// on: at most limit (0: 50, at most 500). next is the after of the following page, and "" on the last one. A page may
// be short, because tenants that are being deleted are left out.
func (s *Store) List(ctx context.Context, prefix string, limit int, after string) (page []Tenant, next string, err error) {
	if limit == 0 {
		limit = defaultPage
	}
	if limit < 1 || limit > MaxPage {
		return nil, "", &errs.Error{Kind: errs.Invalid, Code: "validation_failed", Message: "limit must be 1 to 500",
			Fields: []errs.Field{{Query: "limit", Code: "out_of_range", Message: "must be 1 to 500"}}}
	}
	entries, next, err := s.entries(ctx, prefix, limit, after)
	if err != nil {
		return nil, "", err
	}
	page, err = s.loadAll(ctx, entries)
	if err != nil {
		return nil, "", err
	}
	return page, next, nil
}

// Ref names a tenant of the registry, whose record was not read.
type Ref struct {
	Name  string
	ID    ID
	entry entry
}

// Refs returns those of all tenants whose names begin with prefix, by name, without those that are being deleted. It costs a call for
// each MaxPage of them.
func (s *Store) Refs(ctx context.Context, prefix string) ([]Ref, error) {
	var all []Ref
	for after := ""; ; {
		entries, next, err := s.entries(ctx, prefix, MaxPage, after)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.state != entryDeleting {
				all = append(all, Ref{e.name, e.id, e})
			}
		}
		if after = next; next == "" {
			return all, nil
		}
	}
}

// Of returns the tenants of some refs, in their order, without those that are gone.
func (s *Store) Of(ctx context.Context, refs []Ref) ([]Tenant, error) {
	entries := make([]entry, len(refs))
	for i, r := range refs {
		entries[i] = r.entry
	}
	return s.loadAll(ctx, entries)
}

// loadAll returns the tenants behind entries, without those that are gone.
func (s *Store) loadAll(ctx context.Context, entries []entry) ([]Tenant, error) {
	found := make([]Tenant, len(entries))
	var group errgroup.Group
	group.SetLimit(maxReads)
	for i, e := range entries {
		group.Go(func() error {
			t, err := s.load(ctx, e)
			if errors.Is(err, ErrLost) {
				t, err = lost(e)
			}
			found[i] = t
			return notFoundAside(err)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(t Tenant) bool { return t.ID.IsZero() }), nil
}

// entries reads one page of the registry.
func (s *Store) entries(ctx context.Context, prefix string, limit int, after string) ([]entry, string, error) {
	from := "[" + prefix
	if after >= prefix && after != "" {
		from = "(" + after
	}
	// Names are ASCII, so 0xff stands behind all that begin with prefix.
	got, err := s.run(ctx, pageScript, []string{entriesKey, namesKey}, from, "["+prefix+"\xff", limit+1)
	if err != nil {
		return nil, "", err
	}
	entries := make([]entry, 0, limit)
	for i := 0; i+1 < len(got); i += 2 {
		if len(entries) == limit {
			return entries, entries[limit-1].name, nil
		}
		e, err := parseEntry(got[i], got[i+1])
		if err != nil {
			return nil, "", err
		}
		entries = append(entries, e)
	}
	return entries, "", nil
}

// load returns the tenant behind an entry. What somebody left half done it finishes first: after a creation the tenant
// is there, and after a deletion it is ErrNotFound, which has a cause when the deletion could not be finished now.
func (s *Store) load(ctx context.Context, e entry) (Tenant, error) {
	switch e.state {
	case entryCreating:
		return s.finishCreate(ctx, e)
	case entryDeleting:
		return Tenant{}, s.finishLeaving(ctx, e)
	}
	t, ok, err := s.readRecord(ctx, e.id)
	switch {
	case err != nil:
		return Tenant{}, err
	case ok && t.State == stateDeleting:
		return Tenant{}, s.finishLeaving(ctx, e)
	case ok:
		return t, nil
	}
	now, there, err := s.find(ctx, e.name, ID{})
	switch {
	case err != nil:
		return Tenant{}, err
	case there && now == e:
		return Tenant{}, ErrLost
	default:
		return Tenant{}, ErrNotFound // it was deleted between the two looks
	}
}

// finishLeaving does a part of a deletion, all of it for a tenant that has little, and returns ErrNotFound either way.
func (s *Store) finishLeaving(ctx context.Context, e entry) error {
	left, err := s.finishDelete(ctx, e, atOnce)
	if err == nil && left > 0 {
		err = errLeaving
	}
	if err != nil {
		return ErrNotFound.Because(err)
	}
	return ErrNotFound
}

// finishCreate writes the record that an entry describes and notes that in the registry. ErrNotFound says that the
// tenant was deleted meanwhile.
func (s *Store) finishCreate(ctx context.Context, e entry) (Tenant, error) {
	fields, err := s.run(ctx, createScript, []string{recordKey(e.id)}, e.id.s, e.name, e.account, e.etag, e.created, e.labels, e.more)
	if err != nil {
		return Tenant{}, err
	}
	t, err := parseRecord(fields, s.terms.clock.Now())
	if err != nil {
		return Tenant{}, err
	}
	if err := s.step("created"); err != nil {
		return Tenant{}, err
	}
	got, err := s.run(ctx, confirmScript, []string{entriesKey}, e.name, e.id.s)
	if err != nil {
		return Tenant{}, err
	}
	switch {
	case got[0] == "gone":
		return Tenant{}, s.discard(ctx, e.id)
	case t.State == stateDeleting: // Redis came back with a registry that is older than the record
		return Tenant{}, s.finishLeaving(ctx, e)
	default:
		return t, nil
	}
}

// discard deletes a record that was written after its tenant had been created and deleted by others. Nobody can have
// found it: no name and no id lead there.
func (s *Store) discard(ctx context.Context, id ID) error {
	if _, err := s.run(ctx, markScript, []string{recordKey(id), queuesKey(id)}, "", "", "0"); err != nil {
		return err
	}
	if _, err := s.run(ctx, purgeScript, []string{recordKey(id), queuesKey(id), storedKey(id)}); err != nil {
		return err
	}
	return ErrNotFound
}

// lost returns what the registry still knows of a tenant whose record is lost.
func lost(e entry) (Tenant, error) {
	created, err := parseMillis(e.created)
	return Tenant{ID: e.id, Name: e.name, AccountNumber: e.account, State: StateLost, CreatedAt: created}, err
}

// notFoundAside drops ErrNotFound.
func notFoundAside(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func newETag() string {
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}
