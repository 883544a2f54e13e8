package engine

// Key names are made here and nowhere else. Each names its tenant first and carries one hash tag, so that everything
// that one script touches lies in one slot of a Redis Cluster.
//
//	sl:<tenant-id>:{<uid>}:<part>        one queue or topic
//	sl:<tenant-id>:{<tenant-id>}:<part>  a tenant's registry
//	sl:-:{sys}:<part>                    the installation

// Prefix starts the name of every key and channel of Sluice.
const Prefix = "sl:"

// Key returns the key of one part of a queue or topic: its slot is that of uid.
func Key(tenant, uid, part string) string {
	return Prefix + tenant + ":{" + uid + "}:" + part
}

// TenantKey returns the key of one part of a tenant's registry: its slot is that of the tenant's id.
func TenantKey(tenant, part string) string { return Key(tenant, tenant, part) }

// SystemKey returns the key of one part of what belongs to the installation as a whole.
func SystemKey(part string) string { return Key("-", "sys", part) }
