package engine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Vitals are what tells of a master's health.
type Vitals struct {
	Addr     string
	Used     int64         // bytes of memory
	Limit    int64         // maxmemory; 0: none
	Troubles []string      // what Redis says that it could not write to disk
	ClockOff time.Duration // by how much its clock is ahead of ours
}

// Share returns which part of its memory is used, 0 where there is no limit.
func (v Vitals) Share() float64 {
	if v.Limit == 0 {
		return 0
	}
	return float64(v.Used) / float64(v.Limit)
}

// Vitals asks every master how it is, in the order of their addresses.
func (e *Engine) Vitals(ctx context.Context) ([]Vitals, error) {
	var mu sync.Mutex
	var all []Vitals
	err := e.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		info, err := c.Info(ctx, "memory", "persistence").Result()
		if err != nil {
			return fmt.Errorf("read INFO: %w", err)
		}
		asked := e.opt.Clock.Now()
		now, err := c.Time(ctx).Result()
		if err != nil {
			return fmt.Errorf("read TIME: %w", err)
		}
		answered := e.opt.Clock.Now()
		facts := parseInfo(info)
		v := memoryOf(facts)
		v.Addr = c.Options().Addr
		v.ClockOff = now.Sub(asked.Add(answered.Sub(asked) / 2))
		for _, name := range []string{"aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"} {
			if s := facts[name]; s != "" && s != "ok" {
				v.Troubles = append(v.Troubles, name+" is "+s)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, v)
		return nil
	})
	slices.SortFunc(all, func(a, b Vitals) int { return strings.Compare(a.Addr, b.Addr) })
	return all, err
}

// memoryOf reads how much memory a node uses.
func memoryOf(facts map[string]string) Vitals {
	var v Vitals
	v.Used, _ = strconv.ParseInt(facts["used_memory"], 10, 64)
	v.Limit, _ = strconv.ParseInt(facts["maxmemory"], 10, 64)
	return v
}
