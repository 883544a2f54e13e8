package auth

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// noteEvery is how far apart two notes of the uses of one key are on each server, so that keys in use cost Redis one
	// small call a minute for each hundred, and requests cost it none.
	noteEvery = time.Minute
	// noteBudget bounds the last notes of a server that stops.
	noteBudget = time.Second
)

// use is when and from where a key was used last.
type use struct {
	millis  int64 // by the clock of Redis, since 1970
	address string
}

func (u use) String() string { return strconv.FormatInt(u.millis, 10) + " " + u.address }

func parseUse(text string) (u use) {
	millis, address, _ := strings.Cut(text, " ")
	u.millis, _ = strconv.ParseInt(millis, 10, 64)
	u.address = address
	return u
}

// noteUses tells Redis when keys were used. Those whose turn it is not, or of which Redis did not hear, come later.
func (a *Authenticator) noteUses(ctx context.Context) {
	now := a.now()
	list := a.known.unnoted(now - noteEvery)
	digests := make([]digest, 0, len(list))
	for d := range list {
		digests = append(digests, d)
	}
	for part := range slices.Chunk(digests, maxDrop) {
		uses, from := make([]use, len(part)), make([]*string, len(part))
		at := make([]int64, len(part))
		for i, d := range part {
			e := list[d]
			at[i], from[i] = e.used.Load(), e.from.Load()
			uses[i].millis = a.millis(time.Duration(at[i]))
			if from[i] != nil {
				uses[i].address = plainAddress(*from[i])
			}
		}
		keys := make([]digest, len(part))
		for i, d := range part {
			keys[i] = list[d].key
		}
		if a.keys.noteUses(ctx, keys, uses) != nil {
			return // the engine has logged it, and the next beat tries again
		}
		for i, d := range part {
			list[d].noted.Store(at[i])
			list[d].from.CompareAndSwap(from[i], nil)
		}
	}
}

func plainAddress(text string) string {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	return ip.Unmap().String()
}

// noteUses keeps when keys were used, unless it knows a later use.
func (k *KeyStore) noteUses(ctx context.Context, digests []digest, uses []use) error {
	var args []any
	for i, d := range digests {
		args = append(args, d.String(), uses[i].millis, uses[i].String())
	}
	_, err := k.run(ctx, noteUsesScript, []string{usesKey, recordsKey}, args...)
	return err
}

// uses returns when keys were last used, as far as it was noted.
func (k *KeyStore) uses(ctx context.Context, digests []digest) ([]use, error) {
	args := make([]any, len(digests))
	for i, d := range digests {
		args[i] = d.String()
	}
	got, err := k.run(ctx, usesScript, []string{usesKey}, args...)
	if err != nil {
		return nil, err
	}
	if len(got) != len(digests) {
		return nil, fmt.Errorf("uses of keys: %d answers to %d questions", len(got), len(digests))
	}
	list := make([]use, len(got))
	for i, text := range got {
		list[i] = parseUse(text)
	}
	return list, nil
}
