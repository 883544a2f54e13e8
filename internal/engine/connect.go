package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/sluicemq/sluice/internal/addr"
)

// Dialer makes one connection.
type Dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// clients holds the one client in use: single for a lone server or the master that Sentinel names, or cluster.
type clients struct {
	single  *redis.Client
	cluster *redis.ClusterClient
	others  *sync.Map // address → *redis.Client, of nodes that a Cluster has redirected to
}

func init() {
	redis.SetLogger(silence{}) // it would print to standard error what the engine reports in its own way
}

type silence struct{}

// Printf drops what the client says.
func (silence) Printf(context.Context, string, ...any) {}

const (
	dialTimeout = time.Second
	// poolSize bounds the connections to one node. Calls are joined, so few are ever busy.
	poolSize    = 32
	poolTimeout = time.Second
)

// connect makes the client. Its options are what the engine relies on: it must never repeat a command, for a repeated
// script whose first answer was lost would run twice, and only the engine knows which calls may be repeated; and a
// deadline must end a read.
func connect(opt Options) (clients, error) {
	to, err := addr.ParseRedis(opt.URL)
	if err != nil {
		return clients{}, fmt.Errorf("the address of Redis %w", err)
	}
	var secure *tls.Config
	if to.TLS {
		secure = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch to.Mode {
	case addr.Cluster:
		return clients{others: &sync.Map{}, cluster: redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: to.Addrs, Username: to.Username, Password: to.Password, TLSConfig: secure, Dialer: opt.Dialer,
			Protocol: 2, MaxRetries: -1, MaxRedirects: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
			DialTimeout: dialTimeout, ReadTimeout: attemptTimeout, WriteTimeout: attemptTimeout,
			PoolSize: poolSize, PoolTimeout: poolTimeout, DisableIdentity: true, MaintNotificationsConfig: quiet,
		})}, nil
	case addr.Sentinel:
		return clients{single: redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: to.MasterName, SentinelAddrs: to.Addrs, DB: to.DB,
			Username: to.Username, Password: to.Password, TLSConfig: secure, Dialer: opt.Dialer,
			Protocol: 2, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
			DialTimeout: dialTimeout, ReadTimeout: attemptTimeout, WriteTimeout: attemptTimeout,
			PoolSize: poolSize, PoolTimeout: poolTimeout, DisableIdentity: true,
		})}, nil
	default:
		network, place := "tcp", to.Socket
		if to.Socket != "" {
			network = "unix"
		} else {
			place = to.Addrs[0]
		}
		return clients{single: redis.NewClient(&redis.Options{
			Network: network, Addr: place, DB: to.DB,
			Username: to.Username, Password: to.Password, TLSConfig: secure, Dialer: opt.Dialer,
			Protocol: 2, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
			DialTimeout: dialTimeout, ReadTimeout: attemptTimeout, WriteTimeout: attemptTimeout,
			PoolSize: poolSize, PoolTimeout: poolTimeout, DisableIdentity: true, MaintNotificationsConfig: quiet,
		})}, nil
	}
}

func (c clients) close() error {
	if c.cluster == nil {
		return c.single.Close()
	}
	err := c.cluster.Close()
	c.others.Range(func(_, n any) bool {
		err = errors.Join(err, n.(*redis.Client).Close())
		return true
	})
	return err
}

// owner returns the node that has the slot of key.
func (c clients) owner(ctx context.Context, key string) (*redis.Client, error) {
	if c.cluster == nil {
		return c.single, nil
	}
	return c.cluster.MasterForKey(ctx, key)
}

// named returns a client of the node at place, as a redirection names it. It is not the Cluster's own client of that
// node, which cannot be had: that knows only nodes with slots, and a node that is being given its first has none.
func (c clients) named(place string) *redis.Client {
	if n, ok := c.others.Load(place); ok {
		return n.(*redis.Client)
	}
	o := c.cluster.Options()
	fresh := redis.NewClient(&redis.Options{
		Addr: place, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig, Dialer: o.Dialer,
		Protocol: 2, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
		DialTimeout: dialTimeout, ReadTimeout: attemptTimeout, WriteTimeout: attemptTimeout,
		PoolSize: poolSize, PoolTimeout: poolTimeout, DisableIdentity: true, MaintNotificationsConfig: o.MaintNotificationsConfig,
	})
	n, loaded := c.others.LoadOrStore(place, fresh)
	if loaded {
		_ = fresh.Close()
	}
	return n.(*redis.Client)
}
