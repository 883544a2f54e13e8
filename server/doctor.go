package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/embedded"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// Finding is one line of the doctor.
type Finding = handlers.Finding

// Verdict is what the doctor thinks of one thing.
type Verdict = handlers.Verdict

// The verdicts, from good to bad.
const (
	VerdictOK   = handlers.VerdictOK
	VerdictWarn = handlers.VerdictWarn
	VerdictFail = handlers.VerdictFail
)

// readMore says where the documentation explains each check.
var readMore = map[string]string{
	"configuration":  "docs/configuration.md#settings",
	"data directory": "docs/operations.md#the-data-directory",
	"certificate":    "docs/operations.md#tls",
	"server":         "docs/operations.md#health",
	"webhooks":       "docs/webhooks.md#when-the-fault-is-on-this-side",
	"redis":          "docs/operations.md#redis",
	"durability":     "docs/operations.md#durability",
	"memory":         "docs/operations.md#room",
	"disk":           "docs/operations.md#room",
	"log of Redis":   "docs/operations.md#durability",
	"clock":          "docs/operations.md#health",
	"data set":       "docs/operations.md#the-data-directory",
	"master key":     "docs/operations.md#another-master-key",
	"queues":         "docs/operations.md#when-something-is-wrong",
	"signatures":     "docs/aws.md#what-to-know",
}

const (
	// doctorLimit bounds one check, that of the queues apart.
	doctorLimit = 10 * time.Second
	// doctorQueues is how many queues are looked into, in the order of tenants and names.
	doctorQueues = 100
	// largeQueue is from where on a queue is so large that Redis stands still while it moves to another node.
	largeQueue = 256 << 20
	// clockNotice is from where on a difference of clocks is worth a look. Sluice itself bears 30 seconds.
	clockNotice = time.Second
	// certificateNotice is how long before its end a certificate is worth a look: whoever renews them by a program does it earlier.
	certificateNotice = 14 * 24 * time.Hour
)

// Doctor looks at the installation that c describes, from where its server runs, and says what is wrong with it. It
// changes nothing. The first findings are there even when Redis does not answer.
func Doctor(ctx context.Context, c Config) []Finding {
	logging.Disable()
	d := &doctor{config: c}
	d.lookFromOutside(ctx)
	return d.findings
}

// DoctorCommand runs "sluice doctor" with the settings of serve, and --json. Its status is 0 when all is well, 1 when
// something is worth a look, 2 when something is wrong.
func DoctorCommand(ctx context.Context, args, environ []string, out, errOut io.Writer) int {
	asJSON := slices.Contains(args, "--json")
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--json" })
	var found []Finding
	switch c, err := LoadConfig(args, environ); {
	case errors.Is(err, ErrHelp):
		fmt.Fprint(out, "sluice doctor [--json] [settings of serve] looks at an installation, changes nothing, and says what to do.\n"+
			"Its status is 0 when all is well, 1 when something is worth a look, 2 when something is wrong.\n")
		return 0
	case err != nil:
		d := &doctor{}
		d.say("configuration", VerdictFail, "Correct the setting; \"sluice serve --help\" lists them.", "%s", err)
		found = d.findings
	default:
		found = Doctor(ctx, c)
	}
	status := 0
	for _, f := range found {
		status = max(status, map[Verdict]int{VerdictOK: 0, VerdictWarn: 1, VerdictFail: 2}[f.Verdict])
	}
	if err := printFindings(out, found, asJSON); err != nil {
		fmt.Fprintln(errOut, "sluice:", err)
		return 2
	}
	return status
}

func printFindings(w io.Writer, found []Finding, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"findings": found})
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range found {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", f.Verdict, f.Check, f.Detail)
		if f.Fix != "" {
			fmt.Fprintf(tw, "\t\t→ %s\n", f.Fix)
		}
	}
	return tw.Flush()
}

