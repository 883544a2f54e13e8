package redistest

import (
	"errors"
	"fmt"
	"time"
)

// failoverRetry is when a failover is asked for again: Redis gives one up after five seconds.
const failoverRetry = 6 * time.Second

// MasterOf returns the node that serves key's slot. In the middle of a failover it waits for the new one.
func (c *ClusterSet) MasterOf(key string) *Server {
	c.tb.Helper()
	slot := c.Slot(key)
	var owner *Server
	err := poll(clusterLimit, func() error {
		owner = c.owner(slot)
		if owner == nil {
			return fmt.Errorf("no node that runs serves slot %d", slot)
		}
		return nil
	})
	if err != nil {
		c.tb.Fatalf("redistest: master of %q: %v", key, err)
	}
	return owner
}

// owner asks the nodes themselves. A master that slept through a failover still claims its slots, so the
// highest epoch wins, as it will among the nodes.
func (c *ClusterSet) owner(slot int) *Server {
	var owner *Server
	var epoch int64
	for _, s := range c.Nodes {
		me, err := s.self()
		if err == nil && me.master && me.owns(slot) && (owner == nil || me.epoch > epoch) {
			owner, epoch = s, me.epoch
		}
	}
	return owner
}

// ReplicaOf returns a running replica of master, which may be down itself, or nil if it has none.
func (c *ClusterSet) ReplicaOf(master *Server) *Server {
	for _, s := range c.Nodes {
		if me, err := s.self(); err == nil && !me.master && me.of == c.ids[master] {
			return s
		}
	}
	return nil
}

// Slot returns key's hash slot.
func (c *ClusterSet) Slot(key string) int {
	c.tb.Helper()
	for _, s := range c.Nodes {
		if s.responsive() {
			return c.int(s, "CLUSTER", "KEYSLOT", key)
		}
	}
	c.tb.Fatalf("redistest: slot of %q: no node runs", key)
	return 0
}

// FailoverMode says how much agreement a replica needs to take over.
type FailoverMode string

// The modes that CLUSTER FAILOVER knows.
const (
	Graceful FailoverMode = ""         // the master hands over, and no write is lost
	Force    FailoverMode = "FORCE"    // the masters vote without asking the old one, which may be down
	Takeover FailoverMode = "TAKEOVER" // the replica asks nobody
)

// Failover makes a replica of master its successor, waits until all agree, and returns it.
func (c *ClusterSet) Failover(master *Server, mode FailoverMode) *Server {
	c.tb.Helper()
	replica := c.ReplicaOf(master)
	if replica == nil {
		c.tb.Fatalf("redistest: fail over %s: no replica runs", master.addr)
	}
	args := []any{"CLUSTER", "FAILOVER"}
	if mode != Graceful {
		args = append(args, string(mode))
	}
	var asked time.Time
	err := poll(clusterLimit, func() error {
		me, err := replica.self()
		if err != nil || me.master {
			return err
		}
		if time.Since(asked) > failoverRetry {
			asked = time.Now()
			if err := replica.do(args...).Err(); err != nil {
				return final{err}
			}
		}
		return errors.New("still a replica")
	})
	if err != nil {
		c.tb.Fatalf("redistest: fail over %s to %s: %v", master.addr, replica.addr, err)
	}
	c.WaitOK()
	return replica
}
