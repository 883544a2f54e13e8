package alarms_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/mail"
	"github.com/sluicemq/sluice/internal/mail/mailtest"
	"github.com/sluicemq/sluice/monitor/alarms"
	"github.com/sluicemq/sluice/queues"
)

// posts has the servers of a test send letters to a mail server, and makes members of the tenant.
func (w *world) posts(tb testing.TB, members ...string) *mailtest.Server {
	tb.Helper()
	s := mailtest.Start(tb, nil)
	var at mail.Server
	must(tb, at.UnmarshalText([]byte(s.URL)))
	w.mail = mail.New(at, "sluice@example.com")
	w.members[w.tenant] = members
	w.open(tb)
	return s
}

// passBy is pass, where another server looks.
func (w *world) passBy(tb testing.TB, other *world) {
	tb.Helper()
	w.clock.Advance(time.Minute)
	must(tb, w.monitor.Record(tb.Context()))
	must(tb, other.Evaluate(tb.Context()))
}

func subjects(s *mailtest.Server) (out []string) {
	for _, l := range s.Letters() {
		out = append(out, l.To+" "+l.Subject)
	}
	return out
}

func equal(tb testing.TB, what string, want, got any) {
	tb.Helper()
	if d := cmp.Diff(want, got); d != "" {
		tb.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestAnAlarmWritesToMembers(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		s := w.posts(t, "ana@example.com", "bo@example.com")
		w.queue(t, "orders")
		w.topic(t, "alerts")
		w.set(t, "deep", alarms.Settings{Metric: alarms.Available, Queue: "orders", NotifyTopic: "alerts", NotifyEmail: []string{"ana@example.com", "BO@example.com"}, Description: "See the runbook."})
		w.send(t, "orders", 1)
		w.pass(t)
		w.take(t, "orders", 1)
		w.passBy(t, w.another(t))
		equal(t, "letters", []string{"ana@example.com [acme] Alarm deep is raised", "BO@example.com [acme] Alarm deep is raised",
			"ana@example.com [acme] Alarm deep is well again", "BO@example.com [acme] Alarm deep is well again"}, subjects(s))
		first := s.Letters()[0]
		for _, want := range []string{"available of orders is 1, which is > 0.", "See the runbook.", "2026-03-01 12:01:00 UTC", "member of acme"} {
			if !strings.Contains(first.Text, want) {
				t.Errorf("it lacks %q: %s", want, first.Text)
			}
		}
		ids := map[string]bool{}
		for _, l := range s.Letters() {
			ids[l.To+l.ID] = true
		}
		equal(t, "ids of letters to somebody", 4, len(ids))
		equal(t, "published", 2, len(w.told(t, "alerts")))
		w.pass(t)
		equal(t, "nothing comes twice", 4, len(s.Letters()))
	})
}

func TestNobodyElseIsWrittenTo(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		set := alarms.Default()
		set.Metric, set.Queue, set.NotifyEmail = alarms.Available, "orders", []string{"ana@example.com"}
		put := func(want string) {
			t.Helper()
			_, _, err := w.Put(t.Context(), w.tenant, "deep", set, queues.Condition{})
			e, _ := err.(*errs.Error) //nolint:errorlint // it is that one
			if e == nil || e.Kind != errs.Invalid || e.Fields[0].Pointer != want {
				t.Errorf("got %v, want a fault of %s", err, want)
			}
		}
		put("/notify/email") // there is no mail server
		s := w.posts(t, "ana@example.com")
		theirs := w.newTenant(t)
		w.members[theirs] = []string{"eve@example.com"}
		set.NotifyEmail = []string{"ana@example.com", "eve@example.com"}
		put("/notify/email/1")
		set.NotifyEmail = []string{"ana@example.com", "Ana@example.com"}
		put("/notify/email/1")
		set.NotifyEmail = make([]string, alarms.MaxEmails+1)
		put("/notify/email")

		w.queue(t, "orders")
		w.set(t, "deep", alarms.Settings{Metric: alarms.Available, Queue: "orders", NotifyEmail: []string{"ana@example.com"}})
		w.members[w.tenant] = nil // she has left
		w.send(t, "orders", 1)
		w.pass(t)
		if e := w.is(t, "deep", alarms.Alarm); e.Trouble == nil || e.Trouble.Code != "not_a_member" {
			t.Errorf("trouble: %+v", e.Trouble)
		}
		equal(t, "letters", 0, len(s.Letters()))
	})
}

