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

// Slots is how many hash slots a Redis Cluster has.
const Slots = 16384

// Slot returns the hash slot of all keys with the given tag, the CRC-16 of it that Redis Cluster uses.
func Slot(tag string) int {
	crc := uint16(0)
	for i := range len(tag) {
		crc = crc<<8 ^ crc16[byte(crc>>8)^tag[i]]
	}
	return int(crc) % Slots
}

// crc16 is the table of CRC-16/XMODEM.
var crc16 = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			high := crc >> 15
			crc = crc<<1 ^ high*0x1021
		}
		table[i] = crc
	}
	return table
}()