// doctor is one look at an installation, from outside or by a server at itself.
type doctor struct {
	config   Config
	master   *keyring.Master
	have     engine.Identity                    // what Redis says; set by lookAtData, as is the next
	root     *keyring.Keyring                   // what the master key opens
	disk     func(used int64, full bool) string // nil for a Redis of the operator's own
	engine   *engine.Engine
	tenants  *tenants.Store
	queues   *queues.Store
	deepest  int64 // messages of the largest queue that is looked into; 0: no matter how many
	nameless bool  // findings say ids where they would name what is a tenant's
	findings []Finding
}

func (d *doctor) say(check string, v Verdict, fix, format string, args ...any) {
	d.findings = append(d.findings, Finding{Check: check, Verdict: v, Detail: fmt.Sprintf(format, args...), Fix: fix, Docs: readMore[check]})
}

func (d *doctor) ok(check, format string, args ...any) { d.say(check, VerdictOK, "", format, args...) }

// lookFromOutside goes on for as long as what comes next can be looked at.
func (d *doctor) lookFromOutside(ctx context.Context) {
	d.lookAtConfig()
	d.lookAtCertificate()
	if !d.lookAtFiles() {
		return
	}
	d.lookAtServer(askReady(ctx, d.config.Listen, d.config.TLSCert != ""))
	if !d.connect() {
		return
	}
	defer func() { _ = d.engine.Close() }()
	d.lookAtStorage(ctx)
}

// lookAtStorage looks at Redis and what it holds.
func (d *doctor) lookAtStorage(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, doctorLimit)
	defer cancel()
	if !d.lookAtRedis(limited) || !d.lookAtData(limited) {
		return
	}
	if d.tenants == nil {
		d.tenants = tenants.New(d.engine, clock.Real{})
		d.queues = queues.New(queues.Config{Engine: d.engine, ReceiptKey: d.root.Derive("receipts")})
	}
	d.lookAtQueues(ctx)
	d.lookAtSignatures(ctx)
}

func (d *doctor) lookAtConfig() {
	warnings := d.config.Warnings()
	for _, w := range warnings {
		d.say("configuration", VerdictWarn, "See docs/configuration.md.", "%s", w)
	}
	if len(warnings) == 0 {
		d.ok("configuration", "valid, nothing unusual")
	}
}

// lookAtCertificate looks at the files of the listener's certificate, if it has one.
func (d *doctor) lookAtCertificate() {
	if d.config.TLSCert == "" {
		return
	}
	fix := "Renew it: a server takes the new files within five seconds."
	pair, err := tls.LoadX509KeyPair(d.config.TLSCert, d.config.TLSKey)
	if err != nil {
		d.say("certificate", VerdictFail, "Bring the files back: a server goes on with what it has read, and does not start again.", "%v", err)
		return
	}
	left := time.Until(pair.Leaf.NotAfter)
	until := pair.Leaf.NotAfter.UTC().Format(time.RFC3339)
	switch why := doubts(pair.Leaf, d.config.publicHost(), time.Now()); {
	case len(why) > 0:
		d.say("certificate", VerdictFail, fix, "clients may refuse it: %s", strings.Join(why, ", "))
	case left < certificateNotice:
		d.say("certificate", VerdictWarn, fix, "it expires at %s, in %d days", until, int(left/(24*time.Hour)))
	default:
		d.ok("certificate", "valid until %s", until)
	}
}

// lookAtFiles reports whether the installation's secret is there.
func (d *doctor) lookAtFiles() bool {
	dir := d.config.DataDir
	fix := "Start the server once, or point SLUICE_DATA_DIR at its data directory."
	if _, err := os.Stat(dir); err != nil {
		d.say("data directory", VerdictFail, fix, "%v", err)
		return false
	}
	_, err := os.Stat(filepath.Join(dir, keyring.FileName))
	if errors.Is(err, os.ErrNotExist) && d.config.MasterKey.base64() == "" {
		d.say("data directory", VerdictFail, fix, "%s holds no master key: no server has started here", dir)
		return false
	}
	if d.master, _, err = keyring.Open(dir, d.config.MasterKey.base64(), nil); err != nil {
		d.say("data directory", VerdictFail, "Bring the master key back from your copy of it.", "%v", err)
		return false
	}
	var open []string
	for _, name := range []string{keyring.FileName, newKeyFile, operatorKeyFile, defaultKeyFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().Perm()&0o077 != 0 {
			open = append(open, name)
		}
	}
	if len(open) > 0 {
		d.say("data directory", VerdictFail, "Make the files readable by the server's user only: chmod 600.", "others may read %s in %s", strings.Join(open, ", "), dir)
	} else {
		d.ok("data directory", "%s, with keys that only their owner may read", dir)
	}
	return true
}

