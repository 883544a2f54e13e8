package tenants_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

var sameTenant = cmp.Options{cmp.Comparer(func(a, b tenants.ID) bool { return a == b }), cmpopts.EquateEmpty()}

func TestPutMakesATenantThatIsFound(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		labels := map[string]string{"team": "payments", "cost/centre": `"4 711" €`}
		got, created, err := w.Put(t.Context(), w.name("acme"), tenants.Settings{Labels: labels}, tenants.Condition{})
		if err != nil || !created {
			t.Fatalf("Put: created %v, %v; want true and no error", created, err)
		}
		want := tenants.Tenant{ID: got.ID, Name: w.name("acme"), AccountNumber: got.AccountNumber, State: tenants.StateActive,
			Labels: labels, CreatedAt: start, UpdatedAt: start, ETag: got.ETag}
		if diff := cmp.Diff(want, got, sameTenant); diff != "" {
			t.Errorf("Put (-want +got):\n%s", diff)
		}
		if len(got.AccountNumber) != 12 || strings.Trim(got.AccountNumber, "0123456789") != "" || got.AccountNumber[0] == '0' {
			t.Errorf("account number %q, want 12 digits that do not begin with 0", got.AccountNumber)
		}
		if id, ok := tenants.ParseID(got.ID.String()); !ok || id != got.ID {
			t.Errorf("id %q does not survive ParseID", got.ID)
		}
		byName, err := w.another().Get(t.Context(), w.name("acme"))
		if diff := cmp.Diff(want, byName, sameTenant); diff != "" || err != nil {
			t.Errorf("Get: %v (-want +got):\n%s", err, diff)
		}
		byID, err := w.another().ByID(t.Context(), got.ID)
		if diff := cmp.Diff(want, byID, sameTenant); diff != "" || err != nil {
			t.Errorf("ByID: %v (-want +got):\n%s", err, diff)
		}
		if state, _ := w.redis.HGet(t.Context(), engine.TenantKey(got.ID.String(), "tenant"), "state").Result(); state != "active" {
			t.Errorf(`field "state" of the record is %q, want "active": other packages rely on it`, state)
		}
	})
}

func TestPutReplacesSettings(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		first := w.mustPut(t, w.name("acme"), tenants.Settings{Labels: map[string]string{"a": "1", "b": "2"}})
		w.clock.Advance(time.Minute)

		same, created, err := w.Put(t.Context(), w.name("acme"), tenants.Settings{Labels: map[string]string{"b": "2", "a": "1"}}, tenants.Condition{})
		if err != nil || created {
			t.Fatalf("the same settings: created %v, %v", created, err)
		}
		if diff := cmp.Diff(first, same, sameTenant); diff != "" {
			t.Errorf("the same settings changed the tenant (-want +got):\n%s", diff)
		}

		changed, created, err := w.Put(t.Context(), w.name("acme"), tenants.Settings{AccountNumber: first.AccountNumber}, tenants.Condition{})
		if err != nil || created {
			t.Fatalf("other settings: created %v, %v", created, err)
		}
		want := first
		want.Labels, want.UpdatedAt, want.ETag = nil, start.Add(time.Minute), changed.ETag
		if diff := cmp.Diff(want, changed, sameTenant); diff != "" {
			t.Errorf("other settings (-want +got):\n%s", diff)
		}
		if changed.ETag == first.ETag {
			t.Error("the ETag did not change")
		}

		w.clock.Advance(-time.Hour)
		back := w.mustPut(t, w.name("acme"), tenants.Settings{Labels: map[string]string{"a": "1"}})
		if !back.UpdatedAt.Equal(want.UpdatedAt) {
			t.Errorf("a clock that goes back: updated at %v, want %v", back.UpdatedAt, want.UpdatedAt)
		}
	})
}

