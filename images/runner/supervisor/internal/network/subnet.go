package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// subnetBits is what an engine gets, of each family.
func subnetBits(pool netip.Prefix) int {
	if pool.Addr().Is4() {
		return 24
	}
	return 64
}

// choose gives the first subnet of the pools that overlaps nothing taken, of each family that has pools.
func choose(pools, taken []netip.Prefix, withIPv6 bool) ([]netip.Prefix, error) {
	var chosen []netip.Prefix
	var tried []netip.Prefix
	for _, four := range []bool{true, false} {
		if !four && !withIPv6 {
			continue
		}
		own := slices.DeleteFunc(slices.Clone(pools), func(pool netip.Prefix) bool { return pool.Addr().Is4() != four })
		if len(own) == 0 {
			continue
		}
		tried = append(tried, own...)
		subnet, found := firstFree(own, taken)
		if !found {
			return nil, fmt.Errorf("no free subnet in %v: all of it overlaps addresses or routes of this host; give \"bridgePools\" in bedplated.json", own)
		}
		chosen = append(chosen, subnet)
	}
	if len(tried) == 0 {
		return nil, errors.New("\"bridgePools\" in bedplated.json has IPv6 only, and this host has no IPv6")
	}
	return chosen, nil
}

func firstFree(pools, taken []netip.Prefix) (netip.Prefix, bool) {
	for _, pool := range pools {
		for subnet := netip.PrefixFrom(pool.Addr(), subnetBits(pool)); subnet.IsValid() && pool.Contains(subnet.Addr()); {
			blocker := slices.IndexFunc(taken, subnet.Overlaps)
			if blocker < 0 {
				return subnet, true
			}
			// What is past both, so that one wide route costs one step.
			wider := subnet
			if taken[blocker].Bits() < subnet.Bits() {
				wider = taken[blocker].Masked()
			}
			subnet = netip.PrefixFrom(last(wider).Next(), subnet.Bits())
		}
	}
	return netip.Prefix{}, false
}

// last is a prefix's highest address.
func last(p netip.Prefix) netip.Addr {
	bytes := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	addr, _ := netip.AddrFromSlice(bytes)
	return addr
}

func overlapsAny(subnet netip.Prefix, taken []netip.Prefix) bool {
	return slices.ContainsFunc(taken, subnet.Overlaps)
}

// gateway is the bridge's own address in a subnet: the first.
func gateway(subnet netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(subnet.Addr().Next(), subnet.Bits())
}
