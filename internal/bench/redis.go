package bench

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	redisLimit   = 10 * time.Second // a busy Redis answers INFO late
	maxRedisInfo = 1 << 20
)

// redisClient asks Redis for INFO, and knows no other command than that and AUTH.
type redisClient struct {
	url *url.URL

	mu     sync.Mutex
	conn   net.Conn // nil: not connected
	reader *bufio.Reader
}

// newRedisClient takes redis://, rediss:// or unix:// URLs, as the server does.
func newRedisClient(raw string) (*redisClient, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("its URL cannot be parsed") // the error would show the password
	}
	switch {
	case u.Scheme == "unix" && u.Path != "":
	case (u.Scheme == "redis" || u.Scheme == "rediss") && u.Host != "":
		if u.Port() == "" {
			u.Host = net.JoinHostPort(u.Hostname(), "6379")
		}
	default:
		return nil, fmt.Errorf("its URL must begin with redis://, rediss:// or unix:///, got %q", u.Redacted())
	}
	return &redisClient{url: u}, nil
}

// address is the URL without credentials; nothing for a nil client.
func (c *redisClient) address() string {
	if c == nil {
		return ""
	}
	return (&url.URL{Scheme: c.url.Scheme, Host: c.url.Host, Path: c.url.Path}).String()
}

func (c *redisClient) local() bool {
	return c.url.Scheme == "unix" || loopback(c.url.Hostname())
}

// info returns the fields of one section of INFO. A connection that has died in the meantime is made anew once.
func (c *redisClient) info(section string) (map[string]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.conn != nil
	text, err := c.ask("INFO", section)
	if err != nil && kept {
		text, err = c.ask("INFO", section)
	}
	if err != nil {
		return nil, fmt.Errorf("INFO %s from %s: %w", section, c.address(), err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			fields[name] = value
		}
	}
	return fields, nil
}

func (c *redisClient) number(section, field string) (float64, error) {
	fields, err := c.info(section)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(fields[field], 64)
}

func (c *redisClient) ask(words ...string) (string, error) {
	if c.conn == nil {
		if err := c.connect(); err != nil {
			return "", err
		}
	}
	answer, err := c.command(words...)
	if err != nil {
		c.drop()
	}
	return answer, err
}

func (c *redisClient) connect() error {
	network, address := "tcp", c.url.Host
	if c.url.Scheme == "unix" {
		network, address = "unix", c.url.Path
	}
	conn, err := net.DialTimeout(network, address, redisLimit) //nolint:noctx // its limit bounds it
	if err != nil {
		return err
	}
	if c.url.Scheme == "rediss" {
		conn = tls.Client(conn, &tls.Config{ServerName: c.url.Hostname(), MinVersion: tls.VersionTLS12})
	}
	c.conn, c.reader = conn, bufio.NewReader(conn)
	if password, ok := c.url.User.Password(); ok {
		words := []string{"AUTH", c.url.User.Username(), password}
		if words[1] == "" {
			words = []string{"AUTH", password}
		}
		if _, err := c.command(words...); err != nil {
			c.drop()
			return err
		}
	}
	return nil
}

// command sends words and reads a status, an error or a bulk string.
func (c *redisClient) command(words ...string) (string, error) {
	_ = c.conn.SetDeadline(time.Now().Add(redisLimit))
	request := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, word := range words {
		request = fmt.Appendf(request, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := c.conn.Write(request); err != nil {
		return "", err
	}
	line, err := c.reader.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	switch {
	case strings.HasPrefix(line, "+"):
		return line[1:], nil
	case strings.HasPrefix(line, "-"):
		return "", errors.New(line[1:])
	case strings.HasPrefix(line, "$"):
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < 0 || n > maxRedisInfo {
			return "", fmt.Errorf("answer of %q bytes", line[1:])
		}
		text := make([]byte, n+2)
		_, err = io.ReadFull(c.reader, text)
		return string(text[:n]), err
	}
	return "", fmt.Errorf("answer begins with %.20q, which is not Redis", line)
}

func (c *redisClient) drop() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

func (c *redisClient) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop()
}
