package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server/servertest"
)

func TestG20_AnAccessTokenHoldsOnEveryServerUntilItsKeyIsRevoked(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	key, id := newTenant(t, a, "tokens")
	var token struct {
		AccessToken string `json:"access_token"`
	}
	must(t, http.StatusCreated, &token, http.MethodPost, a.URL()+"/v1/tokens", key, `{"expires_in":3600}`)
	published := call(t, http.MethodGet, a.URL()+"/.well-known/jwks.json", "", "").body
	// Also after all servers and Redis have started anew.
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	redis.Kill9()
	redis.Restart()
	servers := []*servertest.Server{servertest.New(t, servertest.WithRedis(redis.URL()), servertest.WithDataDir(a.DataDir), quiet),
		servertest.New(t, servertest.WithRedis(redis.URL()), quiet)}
	for _, s := range servers {
		must(t, http.StatusOK, nil, http.MethodGet, s.URL()+"/v1/whoami", token.AccessToken, "")
		if got := call(t, http.MethodGet, s.URL()+"/.well-known/jwks.json", "", ""); got.status != http.StatusOK || got.body != published {
			t.Errorf("published keys: %s, want those from before %s", got, published)
		}
	}
	must(t, http.StatusNoContent, nil, http.MethodDelete, servers[0].URL()+"/v1/keys/"+id, key, "")
	revoked := time.Now()
	for i, s := range servers {
		within(t, 5*time.Second, "the token stops", func() bool {
			return call(t, http.MethodGet, s.URL()+"/v1/whoami", token.AccessToken, "").status == http.StatusUnauthorized
		})
		t.Logf("server %d refused it %s after the revocation of its key", i, time.Since(revoked).Round(time.Millisecond))
	}
}
