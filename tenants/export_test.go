package tenants

// ScriptFiles are the scripts of this package.
var ScriptFiles = scripts

// SetStep has f called between the steps of a creation or deletion; its error ends the call there.
func (s *Store) SetStep(f func(done string) error) { s.step = f }