func TestLettersWaitForTheMailServerForAnHour(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		s := w.posts(t, "ana@example.com", "bo@example.com")
		asked := 0
		s.Answer(func(string) string { asked++; return "451 later" })
		w.queue(t, "orders")
		w.topic(t, "alerts")
		w.set(t, "deep", alarms.Settings{Metric: alarms.Available, Queue: "orders", NotifyTopic: "alerts", NotifyEmail: []string{"ana@example.com"}})
		w.set(t, "also", alarms.Settings{Metric: alarms.Available, Queue: "orders", NotifyEmail: []string{"bo@example.com"}})
		w.send(t, "orders", 1)
		w.pass(t)
		equal(t, "who asks for one alarm does not ask for the next", 1, asked)
		if e := w.is(t, "deep", alarms.Alarm); e.Trouble == nil || e.Trouble.Code != "mail_failed" {
			t.Errorf("trouble: %+v", e.Trouble)
		}
		s.Answer(nil)
		later := w.another(t) // which knows nothing of a rest
		w.passBy(t, later)
		equal(t, "letters", []string{"bo@example.com [acme] Alarm also is raised", "ana@example.com [acme] Alarm deep is raised"}, subjects(s))
		equal(t, "the topic got it once", 1, len(w.told(t, "alerts")))
		if e := later.is(t, "deep", alarms.Alarm); e.Trouble != nil {
			t.Errorf("trouble: %+v", e.Trouble)
		}

		s.Answer(func(string) string { return "451 later" })
		w.take(t, "orders", 1)
		for range 62 {
			w.passBy(t, later)
		}
		s.Answer(nil)
		w.passBy(t, later)
		equal(t, "what is an hour old is given up", 2, len(s.Letters()))
		if sent, failed := later.Letters(); sent != 2 || failed != 2 {
			t.Errorf("sent %d, failed %d", sent, failed)
		}
	})
}

func TestARefusedAddressAndTheLimit(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		var all []string
		for i := range alarms.MaxEmails {
			all = append(all, fmt.Sprintf("m%d@example.com", i))
		}
		s := w.posts(t, all...)
		s.Answer(func(to string) string {
			if to == "m0@example.com" {
				return "550 nobody"
			}
			return ""
		})
		w.queue(t, "orders")
		w.set(t, "a", alarms.Settings{Metric: alarms.Available, Queue: "orders", NotifyEmail: all})
		w.send(t, "orders", 1)
		w.pass(t)
		if e := w.is(t, "a", alarms.Alarm); e.Trouble == nil || e.Trouble.Code != "mail_refused" {
			t.Errorf("trouble: %+v", e.Trouble)
		}
		equal(t, "letters to the others", alarms.MaxEmails-1, len(s.Letters()))
		s.Answer(nil)
		for i := range alarms.MaxLetters / alarms.MaxEmails {
			w.set(t, fmt.Sprint("more-", i), alarms.Settings{Metric: alarms.Available, Queue: "orders", NotifyEmail: all})
		}
		w.pass(t)
		equal(t, "letters in an hour, with the refused one", alarms.MaxLetters-1, len(s.Letters()))
		if e := w.is(t, "more-9", alarms.Alarm); e.Trouble == nil || e.Trouble.Code != "mail_limit" {
			t.Errorf("trouble: %+v", e.Trouble)
		}
		w.clock.Advance(time.Hour)
		w.take(t, "orders", 1)
		w.pass(t)
		equal(t, "in the next hour", 2*alarms.MaxLetters-1, len(s.Letters()))
	})
}