func TestConditions(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		old := w.mustPut(t, w.name("old"), tenants.Settings{})
		for i, c := range []struct {
			name string
			cond tenants.Condition
			want error
		}{
			{"old", tenants.Condition{IfMatch: old.ETag}, nil},
			{"old", tenants.Condition{IfMatch: "*"}, nil},
			{"old", tenants.Condition{IfMatch: "0123"}, tenants.ErrPrecondition},
			{"old", tenants.Condition{IfNoneMatch: "*"}, tenants.ErrPrecondition},
			{"old", tenants.Condition{IfNoneMatch: old.ETag}, tenants.ErrPrecondition},
			{"old", tenants.Condition{IfNoneMatch: "0123"}, nil},
			{"old", tenants.Condition{IfMatch: "*", IfNoneMatch: "*"}, tenants.ErrPrecondition},
			{"new", tenants.Condition{IfMatch: "*"}, tenants.ErrPrecondition},
			{"new", tenants.Condition{IfMatch: old.ETag}, tenants.ErrPrecondition},
			{"new", tenants.Condition{IfNoneMatch: "*"}, nil},
		} {
			got, created, err := w.Put(t.Context(), w.name(c.name), tenants.Settings{}, c.cond)
			if !errors.Is(err, c.want) || created != (c.want == nil && c.name == "new") {
				t.Errorf("%d: Put(%s, %+v): created %v, %v; want %v", i, c.name, c.cond, created, err, c.want)
			}
			if err == nil && c.name == "old" && got.ETag != old.ETag {
				t.Errorf("%d: the same settings changed the ETag", i)
			}
		}
		if err := w.Delete(t.Context(), w.name("old"), tenants.Condition{IfMatch: "0123"}); !errors.Is(err, tenants.ErrPrecondition) {
			t.Errorf("Delete with a stale ETag: got %v, want ErrPrecondition", err)
		}
		if err := w.Delete(t.Context(), w.name("old"), tenants.Condition{IfMatch: old.ETag}); err != nil {
			t.Errorf("Delete with the ETag: %v", err)
		}
	})
}

func TestAccountNumbers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		given := "7" + fmt.Sprint(time.Now().UnixNano())[8:19]
		acme := w.mustPut(t, w.name("acme"), tenants.Settings{AccountNumber: given})
		if acme.AccountNumber != given {
			t.Errorf("account %s, want %s", acme.AccountNumber, given)
		}
		for _, c := range []struct {
			name, account string
			want          error
		}{
			{w.name("other"), given, tenants.ErrAccountTaken},
			{w.name("acme"), "123456789012", tenants.ErrAccountFixed},
			{w.name("acme"), given, nil},
			{w.name("x"), "12345678901", errs.Invalidf("", "")},
			{w.name("x"), "1234567890123", errs.Invalidf("", "")},
			{w.name("x"), "12345678901a", errs.Invalidf("", "")},
			{w.name("x"), tenants.DefaultAccount, errs.Invalidf("", "")},
			{tenants.Default, given, errs.Invalidf("", "")},
		} {
			if _, _, err := w.Put(t.Context(), c.name, tenants.Settings{AccountNumber: c.account}, tenants.Condition{}); !errors.Is(err, c.want) {
				t.Errorf("Put(%s) with account %s: got %v, want %v", c.name, c.account, err, c.want)
			}
		}
		if _, _, err := w.Put(t.Context(), w.name("acme"), tenants.Settings{AccountNumber: "123456789012"}, tenants.Condition{IfNoneMatch: "*"}); !errors.Is(err, tenants.ErrPrecondition) {
			t.Errorf("Put of a new tenant in place of an old one: got %v, want ErrPrecondition", err)
		}
		if _, err := w.Get(t.Context(), w.name("other")); !errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("a refused tenant: Get gives %v, want ErrNotFound", err)
		}
	})
}

func TestTheDefaultTenantHasTheAccountOfZeros(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		if got := w.mustPut(t, tenants.Default, tenants.Settings{}); got.AccountNumber != "000000000000" {
			t.Errorf("account %s, want zeros", got.AccountNumber)
		}
	})
}

func TestNamesThatAreRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		for name, meant := range map[string]string{
			"":                       "",
			"-a":                     "a",
			"Acme":                   "acme",
			" ACME Corp ":            "acme-corp",
			"a_b.c":                  "a-b-c",
			"a/b":                    "",
			"a{b}:*":                 "",
			"a\n":                    "a",
			"ünïcode":                "",
			"a\xff":                  "",
			strings.Repeat("a", 64):  "",
			strings.Repeat("é", 999): "",
		} {
			_, _, err := w.Put(t.Context(), name, tenants.Settings{}, tenants.Condition{})
			e, ok := errors.AsType[*errs.Error](err)
			if !ok || e.Kind != errs.Invalid || e.Code != "validation_failed" || len(e.Fields) != 1 || e.Fields[0].Pointer != "/name" {
				t.Errorf("Put(%q): got %v, want validation_failed of /name", name, err)
				continue
			}
			if !strings.Contains(e.Message, "1 to 63 characters of a-z, 0-9 and -") || len(e.Message) > 400 {
				t.Errorf("Put(%q): message %q, want the rule, in short", name, e.Message)
			}
			if got := strings.TrimSuffix(strings.TrimPrefix(e.Fix, `Did you mean "`), `"?`); got != meant {
				t.Errorf("Put(%q): fix %q, want %q in it", name, e.Fix, meant)
			}
			if _, err := w.Get(t.Context(), name); !errors.Is(err, tenants.ErrNotFound) {
				t.Errorf("Get(%q): got %v, want ErrNotFound", name, err)
			}
			if err := w.Delete(t.Context(), name, tenants.Condition{}); !errors.Is(err, tenants.ErrNotFound) {
				t.Errorf("Delete(%q): got %v, want ErrNotFound", name, err)
			}
		}
		for _, name := range []string{"7", "a", "constructor", w.prefix + strings.Repeat("z", 63-len(w.prefix))} {
			w.mustPut(t, name, tenants.Settings{})
		}
	})
}

func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	many := func(n int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprint("k", i)] = "v"
		}
		return m
	}
	for name, c := range map[string]struct {
		labels  map[string]string
		pointer string // "" when the labels are fine
	}{
		"most":             {many(tenants.MaxLabels), ""},
		"too many":         {many(tenants.MaxLabels + 1), "/labels"},
		"longest":          {map[string]string{strings.Repeat("k", 63): strings.Repeat("v", 255)}, ""},
		"long name":        {map[string]string{strings.Repeat("k", 64): ""}, "/labels"},
		"no name":          {map[string]string{"": ""}, "/labels"},
		"space in name":    {map[string]string{"a b": ""}, "/labels"},
		"long value":       {map[string]string{"a/b~c": strings.Repeat("v", 256)}, "/labels"},
		"pointer":          {map[string]string{"a/b": strings.Repeat("v", 256)}, "/labels/a~1b"},
		"control in value": {map[string]string{"k": "a\x00"}, "/labels/k"},
		"no UTF-8":         {map[string]string{"k": "\xff"}, "/labels/k"},
		"Lua-like":         {map[string]string{"k": "] ] } 1 'x' \" %s"}, ""},
	} {
		got, _, err := w.Put(t.Context(), w.name("acme"), tenants.Settings{Labels: c.labels}, tenants.Condition{})
		if c.pointer == "" {
			if diff := cmp.Diff(c.labels, got.Labels); diff != "" || err != nil {
				t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
			}
			continue
		}
		e, ok := errors.AsType[*errs.Error](err)
		if !ok || e.Code != "validation_failed" || len(e.Fields) != 1 || e.Fields[0].Pointer != c.pointer {
			t.Errorf("%s: got %+v, want validation_failed of %s", name, err, c.pointer)
		}
	}
}

func TestListPagesInTheOrderOfNames(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		var want []string
		for _, n := range []string{"b", "a", "a-1", "a-10", "a-2", "ab", "c", "0"} {
			w.mustPut(t, w.name(n), tenants.Settings{})
		}
		for _, n := range []string{"0", "a", "a-1", "a-10", "a-2", "ab", "b", "c"} {
			want = append(want, w.name(n))
		}
		for _, limit := range []int{1, 3, 8, 500, 0} {
			var got []string
			after := ""
			for rounds := 0; ; rounds++ {
				page, next, err := w.List(t.Context(), w.prefix, limit, after)
				if err != nil || rounds > len(want) {
					t.Fatalf("List, limit %d, page %d: %v", limit, rounds, err)
				}
				for _, tenant := range page {
					got = append(got, tenant.Name)
				}
				if after = next; next == "" {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
			}
		}
		page, next, err := w.List(t.Context(), w.name("a-1"), 0, "")
		if err != nil || len(page) != 2 || page[0].Name != w.name("a-1") || page[1].Name != w.name("a-10") || next != "" {
			t.Errorf("prefix a-1: got %v, next %q, %v; want a-1 and a-10", page, next, err)
		}
		if page, _, err := w.List(t.Context(), w.name("a-1"), 0, w.name("0")); len(page) != 2 || err != nil {
			t.Errorf("prefix a-1 after 0, which stands before it: got %v, %v; want a-1 and a-10", page, err)
		}
		for _, odd := range []string{w.prefix + "*", w.prefix + "[a", "\xff", w.prefix + "A"} {
			if page, _, err := w.List(t.Context(), odd, 0, ""); len(page) != 0 || err != nil {
				t.Errorf("prefix %q: got %v, %v; want nothing", odd, page, err)
			}
		}
		for _, limit := range []int{-1, 501} {
			if _, _, err := w.List(t.Context(), "", limit, ""); errs.KindOf(err) != errs.Invalid {
				t.Errorf("limit %d: got %v, want Invalid", limit, err)
			}
		}
	})
}

