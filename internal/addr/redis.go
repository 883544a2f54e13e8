package addr

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a Redis address.
const (
	maxRedisHosts = 64   // seeds are enough, a cluster tells the rest
	maxRedisDB    = 9999 // Redis has 16 databases unless told otherwise
)

// Mode is the way in which the Redis servers work together.
type Mode string

// The modes.
const (
	Standalone Mode = "standalone"
	Cluster    Mode = "cluster"
	Sentinel   Mode = "sentinel"
)

// Redis says where Redis is and how to sign in. The zero value means that none was given. It prints without the
// user and the password.
type Redis struct {
	Mode       Mode
	TLS        bool
	Addrs      []string // host:port of the server, the cluster's seeds or the sentinels: 1 to 64; none with Socket
	Socket     string   // path of a unix socket, only standalone
	MasterName string   // name by which the sentinels know the master, only sentinel
	Username   string   // for Redis, not for the sentinels
	Password   string
	DB         int // 0 to 9999; a cluster has only 0
}

// redisForms are the schemes in the order in which messages list them. The port is for hosts that come without one.
var redisForms = []struct {
	scheme string
	mode   Mode
	tls    bool
	port   string
}{
	{"redis", Standalone, false, "6379"},
	{"rediss", Standalone, true, "6379"},
	{"unix", Standalone, false, ""},
	{"redis+cluster", Cluster, false, "6379"},
	{"rediss+cluster", Cluster, true, "6379"},
	{"redis+sentinel", Sentinel, false, "26379"},
	{"rediss+sentinel", Sentinel, true, "26379"},
}

var masterNamePattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// ParseRedis reads one of
//
//	redis://[user:password@]host[:port][/db]            rediss:// the same with TLS
//	unix://[user:password@]/path/of/socket[?db=n]
//	redis+cluster://[user:password@]host[:port],…       rediss+cluster://
//	redis+sentinel://[user:password@]host[:port],…/master[?db=n]   rediss+sentinel://
//
// net/url would refuse the lists of hosts. No part of s is in the error, because any part may be the password.
func ParseRedis(s string) (Redis, error) {
	scheme, rest, _ := strings.Cut(s, "://")
	for _, form := range redisForms {
		if form.scheme != scheme || !strings.Contains(s, "://") {
			continue
		}
		u := Redis{Mode: form.mode, TLS: form.tls}
		rest, err := u.parseUser(rest, scheme == "unix")
		if err != nil {
			return Redis{}, err
		}
		rest, query, _ := strings.Cut(rest, "?")
		if err := u.parsePlace(rest, form.port); err != nil {
			return Redis{}, err
		}
		if err := u.parseQuery(query); err != nil {
			return Redis{}, err
		}
		return u, nil
	}
	var schemes []string
	for _, form := range redisForms {
		schemes = append(schemes, form.scheme+"://")
	}
	return Redis{}, fmt.Errorf("must begin with one of %s", strings.Join(schemes, ", "))
}

// parseUser cuts the user and password off. They end at the last @ (on a socket, at the first before a path), so that
// a password with a slash or an @ in it works even when nobody has escaped it.
func (u *Redis) parseUser(rest string, socket bool) (string, error) {
	end := strings.LastIndex(rest, "@")
	if socket {
		end = strings.Index(rest, "@/")
	}
	if end < 0 || socket && strings.HasPrefix(rest, "/") {
		return rest, nil
	}
	user, password, _ := strings.Cut(rest[:end], ":")
	var errUser, errPassword error
	u.Username, errUser = url.PathUnescape(user)
	u.Password, errPassword = url.PathUnescape(password)
	if errUser != nil || errPassword != nil {
		return "", errors.New("has a percent sign in the user or password that escapes nothing: write it as %25")
	}
	return rest[end+1:], nil
}

