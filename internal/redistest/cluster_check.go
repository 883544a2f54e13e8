package redistest

import (
	"fmt"
	"slices"
	"strings"
)

// WaitOK waits until all nodes that run agree who owns what, all slots are served, and all replicas that
// run are in step with their masters. Nodes that are down or paused are left out.
func (c *ClusterSet) WaitOK() {
	c.tb.Helper()
	if err := poll(clusterLimit, c.check); err != nil {
		c.tb.Fatalf("redistest: cluster: %v", err)
	}
}

func (c *ClusterSet) check() error {
	agreed := ""
	for _, s := range c.Nodes {
		if !s.responsive() {
			continue
		}
		if err := c.serves(s); err != nil {
			return fmt.Errorf("node %s: %w", s.addr, err)
		}
		view, err := s.view()
		if err != nil {
			return err
		}
		if slices.ContainsFunc(view, func(m member) bool { return m.handshake }) {
			return fmt.Errorf("node %s is still being introduced", s.addr)
		}
		if t := topology(view); agreed == "" {
			agreed = t
		} else if t != agreed {
			return fmt.Errorf("node %s sees\n%s\nand another node\n%s", s.addr, t, agreed)
		}
		if err := c.inStep(s, view); err != nil {
			return err
		}
	}
	return nil
}

// serves returns nil if the node finds the cluster whole.
func (c *ClusterSet) serves(s *Server) error {
	info, err := s.do("CLUSTER", "INFO").Text()
	if err != nil {
		return err
	}
	for _, want := range []string{
		"cluster_state:ok",
		fmt.Sprintf("cluster_slots_ok:%d", slots),
		fmt.Sprintf("cluster_known_nodes:%d", len(c.Nodes)),
	} {
		if !strings.Contains(info, want+"\r\n") {
			return fmt.Errorf("no %q in %q", want, info)
		}
	}
	return nil
}

// inStep returns nil unless the node is a replica that could be linked to its master and is not.
func (c *ClusterSet) inStep(s *Server, view []member) error {
	me, err := myself(view)
	if err != nil || me.master {
		return err
	}
	if master := c.byID(me.of); master == nil || !master.responsive() {
		return nil
	}
	return s.linked()
}

// linked returns nil if the replica has copied all its master holds and follows it.
func (s *Server) linked() error {
	info, err := s.do("INFO", "replication").Text()
	if err != nil {
		return err
	}
	if !strings.Contains(info, "role:slave\r\n") || !strings.Contains(info, "master_link_status:up\r\n") {
		return fmt.Errorf("replica %s is not linked: %q", s.addr, info)
	}
	return nil
}

// view returns what the node knows of the cluster.
func (s *Server) view() ([]member, error) {
	text, err := s.do("CLUSTER", "NODES").Text()
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", s.addr, err)
	}
	return parseView(text)
}

// self returns what the node says of itself, or an error if it does not answer.
func (s *Server) self() (member, error) {
	if !s.responsive() {
		return member{}, fmt.Errorf("node %s is down or paused", s.addr)
	}
	view, err := s.view()
	if err != nil {
		return member{}, err
	}
	return myself(view)
}

func (c *ClusterSet) byID(id string) *Server {
	for _, s := range c.Nodes {
		if c.ids[s] == id {
			return s
		}
	}
	return nil
}
