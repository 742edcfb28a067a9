package settings

import (
	"errors"
	"fmt"
	"net/netip"

	"bedplate.dev/runner/supervisor/internal/contract"
)

func validateNetwork(name string) error {
	if name != contract.HostNetwork && name != contract.BridgeNetwork {
		return fmt.Errorf("field \"network\": %q is neither host nor bridge", name)
	}
	return nil
}

// defaultPools are of the private ranges of RFC 1918, one of each since a host may have a route to all of another, and of RFC 4193
// (its 40 bits are random). None is a usual default of other container tools.
var defaultPools = []string{"10.213.0.0/16", "172.29.0.0/16", "192.168.224.0/20", "fd9c:5a21:e7d3::/48"}

// poolBits bounds a pool: it holds at least one subnet, and nobody owns more than the largest. By whether it is of IPv4.
var poolBits = map[bool][2]int{true: {8, 24}, false: {16, 64}}

func bridgePools(texts []string) ([]netip.Prefix, error) {
	if texts == nil {
		texts = defaultPools
	}
	if len(texts) == 0 {
		return nil, errors.New("field \"bridgePools\" is empty")
	}
	var pools []netip.Prefix
	for _, text := range texts {
		pool, err := netip.ParsePrefix(text)
		if err != nil || pool != pool.Masked() || pool.Addr().Is4In6() {
			return nil, fmt.Errorf("field \"bridgePools\": %q is not a range such as \"10.213.0.0/16\" or \"fd9c:5a21:e7d3::/48\"", text)
		}
		if bits := poolBits[pool.Addr().Is4()]; pool.Bits() < bits[0] || pool.Bits() > bits[1] {
			return nil, fmt.Errorf("field \"bridgePools\": %q is not between /%d and /%d", text, bits[0], bits[1])
		}
		pools = append(pools, pool)
	}
	return pools, nil
}
