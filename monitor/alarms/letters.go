package alarms

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/mail"
	"github.com/sluicemq/sluice/tenants"
)

// Letters go to members of the tenant only, so that nobody has a server write to strangers.

const (
	// MaxLetters bounds the letters to members of one tenant in an hour, as the server counts that looks at alarms.
	MaxLetters = 100
	// mailRest is for how long no letter is handed in after the mail server took none, so that a look at alarms does not wait for it
	// again and again.
	mailRest = time.Minute
	// staleLetter is after how long a change is not written of any more.
	staleLetter = time.Hour
)

// The errors of letters, as Trouble shows them.
var (
	errMailRests   = &errs.Error{Kind: errs.Unavailable, Code: "mail_failed", Message: "The mail server does not take letters at present. It is tried again."}
	errMailStale   = &errs.Error{Kind: errs.Gone, Code: "mail_failed", Message: "The mail server has not taken the letters for an hour. They were given up."}
	errMailRefused = &errs.Error{Kind: errs.Gone, Code: "mail_refused", Message: "The mail server refuses some of the addresses."}
	errMailLimit   = &errs.Error{Kind: errs.Gone, Code: "mail_limit", Message: fmt.Sprintf("The tenant gets at most %d letters an hour. Others were given up.", MaxLetters)}
	errNoMember    = &errs.Error{Kind: errs.Gone, Code: "not_a_member", Message: "None of the addresses is that of a member any more."}
	errNoMail      = &errs.Error{Kind: errs.Gone, Code: "mail_off", Message: "The server sends no letters."}
)

// post is what this server knows of the letters that it hands in.
type post struct {
	rests atomic.Int64 // until when, milliseconds since 1970
	sent  atomic.Int64
	lost  atomic.Int64

	mu    sync.Mutex
	hours map[tenants.ID]*hour
}

// hour is how many letters were handed in for a tenant in an hour.
type hour struct {
	ends time.Time
	n    int
}

// Letters returns how many letters about alarms this server has handed in, and how many it gave up.
func (s *Store) Letters() (sent, failed int64) { return s.post.sent.Load(), s.post.lost.Load() }

// take takes up to n from what a tenant may be sent in this hour.
func (p *post) take(t tenants.ID, n int, now time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, h := range p.hours {
		if !now.Before(h.ends) {
			delete(p.hours, id)
		}
	}
	h := p.hours[t]
	if h == nil {
		h = &hour{ends: now.Add(time.Hour)}
		p.hours[t] = h
	}
	n = min(n, MaxLetters-h.n)
	h.n += n
	return n
}

// write writes to the members whom an alarm names. Where some letters are left, all are handed in again: with the same id.
func (s *Store) write(ctx context.Context, t tenants.ID, r *record, c *storedChange) error {
	if len(r.def.NotifyEmail) == 0 {
		return nil
	}
	now := s.Clock.Now()
	give := func(n int, e *errs.Error) error {
		s.post.lost.Add(int64(n))
		return e
	}
	switch {
	case s.Mail == nil:
		return give(len(r.def.NotifyEmail), errNoMail)
	case now.Sub(time.UnixMilli(c.At)) > staleLetter:
		return give(len(r.def.NotifyEmail), errMailStale)
	case now.UnixMilli() < s.post.rests.Load():
		return errMailRests
	}
	tenant, members, err := s.Members(ctx, t)
	if err != nil {
		return err
	}
	var letters []mail.Letter
	for _, to := range r.def.NotifyEmail {
		if isAmong(members, to) {
			letters = append(letters, r.letter(c, to, tenant))
		}
	}
	if len(letters) == 0 {
		return give(len(r.def.NotifyEmail), errNoMember)
	}
	may := s.post.take(t, len(letters), now)
	if may == 0 {
		return give(len(letters), errMailLimit)
	}
	out := s.Mail.Send(ctx, letters[:may])
	s.post.sent.Add(int64(out.Sent))
	switch {
	case out.Left > 0:
		s.post.rests.Store(now.Add(mailRest).UnixMilli() - 1)
		s.Logger.Warn("the mail server did not take all letters about an alarm", "tenant", t.String(), "alarm", r.name, "left", out.Left, "sent", out.Sent, "error", fmt.Sprint(out.Err))
		return errMailRests
	case may < len(letters):
		return give(len(letters)-may, errMailLimit)
	case out.Refused > 0:
		return give(out.Refused, errMailRefused)
	}
	return nil
}

func isAmong(members []string, address string) bool {
	return slices.ContainsFunc(members, func(m string) bool { return strings.EqualFold(m, address) })
}

// letter writes of a change.
func (r *record) letter(c *storedChange, to, tenant string) mail.Letter {
	words := map[State]string{OK: "is well again", Alarm: "is raised", Unknown: "has no data"}
	var b strings.Builder
	fmt.Fprintf(&b, "The alarm %s of %s %s since %s UTC.\n\n%s\n", r.name, tenant, words[c.To], at(c.At).Format("2006-01-02 15:04:05"), c.Why)
	if len(c.Names) > 1 {
		fmt.Fprintf(&b, "\n- %s\n", strings.Join(c.Names, "\n- "))
	}
	if r.def.Description != "" {
		fmt.Fprintf(&b, "\n%s\n", r.def.Description)
	}
	fmt.Fprintf(&b, "\n-- \nYou are a member of %s, and this alarm has your address. Who may change alarms there can take it out.\n", tenant)
	return mail.Letter{To: to, Subject: "[" + tenant + "] Alarm " + r.name + " " + words[c.To], Text: b.String(), ID: fmt.Sprintf("alarm.%s.%d", r.def.UID, c.Seq), At: at(c.At)}
}

// checkEmail refuses addresses to which nothing would be written.
func (s *Store) checkEmail(ctx context.Context, t tenants.ID, list []string) error {
	if len(list) == 0 {
		return nil
	}
	if s.Mail == nil {
		return errs.Invalidf("/notify/email", "This server sends no letters: its operator has to set SLUICE_SMTP_URL and SLUICE_SMTP_FROM.")
	}
	_, members, err := s.Members(ctx, t)
	if err != nil {
		return err
	}
	for i, address := range list {
		at := fmt.Sprintf("/notify/email/%d", i)
		switch {
		case !isAmong(members, address):
			return errs.Invalidf(at, "is the address of no member of the tenant who has set a password")
		case isAmong(list[:i], address):
			return errs.Invalidf(at, "is there twice")
		}
	}
	return nil
}
