package sigv4

import "strconv"

// MaxKeys is how many keys a Verifier remembers.
const MaxKeys = maxKeys

// Remembered returns how many keys v remembers.
func Remembered(v *Verifier) int { return len(v.known) }

// Fill lets v remember as many keys as it can.
func Fill(v *Verifier) {
	for i := 0; len(v.known) < maxKeys; i++ {
		v.remember(strconv.Itoa(i), derived{})
	}
}