func TestAnIDThatLeadsToAnotherTenantIsNotFound(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		acme := w.mustPut(t, w.name("acme"), tenants.Settings{})
		stray, _ := tenants.ParseID("0" + acme.ID.String()[:9])
		w.redis.HSet(t.Context(), engine.SystemKey("tenant-ids"), stray.String(), acme.Name)
		if _, err := w.ByID(t.Context(), stray); !errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("ByID: got %v, want ErrNotFound", err)
		}
	})
}

func TestALostRecordIsNeitherThereNorGone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		acme := w.mustPut(t, w.name("acme"), tenants.Settings{})
		w.redis.Del(t.Context(), engine.TenantKey(acme.ID.String(), "tenant"))
		_, err := w.Get(t.Context(), w.name("acme"))
		_, _, putErr := w.Put(t.Context(), w.name("acme"), tenants.Settings{}, tenants.Condition{})
		_, _, newErr := w.Put(t.Context(), w.name("acme"), tenants.Settings{}, tenants.Condition{IfNoneMatch: "*"})
		for what, err := range map[string]error{
			"Get": err, "Put": putErr, "Put as new": newErr, "Delete": w.Delete(t.Context(), w.name("acme"), tenants.Condition{}),
		} {
			if !errors.Is(err, tenants.ErrLost) {
				t.Errorf("%s: got %v, want ErrLost", what, err)
			}
		}
		page, _, err := w.List(t.Context(), w.prefix, 0, "")
		want := []tenants.Tenant{{ID: acme.ID, Name: acme.Name, AccountNumber: acme.AccountNumber, State: tenants.StateLost, CreatedAt: start}}
		if diff := cmp.Diff(want, page, sameTenant); diff != "" || err != nil {
			t.Errorf("List: %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestOnlyIDsAreParsed(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "abc", "0123456789a", "012345678I", "012345678i", "012345678o", "01234567{}", "012345678\n", "0123456éx"} {
		if id, ok := tenants.ParseID(s); ok || !id.IsZero() {
			t.Errorf("ParseID(%q): got %q, want a refusal", s, id)
		}
	}
	id, ok := tenants.ParseID("0123456789")
	if text, _ := json.Marshal(id); !ok || string(text) != `"0123456789"` {
		t.Errorf("ParseID: %v, %s", ok, text)
	}
	var request struct{ Tenant any }
	request.Tenant = &id
	if err := json.Unmarshal([]byte(`{"Tenant":"abcdefghjk"}`), &request); err == nil || id.String() != "0123456789" {
		t.Errorf("an ID was read from JSON, %q: a request could name any", id)
	}
}

func TestEachScriptSaysWhatItTakes(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(tenants.ScriptFiles, "lua/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatalf("scripts: %v, %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".lua")
		s, err := engine.Load(tenants.ScriptFiles, name)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		text := s.Text() // with what it includes
		for _, n := range s.Header.Keys {
			if strings.Contains(text, fmt.Sprintf("KEYS[%d+]", n)) {
				continue // and all behind it, which a loop reads
			}
			if use := fmt.Sprintf("KEYS[%d]", n); strings.Count(text, use) < 2 {
				t.Errorf("%s names %s and does not use it", file, use)
			}
		}
		for _, n := range s.Header.Args {
			if strings.Contains(text, fmt.Sprintf("ARGV[%d+]", n)) {
				continue // and all behind it, which a loop reads
			}
			if use := fmt.Sprintf("ARGV[%d]", n); n > 2 && strings.Count(text, use) < 2 {
				t.Errorf("%s names %s and does not use it", file, use)
			}
		}
	}
}
