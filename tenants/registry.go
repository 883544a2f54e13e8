package tenants

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
)

// entry is what the registry says of a tenant. Lua reads it too: see lua/lib/entry.lua.
type entry struct {
	name    string
	state   string // creating, ready or deleting
	id      ID
	account string
	etag    string // of the creation
	created string // milliseconds since 1970
	labels  string // JSON; this and more only while the state is creating
	more    string // JSON
	plan    string // of a tenant that is to be made; the registry does not hold it
}

const (
	entryCreating = "creating"
	entryReady    = "ready"
	entryDeleting = "deleting"
)

func parseEntry(name, text string) (entry, error) {
	part := strings.SplitN(text, " ", 6)
	if len(part) == 6 {
		if id, ok := ParseID(part[1]); ok {
			e := entry{name: name, state: part[0], id: id, account: part[2], etag: part[3], created: part[4]}
			var settings []json.RawMessage
			if part[5] == "" {
				return e, nil
			}
			if err := json.Unmarshal([]byte(part[5]), &settings); err == nil && len(settings) == 2 {
				e.labels, e.more = string(settings[0]), string(settings[1])
				return e, nil
			}
		}
	}
	return entry{}, engine.ErrBroken.Because(fmt.Errorf("registry of tenants: entry of %q is damaged", name))
}

// find returns the entry of a name, or of an id when name is "". It reports false where there is none.
func (s *Store) find(ctx context.Context, name string, id ID) (entry, bool, error) {
	found, err := s.run(ctx, findScript, []string{entriesKey, idsKey}, name, id.s)
	if err != nil || len(found) < 2 {
		return entry{}, false, err
	}
	e, err := parseEntry(found[0], found[1])
	return e, err == nil, err
}

// reserve returns the entry of want.name: the existing one, or want as it was stored. taken says that the account
// number or the id of want belongs to another tenant.
func (s *Store) reserve(ctx context.Context, want entry) (e entry, taken string, err error) {
	got, err := s.run(ctx, reserveScript, []string{entriesKey, namesKey, idsKey, accountsKey},
		want.name, want.id.s, want.account, want.etag, "["+want.labels+","+want.more+"]")
	switch {
	case err != nil:
		return entry{}, "", err
	case len(got) == 2:
		e, err = parseEntry(want.name, got[1])
		return e, "", err
	default:
		return entry{}, got[0], nil
	}
}

// readRecord returns the tenant's record, and false where there is none.
func (s *Store) readRecord(ctx context.Context, id ID) (Tenant, bool, error) {
	fields, err := s.run(ctx, readScript, []string{recordKey(id)})
	if err != nil || fields[0] == "" {
		return Tenant{}, false, err
	}
	t, err := parseRecord(fields, s.terms.clock.Now())
	return t, err == nil, err
}

// parseRecord reads what read_record of lua/lib/record.lua returns, as it is now.
func parseRecord(fields []string, now time.Time) (Tenant, error) {
	damaged := func(err error) (Tenant, error) {
		return Tenant{}, engine.ErrBroken.Because(fmt.Errorf("record of tenant %q is damaged: %w", fields, err))
	}
	if len(fields) != 11 {
		return damaged(fmt.Errorf("%d fields", len(fields)))
	}
	id, ok := ParseID(fields[0])
	if !ok {
		return damaged(fmt.Errorf("id %q", fields[0]))
	}
	t := Tenant{ID: id, Name: fields[1], AccountNumber: fields[2], State: State(fields[3]), ETag: fields[7]}
	if err := json.Unmarshal([]byte(fields[4]), &t.Labels); err != nil {
		return damaged(err)
	}
	var err error
	if t.CreatedAt, err = parseMillis(fields[5]); err != nil {
		return damaged(err)
	}
	if t.UpdatedAt, err = parseMillis(fields[6]); err != nil {
		return damaged(err)
	}
	var rest more
	if fields[8] != "" { // else the tenant is from before there was more
		if err := json.Unmarshal([]byte(fields[8]), &rest); err != nil {
			return damaged(err)
		}
	}
	t.Notes, t.Plan, t.Limits, t.AnySignature = rest.Notes, rest.Plan, rest.Limits, rest.AnySignature
	if fields[9] != "" {
		if t.Suspended, err = parseSuspension(fields[9], fields[10]); err != nil {
			return damaged(err)
		}
		switch {
		case t.Suspended.over(now):
			t.Suspended = nil
		case t.State == StateActive:
			t.State = StateSuspended
		}
	}
	return t, nil
}

func parseMillis(text string) (time.Time, error) {
	ms, err := strconv.ParseInt(text, 10, 64)
	return time.UnixMilli(ms).UTC(), err
}