// lookAtServer says what the server thinks of itself; err is that there is none that answers.
func (d *doctor) lookAtServer(r readiness, err error) {
	switch {
	case err != nil:
		d.say("server", VerdictWarn, "Start it with \"sluice serve\".", "no server answers on %s: %v", d.config.Listen, err)
	case r.Status != "ready":
		var why []string
		for _, reason := range r.Reasons {
			why = append(why, reason.Detail)
		}
		d.say("server", VerdictFail, "See the findings below, and the server's log.", "not ready: %s", strings.Join(why, " "))
	case r.Version != Version:
		d.say("server", VerdictWarn, "Restart the server with the program that is installed, or run the doctor of its version.", "ready, of version %s while this program is %s", r.Version, Version)
	default:
		d.ok("server", "ready on %s, version %s", d.config.Listen, r.Version)
	}
	switch {
	case err != nil:
	case r.Outage != "":
		d.say("webhooks", VerdictFail, "Look at this machine's network, firewall, name server and clock.", "%s", outageWarning(r.Outage))
	default:
		d.ok("webhooks", "the way to their endpoints is not blocked")
	}
}

// askReady asks /readyz of a server on this machine. Its certificate is for the names that others call it by.
func askReady(ctx context.Context, listen string, secure bool) (readiness, error) {
	var r readiness
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return r, err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, doctorLimit)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return r, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(doctorLimit))
	if secure {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // nothing secret is said
	}
	if _, err := fmt.Fprintf(conn, "GET /readyz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", listen); err != nil {
		return r, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return r, err
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&r); err != nil {
		return r, fmt.Errorf("this is no Sluice: %w", err)
	}
	return r, nil
}

// connect opens the Redis that the server uses, which need not answer yet.
func (d *doctor) connect() bool {
	url, ok := d.findRedis()
	if !ok {
		return false
	}
	var err error
	if d.engine, err = engine.Open(engine.Options{URL: url, Budget: doctorLimit / 2}); err != nil {
		d.say("redis", VerdictFail, "Correct SLUICE_REDIS_URL.", "%v", err)
		return false
	}
	return true
}

// findRedis returns the URL of the Redis that the server uses.
func (d *doctor) findRedis() (string, bool) {
	if !d.config.RedisURL.IsZero() {
		return d.config.RedisURL.Reveal(), true
	}
	running, err := embedded.Find(d.config.DataDir)
	if err != nil {
		d.say("redis", VerdictFail, "Start the server, or set SLUICE_REDIS_URL as it does. One that keeps everything in memory cannot be looked into.", "%v", err)
		return "", false
	}
	d.disk = running.DiskFull
	return running.URL(), true
}

// lookAtRedis reports whether Redis answers.
func (d *doctor) lookAtRedis(ctx context.Context) bool {
	dur, err := d.engine.Durability(ctx)
	if err != nil {
		d.say("redis", VerdictFail, "Start Redis, or correct SLUICE_REDIS_URL.", "%v", err)
		return false
	}
	d.ok("redis", "answers, version %s", dur.Version)
	for _, u := range dur.Unsafe {
		d.say("durability", VerdictFail, "Change the setting of Redis.", "%s", u)
	}
	for _, w := range dur.Warnings {
		d.say("durability", VerdictWarn, "See docs/operations.md, Durability.", "%s", w)
	}
	if d.engine.Memory() {
		d.say("durability", VerdictWarn, "Install redis-server or valkey-server, or set SLUICE_REDIS_URL.", "everything is in the memory of the server, and lost when it ends")
		return true // it has no limit, files or clock of its own
	}
	if len(dur.Unsafe)+len(dur.Warnings) == 0 {
		d.ok("durability", "%s", dur.Level)
	}
	vitals, err := d.engine.Vitals(ctx)
	if err != nil {
		d.say("redis", VerdictFail, "Look into the log of Redis.", "%v", err)
		return false
	}
	for _, v := range vitals {
		d.lookAtNode(v)
	}
	if d.disk != nil {
		if why := d.disk(vitals[0].Used, true); why != "" {
			d.say("disk", VerdictFail, "Make room: sends are refused, and Redis ends when it cannot write.", "%s", why)
		} else {
			d.ok("disk", "room enough, also for a rewrite of the log")
		}
	}
	return true
}

