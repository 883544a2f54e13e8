package redistest

import "fmt"

func (set *SentinelSet) check() error {
	master, err := set.agreed()
	if err != nil {
		return err
	}
	for _, s := range set.Nodes {
		if s == master || !s.responsive() {
			continue
		}
		if err := s.linked(); err != nil {
			return err
		}
	}
	return set.introduced()
}

// introduced returns nil once every sentinel knows all others and sees all replicas that run at work.
func (set *SentinelSet) introduced() error {
	for _, s := range set.Sentinels {
		if !s.responsive() {
			continue
		}
		state, err := set.state(s)
		if err != nil {
			return err
		}
		if n := state["num-other-sentinels"]; n != fmt.Sprint(len(set.Sentinels)-1) {
			return fmt.Errorf("sentinel %s knows %s others", s.addr, n)
		}
		if err := set.seesReplicas(s); err != nil {
			return err
		}
	}
	return nil
}

// seesReplicas returns nil once the sentinel would promote any of the replicas that run.
func (set *SentinelSet) seesReplicas(s *Server) error {
	replicas, err := s.do("SENTINEL", "REPLICAS", set.MasterName).Slice()
	if err != nil {
		return fmt.Errorf("sentinel %s: %w", s.addr, err)
	}
	if len(replicas) != len(set.Nodes)-1 {
		return fmt.Errorf("sentinel %s knows %d replicas", s.addr, len(replicas))
	}
	for _, r := range replicas {
		state := fields(r)
		node := set.byAddr(state["ip"] + ":" + state["port"])
		if node == nil || !node.responsive() {
			continue
		}
		if state["flags"] != "slave" || state["role-reported"] != "slave" || state["master-link-status"] != "ok" {
			return fmt.Errorf("sentinel %s sees replica %s as %v", s.addr, node.addr, state)
		}
	}
	return nil
}

// replicated returns nil once all replicas follow the first master.
func (set *SentinelSet) replicated() error {
	for _, s := range set.Nodes[1:] {
		if err := s.linked(); err != nil {
			return err
		}
	}
	return nil
}

// agreed returns the master if all sentinels that run name the same one, see nothing wrong with it, and
// it runs and is a master.
func (set *SentinelSet) agreed() (*Server, error) {
	addr := ""
	for _, s := range set.Sentinels {
		if !s.responsive() {
			continue
		}
		state, err := set.state(s)
		if err != nil {
			return nil, err
		}
		if state["flags"] != "master" {
			return nil, fmt.Errorf("sentinel %s sees the master as %s", s.addr, state["flags"])
		}
		named := state["ip"] + ":" + state["port"]
		if addr != "" && named != addr {
			return nil, fmt.Errorf("sentinels name both %s and %s", addr, named)
		}
		addr = named
	}
	master := set.byAddr(addr)
	if master == nil {
		return nil, fmt.Errorf("sentinels name %q as the master", addr)
	}
	return master, master.leads()
}

func (set *SentinelSet) byAddr(addr string) *Server {
	for _, s := range set.Nodes {
		if s.addr == addr {
			return s
		}
	}
	return nil
}

// leads returns nil if the server answers and is a master.
func (s *Server) leads() error {
	if !s.responsive() {
		return fmt.Errorf("master %s is down or paused", s.addr)
	}
	role, err := s.do("ROLE").Slice()
	if err != nil {
		return err
	}
	if len(role) == 0 || role[0] != "master" {
		return fmt.Errorf("%s is %v, not a master", s.addr, role)
	}
	return nil
}

// state returns what a sentinel knows of the master.
func (set *SentinelSet) state(s *Server) (map[string]string, error) {
	reply, err := s.do("SENTINEL", "MASTER", set.MasterName).Slice()
	if err != nil {
		return nil, fmt.Errorf("sentinel %s: %w", s.addr, err)
	}
	return fields(reply), nil
}

// fields reads a list of names and values in turn.
func fields(reply any) map[string]string {
	list, _ := reply.([]any)
	m := map[string]string{}
	for i := 0; i+1 < len(list); i += 2 {
		m[fmt.Sprint(list[i])] = fmt.Sprint(list[i+1])
	}
	return m
}
