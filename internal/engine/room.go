package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// A node takes nothing more from refuseShare of its maxmemory on, until it is below resumeShare again. What is left
// between is for those who empty it: a received message takes more room than one that waits.
const (
	refuseShare = 0.85
	resumeShare = 0.80
)

// errNoRoom says that a node is so full that a script which may fill it further was not sent.
var errNoRoom = errors.New("no room left")

// CheckRoom asks every master how much memory it uses, and from then on refuses with ErrFull what may fill one that is
// full: scripts whose flags are "none". also, unless nil, is told how many bytes a master uses, and returns why it
// takes nothing more all the same, or "". CheckRoom returns the reason of one node that is full, "" when none is.
//
// Redis itself refuses at maxmemory, so what fills up between two checks does no harm.
func (e *Engine) CheckRoom(ctx context.Context, also func(used int64) string) (string, error) {
	if e.opt.Memory {
		return "", nil
	}
	var mu sync.Mutex
	full := ""
	err := e.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		info, err := c.Info(ctx, "memory").Result()
		if err != nil {
			return fmt.Errorf("read INFO: %w", err)
		}
		v := memoryOf(parseInfo(info))
		n := e.node(c)
		why := v.outOfMemory(n.full.Load() != nil)
		if why == "" && also != nil {
			why = also(v.Used)
		}
		if why == "" {
			n.full.Store(nil)
			return nil
		}
		n.full.Store(&why)
		mu.Lock()
		defer mu.Unlock()
		full = why
		return nil
	})
	return full, err
}

// outOfMemory returns why a node takes nothing more, or "".
func (v Vitals) outOfMemory(full bool) string {
	share := refuseShare
	if full {
		share = resumeShare
	}
	if v.Share() < share {
		return ""
	}
	return fmt.Sprintf("Redis uses %d of %d MiB of memory.", v.Used>>20, v.Limit>>20)
}

// room returns errNoRoom with the reason when the node takes nothing from this script.
func (n *node) room(s *Script) error {
	if s.Drains || s.ReadOnly {
		return nil
	}
	if why := n.full.Load(); why != nil {
		return fmt.Errorf("%w: %s", errNoRoom, *why)
	}
	return nil
}
