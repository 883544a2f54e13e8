package topics

import (
	"embed"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

//go:embed lua
var files embed.FS

// The scripts, named like their files in lua/. docs/redis.md says what the keys hold.
var (
	publishScript       = engine.MustLoad(files, "publish")
	acceptScript        = engine.MustLoad(files, "accept")
	quitScript          = engine.MustLoad(files, "quit")
	initScript          = engine.MustLoad(files, "init")
	loadScript          = engine.MustLoad(files, "load")
	configureScript     = engine.MustLoad(files, "configure")
	setSchemasScript    = engine.MustLoad(files, "set_schemas")
	schemaTextScript    = engine.MustLoad(files, "schema_text")
	retireScript        = engine.MustLoad(files, "retire")
	eraseScript         = engine.MustLoad(files, "erase")
	trimScript          = engine.MustLoad(files, "trim")
	subscribeScript     = engine.MustLoad(files, "subscribe")
	unsubscribeScript   = engine.MustLoad(files, "unsubscribe")
	releaseScript       = engine.MustLoad(files, "release")
	suspendScript       = engine.MustLoad(files, "suspend")
	subscriptionsScript = engine.MustLoad(files, "subscriptions")
	grantScript         = engine.MustLoad(files, "grant")
	holdingScript       = engine.MustLoad(files, "holding")

	readScript    = engine.MustLoad(files, "read")
	fetchScript   = engine.MustLoad(files, "fetch")
	advanceScript = engine.MustLoad(files, "advance")
	pickScript    = engine.MustLoad(files, "pick")
	markScript    = engine.MustLoad(files, "mark")
	restScript    = engine.MustLoad(files, "rest")
	watchScript   = engine.MustLoad(files, "watch")

	signingKeyScript = engine.MustLoad(files, "signing_key")

	readPatternsScript = engine.MustLoad(files, "read_patterns")
	putPatternScript   = engine.MustLoad(files, "put_pattern")
	savePatternScript  = engine.MustLoad(files, "save_pattern")
	dropPatternsScript = engine.MustLoad(files, "drop_patterns")

	indexScript = engine.MustLoad(files, "index")
	dueScript   = engine.MustLoad(files, "due")
)

// parts are the keys of a topic in the order in which every script declares them; see lua/lib/topic.lua.
var parts = [...]string{"th", "tl", "ti", "td", "to", "ts", "tp", "tm"}

// topicKeys returns the keys of the topic with the given uid.
func topicKeys(t tenants.ID, uid string) []string {
	keys := make([]string, len(parts))
	for i, p := range parts {
		keys[i] = engine.Key(t.String(), uid, p)
	}
	return keys
}

// patternKeys are the record of a tenant and its topic subscriptions.
func patternKeys(t tenants.ID) []string {
	return []string{engine.TenantKey(t.String(), "tenant"), engine.TenantKey(t.String(), "topic-subscriptions")}
}

// indexKey is the key that says which topics of all tenants have something to do, and when to look at them.
func indexKey() string { return engine.SystemKey("topics") }

// signingKeyKey is the key that holds what notifications are signed with.
func signingKeyKey() string { return engine.SystemKey("sns-key") }

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
