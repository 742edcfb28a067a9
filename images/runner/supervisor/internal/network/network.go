// Package network gives engines bridges of their own for what they run: docs/spec/runner.md, "Networks". It speaks netlink alone:
// hosts without any of the usual programs exist.
package network

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"sync"
	"time"
)

const (
	prefix   = "bp-" // of every bridge's name, for a host's firewall to go by
	idLength = 6     // hexadecimal digits, for the runner and for the engine: with the prefix, what IFNAMSIZ holds
	attempts = 10
	pause    = 100 * time.Millisecond
)

// Bridges makes and removes the bridges of one runner. Other runners may share its network namespace.
type Bridges struct {
	runner string
	pools  []netip.Prefix

	making sync.Mutex
}

var idPattern = regexp.MustCompile(fmt.Sprintf("^[0-9a-f]{%d}$", idLength))

// Open gives the bridges of the runner whose id is in the file, which is made when there is none: by it a later life finds
// what an earlier one left. Subnets are of the pools.
func Open(idFile string, pools []netip.Prefix) (*Bridges, error) {
	id, err := os.ReadFile(idFile)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !idPattern.Match(id) {
		random := make([]byte, idLength/2)
		_, _ = rand.Read(random) // never fails
		id = []byte(hex.EncodeToString(random))
		err = os.WriteFile(idFile, id, 0o644)
	}
	if err != nil {
		return nil, fmt.Errorf("the runner's id: %w", err)
	}
	return &Bridges{runner: string(id), pools: pools}, nil
}

// name is the engine's bridge, the same in each of its lives.
func (b *Bridges) name(engine string) string {
	sum := sha256.Sum256([]byte(engine))
	return prefix + b.runner + hex.EncodeToString(sum[:])[:idLength]
}

// Make makes the engine's bridge, with a free subnet of each family, from which there is a way out of the host. It gives the CNI
// configuration by which containers get on it. There must be none of an earlier start.
func (b *Bridges) Make(engine string) (conflist []byte, err error) {
	b.making.Lock()
	defer b.making.Unlock()
	name := b.name(engine)
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("bridge %s: %w", name, err), b.Remove(engine))
		}
	}()
	subnets, err := b.addBridge(name)
	if err != nil {
		return nil, err
	}
	if err := enableForwarding(subnets); err != nil {
		return nil, err
	}
	if err := masquerade(name, subnets); err != nil {
		return nil, err
	}
	mtu, err := uplinkMTU()
	if err != nil {
		return nil, err
	}
	return conflistOf(name, subnets, mtu)
}

// addBridge makes the bridge and gives its subnets. Another runner may take the same ones at the same time: who sees that gives way.
func (b *Bridges) addBridge(name string) ([]netip.Prefix, error) {
	if err := createBridge(name); err != nil {
		return nil, err
	}
	for range attempts {
		taken, err := takenBut(name)
		if err != nil {
			return nil, err
		}
		subnets, err := choose(b.pools, taken, hasIPv6())
		if err != nil {
			return nil, err
		}
		if err := addGateways(name, subnets); err != nil {
			return nil, err
		}
		if taken, err = takenBut(name); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(subnets, func(subnet netip.Prefix) bool { return overlapsAny(subnet, taken) }) {
			return subnets, nil
		}
		if err := removeGateways(name, subnets); err != nil {
			return nil, err
		}
		time.Sleep(randomPause())
	}
	return nil, errors.New("others on this host take subnets at the same time, again and again: try again")
}

func randomPause() time.Duration {
	n, _ := rand.Int(rand.Reader, big.NewInt(int64(pause))) // never fails
	return time.Duration(n.Int64())
}

// Remove removes the engine's bridge with its ports and rules. None is no error.
func (b *Bridges) Remove(engine string) error { return remove(b.name(engine)) }

// RemoveAll removes every bridge of this runner.
func (b *Bridges) RemoveAll() error {
	names, err := bridgesOf(prefix + b.runner)
	failed := []error{err}
	for _, name := range names {
		failed = append(failed, remove(name))
	}
	return errors.Join(failed...)
}

// remove takes the rules first: where there is no bridge, there are none. So a kernel without nftables is asked for nothing.
func remove(name string) error {
	there, err := bridgesOf(name)
	if err != nil || len(there) == 0 {
		return err
	}
	return errors.Join(removeRules(name), removeBridge(name))
}
