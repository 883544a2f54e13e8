package auth

import (
	"net/netip"
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/errs"
)

const (
	// guessesOfPair is how often one network may be wrong about one account, and guessesOfNetwork about all, within guessing.
	// Nobody else is kept from that account: to be wrong on purpose locks nobody out.
	guessesOfPair    = 10
	guessesOfNetwork = 50
	guessing         = 10 * time.Minute
	// keysOfNetwork is how many keys that do not exist one network may show within tryingKeys before it is told to wait. A key
	// that it goes on showing counts once: a client whose key was revoked hears that it was.
	keysOfNetwork = 20
	tryingKeys    = time.Minute
	// maxGuesses bounds what a server remembers of guesses: some 2 MB.
	maxGuesses = 10_000
)

// guesses counts wrong passwords, or wrong keys, on this server.
type guesses struct {
	within time.Duration

	mu   sync.Mutex
	made map[guess]*guessed
}

// guess is what is counted: wrong passwords from a network, for one account or, without, for any; or wrong keys of a network,
// where each is an account.
type guess struct {
	network netip.Prefix
	account string
}

type guessed struct {
	n    int
	ends time.Duration // since the start of the server
}

func newGuesses(within time.Duration) *guesses {
	return &guesses{within: within, made: map[guess]*guessed{}}
}

// NetworkOf returns the network that one person has: an address, of IPv6 64 bits of it.
func NetworkOf(address string) netip.Prefix {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// take counts a guess before it is judged, so that many at once are no way around. It refuses one too many.
func (g *guesses) take(account, address string, now time.Duration) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	network := NetworkOf(address)
	// The network comes first: once it may guess no more, it cannot fill the memory with accounts until it is forgotten itself.
	var counts [2]*guessed
	for i, c := range []struct {
		of   guess
		most int
	}{{guess{network: network}, guessesOfNetwork}, {guess{network, account}, guessesOfPair}} {
		made := g.entry(c.of, now)
		if made.n >= c.most {
			return &errs.Error{Kind: errs.RateLimited, Code: "too_many_attempts", RetryAfter: made.ends - now,
				Message: "There were too many attempts to sign in from this address that failed.",
				Fix:     "Wait for the time in Retry-After. Whoever manages the members can make a new invitation meanwhile."}
		}
		counts[i] = made
	}
	for _, made := range counts {
		made.n++
	}
	return nil
}

// wrong notes that a network has shown a key that does not exist, and returns what it hears of that.
func (g *guesses) wrong(d digest, address string, now time.Duration) error {
	network := NetworkOf(address)
	if !network.IsValid() {
		return ErrUnauthenticated
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	this := guess{network, string(d[:])}
	if made := g.made[this]; made != nil && now < made.ends {
		return ErrUnauthenticated
	}
	all := g.entry(guess{network: network}, now)
	if all.n >= keysOfNetwork {
		return &errs.Error{Kind: errs.RateLimited, Code: "too_many_attempts", RetryAfter: all.ends - now,
			Message: "Too many keys were shown from this address that do not exist.",
			Fix:     "Wait for the time in Retry-After. Keys that exist work meanwhile."}
	}
	all.n++
	g.entry(this, now)
	return ErrUnauthenticated
}

// right takes back a guess that was none.
func (g *guesses) right(account, address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	network := NetworkOf(address)
	delete(g.made, guess{network, account})
	if all := g.made[guess{network: network}]; all != nil && all.n > 0 {
		all.n--
	}
}

func (g *guesses) entry(of guess, now time.Duration) *guessed {
	made := g.made[of]
	if made != nil && now < made.ends {
		return made
	}
	if made == nil && len(g.made) >= maxGuesses {
		g.forgetOne()
	}
	made = &guessed{ends: now + g.within}
	g.made[of] = made
	return made
}

// forgetOne forgets the one of a few that ends first. A map begins its walk at a random place.
func (g *guesses) forgetOne() {
	var victim guess
	seen, first := 0, time.Duration(0)
	for of, made := range g.made {
		if seen == 0 || made.ends < first {
			victim, first = of, made.ends
		}
		if seen++; seen == sample {
			break
		}
	}
	delete(g.made, victim)
}
