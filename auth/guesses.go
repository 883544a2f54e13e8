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
	// maxGuesses bounds what a server remembers of guesses: some 2 MB.
	maxGuesses = 10_000
)

// guesses counts wrong passwords, on this server.
type guesses struct {
	mu   sync.Mutex
	made map[guess]*guessed
}

// guess is what is counted: wrong passwords from a network, for one account or, without, for any.
type guess struct {
	network netip.Prefix
	account string
}

type guessed struct {
	n    int
	ends time.Duration // since the start of the server
}

func newGuesses() *guesses { return &guesses{made: map[guess]*guessed{}} }

// networkOf returns the network that one person has: an address, of IPv6 64 bits of it.
func networkOf(address string) netip.Prefix {
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
	network := networkOf(address)
	// The network comes first: once it may guess no more, it cannot fill the memory with accounts until it is forgotten itself.
	var counts [2]*guessed
	for i, c := range []struct {
		of   guess
		most int
	}{{guess{network: network}, guessesOfNetwork}, {guess{network, account}, guessesOfPair}} {
		made := g.entry(c.of, now)
		if made.n >= c.most {
			return &errs.Error{Kind: errs.RateLimited, Code: "too_many_attempts", RetryAfter: made.ends - now,
				Message: "There were too many wrong passwords from this address.",
				Fix:     "Wait for the time in Retry-After. Whoever manages the members can make a new invitation meanwhile."}
		}
		counts[i] = made
	}
	for _, made := range counts {
		made.n++
	}
	return nil
}

// right takes back a guess that was none.
func (g *guesses) right(account, address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	network := networkOf(address)
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
	made = &guessed{ends: now + guessing}
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
