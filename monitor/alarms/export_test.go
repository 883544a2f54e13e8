package alarms

// DieBeforeTelling makes the server die when it has noted a change, before it tells of it. The error is what it dies of.
func (s *Store) DieBeforeTelling(err error) { s.step = func() error { return err } }