func (d *doctor) lookAtNode(v engine.Vitals) {
	switch share := v.Share(); {
	case share >= 0.8:
		d.say("memory", VerdictFail, "Empty queues, or give Redis more memory: sends are refused from 85 % on.", "%s uses %d %% of %d MiB", v.Addr, int(share*100), v.Limit>>20)
	case v.Limit == 0:
		d.say("memory", VerdictWarn, "Set maxmemory: otherwise the system ends Redis when memory runs out.", "%s uses %d MiB and has no limit", v.Addr, v.Used>>20)
	default:
		d.ok("memory", "%s uses %d of %d MiB", v.Addr, v.Used>>20, v.Limit>>20)
	}
	if len(v.Troubles) > 0 {
		d.say("log of Redis", VerdictFail, "Look into the log of Redis: its disk may be full or broken.", "%s: %s", v.Addr, strings.Join(v.Troubles, ", "))
	}
	if off := v.ClockOff.Abs(); off > clockNotice {
		d.say("clock", VerdictWarn, "Let NTP set the clocks; from 30 seconds on the queue clock goes by Redis alone.", "%s is %s away from this machine", v.Addr, off.Round(time.Millisecond))
	} else {
		d.ok("clock", "%s agrees with this machine to %s", v.Addr, off.Round(time.Millisecond))
	}
}

// lookAtData reports whether Redis holds this installation's data, and the master key opens it.
func (d *doctor) lookAtData(ctx context.Context) bool {
	have, err := d.engine.Claim(ctx, engine.Identity{}, false)
	root, sealed := openRoot(d.master, have)
	known := ""
	if raw, err := os.ReadFile(filepath.Join(d.config.DataDir, installationFile)); err == nil && !d.engine.Memory() {
		known = strings.TrimSpace(string(raw))
	}
	fix := "Connect the right Redis, or bring its data back. Do not start a server before."
	switch {
	case errors.Is(err, engine.ErrNoInstallation):
		d.say("data set", VerdictFail, fix, "Redis is empty: it holds no installation")
	case err != nil:
		d.say("data set", VerdictFail, fix, "%v", err)
	case known != "" && have.Epoch != known:
		d.say("data set", VerdictFail, fix, "Redis holds another installation than %s belongs to", d.config.DataDir)
	case errors.Is(sealed, keyring.ErrOtherKey):
		d.say("data set", VerdictFail, "Give this server the master key of the installation.", "%v", sealed)
	case sealed != nil:
		d.say("data set", VerdictFail, fix, "%v", sealed)
	case have.Region != d.config.Region:
		d.say("data set", VerdictFail, "Set SLUICE_REGION to "+have.Region+".", "the data belongs to region %s, not %s", have.Region, d.config.Region)
	default:
		d.ok("data set", "installation %s, which the master key opens", have.Epoch)
		d.have, d.root = have, root
		d.lookAtKey()
		return true
	}
	return false
}

// lookAtKey looks whether a rotation of the master key was begun and not finished.
func (d *doctor) lookAtKey() {
	if d.have.Next == "" {
		d.ok("master key", "%s, and no other opens the installation", d.master.Fingerprint())
		return
	}
	d.say("master key", VerdictWarn, "Give the new one to all servers, then call \"sluice rotate-master-key --finish\" with it.",
		"two open the installation, %s and the new one, %s: a rotation is not finished", owner(d.have), keyring.SealedBy(d.have.Next))
}

