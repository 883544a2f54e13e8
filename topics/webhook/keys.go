package webhook

import (
	"embed"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

//go:embed lua
var files embed.FS

// The scripts, named like their files in lua/. docs/redis.md says what the keys hold.
var (
	configureScript = engine.MustLoad(files, "configure")
	enqueueScript   = engine.MustLoad(files, "enqueue")
	exchangeScript  = engine.MustLoad(files, "exchange")
	oldScript       = engine.MustLoad(files, "old")
	keepScript      = engine.MustLoad(files, "keep")
	lettersScript   = engine.MustLoad(files, "letters")
	postedScript    = engine.MustLoad(files, "posted")
	untoldScript    = engine.MustLoad(files, "untold")
	toldScript      = engine.MustLoad(files, "told")
	gateScript      = engine.MustLoad(files, "gate")
	secretsScript   = engine.MustLoad(files, "secrets")
	statusScript    = engine.MustLoad(files, "status")
	attemptsScript  = engine.MustLoad(files, "attempts")
	entryScript     = engine.MustLoad(files, "entry")
	noteScript      = engine.MustLoad(files, "note")
	challengeScript = engine.MustLoad(files, "challenge")
	verifiedScript  = engine.MustLoad(files, "verified")
	confirmScript   = engine.MustLoad(files, "confirm")
	askScript       = engine.MustLoad(files, "ask")
	askedScript     = engine.MustLoad(files, "asked")
	paceScript      = engine.MustLoad(files, "pace")
	reviveScript    = engine.MustLoad(files, "revive")
	eraseScript     = engine.MustLoad(files, "erase")
	recentScript    = engine.MustLoad(files, "recent")
	forgetScript    = engine.MustLoad(files, "forget")
	dueScript       = engine.MustLoad(files, "due")
	beatScript      = engine.MustLoad(files, "beat")
)

// shards is how many shards an installation has. It never changes: a webhook lies in the shard of its uid.
const shards = 64

func shardOf(uid string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(uid))
	return int(h.Sum32() % shards)
}

// tag is the hash tag of all keys of a shard.
func tag(shard int) string { return fmt.Sprintf("webhooks-%d", shard) }

// readyKey is the key that says when to look at which webhook of a shard.
func readyKey(shard int) string { return engine.Key("-", tag(shard), "ready") }

// beatKey is the key that says which servers send.
func beatKey() string { return engine.SystemKey("webhook-servers") }

// parts are the keys of a webhook in the order in which every script declares them, behind the shard's and before those of the tenant in the
// shard; see lua/lib/hook.lua.
var parts = [...]string{"wh", "wq", "ws", "wf", "we", "wd", "wg", "wl", "wx"}

// hookKeys returns the keys of a webhook.
func (id identity) keys() []string {
	shard := shardOf(id.uid)
	keys := append(make([]string, 0, 3+len(parts)), readyKey(shard))
	for _, p := range parts {
		keys = append(keys, engine.Key(id.tenant.String(), tag(shard), id.uid+"."+p))
	}
	return append(keys, recentKeys(id.tenant, shard)...)
}

// recentKeys are the keys of the latest attempts of all of a tenant's webhooks in a shard: those that arrived, and the others.
func recentKeys(t tenants.ID, shard int) []string {
	return []string{engine.Key(t.String(), tag(shard), "delivered"), engine.Key(t.String(), tag(shard), "undelivered")}
}

// parseIdentity reads what names a webhook in the index of a shard, or in a word between servers.
func parseIdentity(text, sep string) (identity, bool) {
	tenant, uid, ok := strings.Cut(text, sep)
	t, valid := tenants.ParseID(tenant)
	return identity{t, uid}, ok && valid && uid != ""
}

// An entry is the place of a message in the log, as hexadecimal digits, and in FIFO topics its group behind that.
const sequenceDigits = 14

func entryOf(sequence int64, topic string, group string) string {
	id := fmt.Sprintf("%0*x", sequenceDigits, sequence)
	if !queues.IsFIFOName(topic) {
		return id
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(group))
	return id + fmt.Sprintf("%016x", h.Sum64())
}

// sequenceOf returns the sequence number of an entry.
func sequenceOf(entry string) (int64, bool) {
	if len(entry) != sequenceDigits && len(entry) != sequenceDigits+16 {
		return 0, false
	}
	n, err := strconv.ParseInt(entry[:sequenceDigits], 16, 64)
	return n, err == nil && n >= 0
}
