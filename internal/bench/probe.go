package bench

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/PID/stat: USER_HZ is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// probe looks at the processes behind the target from outside. What it cannot find stays unknown.
type probe struct {
	serverPID int // 0: unknown
	redisPID  int // 0: unknown
	redis     *redisClient
	notes     []string
}

func newProbe(cfg Config, t *target) *probe {
	p := &probe{serverPID: cfg.ServerPID, redisPID: cfg.RedisPID}
	if p.serverPID == 0 {
		p.serverPID = listener(t.address)
	}
	if p.serverPID == 0 {
		p.notes = append(p.notes, "the server's process was not found: give --server-pid to count its CPU")
	}
	redisURL := cfg.RedisURL
	if redisURL == "" {
		redisURL = childRedis(p.serverPID)
	}
	if redisURL == "" {
		p.notes = append(p.notes, "Redis was not found: give --redis-url to count its CPU, memory, AOF bytes and commands")
		return p
	}
	client, err := newRedisClient(redisURL)
	var server map[string]string
	if err == nil {
		server, err = client.info("server")
	}
	if err != nil {
		p.notes = append(p.notes, "Redis cannot be asked: "+err.Error())
		return p
	}
	p.redis = client
	if p.redisPID == 0 && client.local() {
		p.redisPID, _ = strconv.Atoi(server["process_id"])
	}
	if _, known := processCPU(p.redisPID); !known {
		p.redisPID = 0 // in a container, its number means nothing here
		p.notes = append(p.notes, "Redis's process was not found: give --redis-pid to count its CPU")
	}
	return p
}

func (p *probe) close() {
	if p.redis != nil {
		p.redis.close()
	}
}

// usage is what a stretch of work took. A figure without its Known means nothing.
type usage struct {
	elapsed                              time.Duration
	client, server, redis                time.Duration // CPU, user plus system
	clientKnown, serverKnown, redisKnown bool
	aofPerSecond                         float64 // bytes
	aofKnown                             bool
}

// plus returns what two stretches of work took together.
func (u usage) plus(v usage) usage {
	sum := usage{
		elapsed: u.elapsed + v.elapsed, client: u.client + v.client, server: u.server + v.server, redis: u.redis + v.redis,
		clientKnown: u.clientKnown && v.clientKnown, serverKnown: u.serverKnown && v.serverKnown, redisKnown: u.redisKnown && v.redisKnown,
		aofKnown: u.aofKnown && v.aofKnown,
	}
	sum.aofPerSecond = (u.aofPerSecond*u.elapsed.Seconds() + v.aofPerSecond*v.elapsed.Seconds()) / sum.elapsed.Seconds()
	return sum
}

// meter measures from start to stop.
type meter struct {
	probe                                *probe
	begun                                time.Time
	client, server, redis                time.Duration
	clientKnown, serverKnown, redisKnown bool
	aof                                  *aofMeter
}

func (p *probe) start() *meter {
	m := &meter{probe: p}
	if p.redis != nil {
		m.aof = startAOFMeter(p.redis)
	}
	m.client, m.clientKnown = processCPU(os.Getpid())
	m.server, m.serverKnown = processCPU(p.serverPID)
	m.redis, m.redisKnown = processCPU(p.redisPID)
	m.begun = time.Now()
	return m
}

func (m *meter) stop() usage {
	u := usage{elapsed: time.Since(m.begun)}
	since := func(pid int, before time.Duration, knownBefore bool) (time.Duration, bool) {
		now, known := processCPU(pid)
		return now - before, known && knownBefore
	}
	u.client, u.clientKnown = since(os.Getpid(), m.client, m.clientKnown)
	u.server, u.serverKnown = since(m.probe.serverPID, m.server, m.serverKnown)
	u.redis, u.redisKnown = since(m.probe.redisPID, m.redis, m.redisKnown)
	if m.aof != nil {
		u.aofPerSecond, u.aofKnown = m.aof.stop()
	}
	return u
}

// aofPeriod is how often the AOF's size is read. A rewrite spoils one period, not the run.
const aofPeriod = 200 * time.Millisecond

// aofMeter measures how fast the append-only file grows, leaving out the periods in which a rewrite replaced it.
type aofMeter struct {
	redis *redisClient
	quit  chan struct{}
	done  chan struct{}
	last  aofSize
	bytes float64
	time  time.Duration
}

type aofSize struct {
	at            time.Time
	current, base float64
	known         bool
}