// lookAtQueues holds the invariants against the first queues.
func (d *doctor) lookAtQueues(ctx context.Context) {
	seen, busy, deep, bad := 0, 0, 0, 0
	each := func(t tenants.Tenant, q queues.Listing) error {
		seen++
		name := d.nameOf(t) + "/" + q.Name
		if d.nameless {
			name = "a queue of " + d.nameOf(t)
		}
		if q.Bytes > largeQueue {
			d.say("queues", VerdictWarn, "Consume or purge it; in a Cluster such a queue stands still while its slot moves.", "%s holds %d MiB", name, q.Bytes>>20)
		}
		if d.deepest > 0 && q.Available+q.InFlight+q.Delayed > d.deepest {
			deep++
			return nil
		}
		r, err := d.queues.Check(ctx, t.ID, q.Name)
		switch {
		case errors.Is(err, queues.ErrQueueNotFound):
		case err != nil:
			return err
		case r.Used && len(r.Violations) > 0:
			busy++
		case len(r.Violations) > 0:
			bad++
			what := strings.Join(r.Violations[:min(3, len(r.Violations))], "; ")
			if d.nameless {
				what = fmt.Sprintf("%d violations", len(r.Violations))
			}
			d.say("queues", VerdictFail, "This is a fault of Sluice or of Redis: please report it with this line.", "%s: %s", name, what)
		}
		return nil
	}
	err := eachQueue(ctx, d.tenants, d.queues, doctorQueues, each)
	late := errors.Is(ctx.Err(), context.DeadlineExceeded)
	if err != nil && !late {
		d.say("queues", VerdictFail, "Look into the log of Redis.", "%v", err)
		return
	}
	var but []string
	if busy > 0 {
		but = append(but, fmt.Sprintf("%d were in use", busy))
	}
	if deep > 0 {
		but = append(but, fmt.Sprintf("%d have more than %d messages, into which only \"sluice doctor\" looks", deep, d.deepest))
	}
	if late {
		but = append(but, "then the time was over")
	}
	switch {
	case bad > 0:
	case len(but) > 0:
		d.ok("queues", "%d of %d looked at are whole, %s", seen-busy-deep, seen, strings.Join(but, ", "))
	default:
		d.ok("queues", "%d looked at, all whole", seen)
	}
}

// nameOf says which tenant it is.
func (d *doctor) nameOf(t tenants.Tenant) string {
	if d.nameless {
		return t.ID.String()
	}
	return t.Name
}

// lookAtSignatures names tenants that are let in without a signature.
func (d *doctor) lookAtSignatures(ctx context.Context) {
	found := 0
	for after := ""; ; {
		page, next, err := d.tenants.List(ctx, "", tenants.MaxPage, after)
		if err != nil {
			d.say("signatures", VerdictFail, "Look into the log of Redis.", "%v", err)
			return
		}
		for _, t := range page {
			if t.AnySignature {
				found++
				d.say("signatures", VerdictWarn, `PATCH /v1/tenants/`+d.nameOf(t)+` {"aws_any_signature":false}`,
					"who is on the machine of a server needs no secret for what is of tenant %s", d.nameOf(t))
			}
		}
		if after = next; next == "" {
			break
		}
	}
	if found == 0 {
		d.ok("signatures", "all are verified")
	}
}

// eachQueue calls f for the first limit queues of all tenants.
func eachQueue(ctx context.Context, held *tenants.Store, store *queues.Store, limit int, f func(tenants.Tenant, queues.Listing) error) error {
	for after := ""; ; {
		page, next, err := held.List(ctx, "", tenants.MaxPage, after)
		if err != nil {
			return err
		}
		for _, t := range page {
			names, _, err := store.Names(ctx, t.ID, "", "", limit)
			if err != nil {
				return err
			}
			found, err := store.Listings(ctx, t.ID, names)
			if err != nil {
				return err
			}
			for _, q := range found {
				if err := f(t, q); err != nil {
					return err
				}
			}
			if limit -= len(found); limit <= 0 {
				return nil
			}
		}
		if after = next; after == "" {
			return nil
		}
	}
}
