package server_test

import (
	"net/http"
	"testing"

	"github.com/sluicemq/sluice/internal/mail/mailtest"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server"
	"github.com/sluicemq/sluice/server/servertest"
)

// An alarm takes the address of a member from when he has set a password until he is removed, on every server; one without a mail
// server says so. Package alarms shows what is written.
func TestAnAlarmTakesAddressesOfMembers(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	post := mailtest.Start(t, nil)
	withMail := func(c *server.Config) {
		if err := c.SMTP.UnmarshalText([]byte(post.URL)); err != nil {
			t.Error(err)
		}
		c.SMTPFrom = "sluice@example.com"
	}
	a, b := servertest.New(t, servertest.WithRedis(redis.URL()), quiet, withMail), servertest.New(t, servertest.WithRedis(redis.URL()), quiet, withMail)
	key, _ := newTenant(t, a, "letters")
	other, _ := newTenant(t, a, "strangers")
	put := func(s *servertest.Server, key string, want int) {
		t.Helper()
		must(t, want, nil, http.MethodPut, s.URL()+"/v1/alarms/deep", key, `{"metric":"available","target":{"queue":"*"},"notify":{"email":["ana@example.com"]}}`)
	}
	var invited struct {
		ID         string
		Invitation struct{ Token string }
	}
	must(t, http.StatusCreated, &invited, http.MethodPost, a.URL()+"/v1/members", key, `{"email":"ana@example.com","role":"viewer"}`)
	put(a, key, http.StatusUnprocessableEntity)
	if status, _ := browse(t, http.MethodPost, a.URL()+"/v1/invitations/accept", "", `{"token":"`+invited.Invitation.Token+`","password":"correct horse battery staple"}`); status != http.StatusCreated {
		t.Fatalf("accept: %d", status)
	}
	put(b, key, http.StatusCreated)
	put(a, key, http.StatusOK)
	put(a, other, http.StatusUnprocessableEntity)
	without := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	put(without, key, http.StatusUnprocessableEntity)
	must(t, http.StatusNoContent, nil, http.MethodDelete, a.URL()+"/v1/members/"+invited.ID, key, "")
	put(b, key, http.StatusUnprocessableEntity)
}