func startAOFMeter(redis *redisClient) *aofMeter {
	m := &aofMeter{redis: redis, quit: make(chan struct{}), done: make(chan struct{})}
	m.last = m.read()
	go func() {
		defer close(m.done)
		ticker := time.NewTicker(aofPeriod)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				m.step()
			case <-m.quit:
				m.step()
				return
			}
		}
	}()
	return m
}

func (m *aofMeter) read() aofSize {
	info, err := m.redis.info("persistence")
	s := aofSize{at: time.Now()}
	if err != nil || info["aof_enabled"] != "1" {
		return s
	}
	s.current, err = strconv.ParseFloat(info["aof_current_size"], 64)
	s.known = err == nil
	s.base, _ = strconv.ParseFloat(info["aof_base_size"], 64)
	return s
}

func (m *aofMeter) step() {
	now := m.read()
	if m.last.known && now.known && now.base == m.last.base && now.current >= m.last.current {
		m.bytes += now.current - m.last.current
		m.time += now.at.Sub(m.last.at)
	}
	m.last = now
}

// stop returns bytes a second.
func (m *aofMeter) stop() (float64, bool) {
	close(m.quit)
	<-m.done
	return m.bytes / m.time.Seconds(), m.time > 0
}

// Redis's memory has settled when two looks at it, settlePause apart, agree.
const (
	settlePause   = 250 * time.Millisecond
	settleLooks   = 40
	settledWithin = 0.0005 // of the value
	settledBytes  = 4096
)

// storedBytes returns the memory that Redis uses for what it stores: without its clients' buffers and the AOF's.
func (p *probe) storedBytes(ctx context.Context, pause time.Duration) (float64, error) {
	last := math.Inf(-1)
	for range settleLooks {
		info, err := p.redis.info("memory")
		if err != nil {
			return 0, err
		}
		used, err := strconv.ParseFloat(info["used_memory"], 64)
		if err != nil {
			return 0, fmt.Errorf("read used_memory: %w", err)
		}
		for _, buffers := range []string{"mem_clients_normal", "mem_aof_buffer"} {
			if n, err := strconv.ParseFloat(info[buffers], 64); err == nil {
				used -= n
			}
		}
		if math.Abs(used-last) <= max(settledBytes, settledWithin*used) {
			return used, nil
		}
		last = used
		if sleep(ctx, pause); ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	return last, nil // still moving a little: better than nothing
}

// processCPU returns the user and system time of all threads of a process, in steps of tick.
func processCPU(pid int) (time.Duration, bool) {
	fields := processStat(pid)
	if len(fields) < 13 {
		return 0, false
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick, err1 == nil && err2 == nil
}

// processStat returns the fields of /proc/PID/stat behind the name, which may itself hold spaces: state, parent, ….
func processStat(pid int) []string {
	if pid <= 0 {
		return nil
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	text := string(stat)
	return strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
}

// residentBytes returns how much memory a process occupies.
func residentBytes(pid int) (int64, bool) {
	if pid <= 0 {
		return 0, false
	}
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}

// listener returns the process that listens on address, when that is this machine and the process may be looked at; otherwise 0.
func listener(address string) int {
	host, port, err := net.SplitHostPort(address)
	if err != nil || !loopback(host) {
		return 0
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0
	}
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, _ := os.ReadFile(table)
		for line := range strings.Lines(string(text)) {
			const listening = "0A"
			f := strings.Fields(line) // number, local address, remote address, state, …, inode in the tenth
			if len(f) > 9 && f[3] == listening && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", number)) {
				sockets["socket:["+f[9]+"]"] = true
			}
		}
	}
	if len(sockets) == 0 {
		return 0
	}
	for _, pid := range processes() {
		files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		for _, file := range files {
			if link, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, file.Name())); sockets[link] {
				return pid
			}
		}
	}
	return 0
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func processes() []int {
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// childRedis returns the URL of the Redis that the server started, or nothing. Its command line names its socket.
func childRedis(server int) string {
	if server == 0 {
		return ""
	}
	for _, pid := range processes() {
		fields := processStat(pid)
		if len(fields) < 2 || fields[1] != strconv.Itoa(server) {
			continue
		}
		commandLine, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		args := strings.Split(string(commandLine), "\x00")
		at := slices.Index(args, "--unixsocket")
		if at < 0 || at+1 >= len(args) {
			continue
		}
		socket := args[at+1]
		if !filepath.IsAbs(socket) {
			dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
			if err != nil {
				continue
			}
			socket = filepath.Join(dir, socket)
		}
		return "unix://" + socket
	}
	return ""
}