// parsePlace reads what stands between the user and the question mark.
func (u *Redis) parsePlace(rest, defaultPort string) error {
	if defaultPort == "" {
		if !strings.HasPrefix(rest, "/") || len(rest) < 2 {
			return errors.New("must name a socket with its whole path, such as unix:///run/redis.sock")
		}
		u.Socket = rest
		return nil
	}
	hosts, path, _ := strings.Cut(rest, "/")
	if err := u.parseHosts(hosts, defaultPort); err != nil {
		return err
	}
	switch u.Mode {
	case Cluster:
		if path != "" {
			return errors.New("must have nothing after the hosts: a cluster has no other databases")
		}
	case Sentinel:
		if !masterNamePattern.MatchString(path) {
			return errors.New("must name the master after the hosts, such as redis+sentinel://a:26379,b:26379/mymaster")
		}
		u.MasterName = path
	default:
		if path != "" {
			return u.parseDB(path)
		}
	}
	return nil
}

func (u *Redis) parseHosts(list, defaultPort string) error {
	hosts := strings.Split(list, ",")
	if u.Mode == Standalone && len(hosts) > 1 {
		return errors.New("must name one host; several need redis+cluster:// or redis+sentinel://")
	}
	if len(hosts) > maxRedisHosts {
		return fmt.Errorf("must name at most %d hosts, not %d", maxRedisHosts, len(hosts))
	}
	for i, h := range hosts {
		if !strings.Contains(h, ":") || strings.HasPrefix(h, "[") && strings.HasSuffix(h, "]") {
			h += ":" + defaultPort
		}
		host, port, err := net.SplitHostPort(h)
		if err != nil || !IsHost(host) || !IsPort(port, 1) {
			return fmt.Errorf("must have host or host:port in place %d, with a port from 1 to 65535", i+1)
		}
		u.Addrs = append(u.Addrs, net.JoinHostPort(host, port))
	}
	return nil
}

func (u *Redis) parseQuery(query string) error {
	if query == "" {
		return nil
	}
	db, ok := strings.CutPrefix(query, "db=")
	if !ok || u.Mode == Cluster {
		return errors.New("has options that are not known; the only one is ?db=, and not for a cluster")
	}
	return u.parseDB(db)
}

func (u *Redis) parseDB(s string) error {
	db, err := strconv.ParseUint(s, 10, 16)
	if err != nil || db > maxRedisDB {
		return fmt.Errorf("must have a database number from 0 to %d", maxRedisDB)
	}
	u.DB = int(db)
	return nil
}

// UnmarshalText is ParseRedis, with "" for none.
func (u *Redis) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*u = Redis{}
		return nil
	}
	parsed, err := ParseRedis(string(text))
	if err == nil {
		*u = parsed
	}
	return err
}

// IsZero reports whether none was given.
func (u Redis) IsZero() bool { return u.Mode == "" }

// IsLoopback reports whether all of it is on this machine.
func (u Redis) IsLoopback() bool {
	return u.Socket != "" ||
		len(u.Addrs) > 0 && !slices.ContainsFunc(u.Addrs, func(a string) bool { return !IsLoopback(a) })
}

// String returns the address with *** for the user and password, and "" for none.
func (u Redis) String() string {
	if u.IsZero() {
		return ""
	}
	s := "redis"
	if u.TLS {
		s = "rediss"
	}
	if u.Socket != "" {
		s = "unix"
	}
	if u.Mode != Standalone {
		s += "+" + string(u.Mode)
	}
	s += "://"
	if u.Username != "" || u.Password != "" {
		s += "***" + "@"
	}
	s += u.Socket + strings.Join(u.Addrs, ",")
	if u.MasterName != "" {
		s += "/" + u.MasterName
	}
	switch {
	case u.DB == 0:
		return s
	case u.Socket != "" || u.MasterName != "":
		return s + "?db=" + strconv.Itoa(u.DB)
	}
	return s + "/" + strconv.Itoa(u.DB)
}

// Format prints String for every verb.
func (u Redis) Format(f fmt.State, _ rune) { io.WriteString(f, u.String()) }

// Reveal returns the address with the user and password, in a form that ParseRedis reads.
func (u Redis) Reveal() string {
	if u.Username == "" && u.Password == "" {
		return u.String()
	}
	user := url.PathEscape(u.Username)
	if u.Password != "" {
		user += ":" + url.PathEscape(u.Password)
	}
	return strings.Replace(u.String(), "***", user, 1)
}

// MarshalText keeps the user and password out of JSON and of slog.
func (u Redis) MarshalText() ([]byte, error) { return []byte(u.String()), nil }
