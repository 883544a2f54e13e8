package embedded

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/url"

	"github.com/alicebob/miniredis/v2"
)

// memory is the engine inside this process. Its key expiry never runs, because nothing in Sluice relies on it.
type memory struct {
	redis *miniredis.Miniredis
}

func startMemory(log *slog.Logger) (*Server, error) {
	// It listens on TCP, where every user of the machine could connect: hence the password, set before it listens.
	password := rand.Text()
	redis := miniredis.NewMiniRedis()
	redis.RequireAuth(password)
	if err := redis.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start the in-memory engine: %w", err)
	}
	log.Warn(MemoryBanner, "engine", engineMemory)
	address := url.URL{Scheme: "redis", User: url.UserPassword("", password), Host: redis.Addr()}
	return &Server{engine: engineMemory, url: address.String(), memory: &memory{redis: redis}}, nil
}

func (m *memory) close() { m.redis.Close() }
