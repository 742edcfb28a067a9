package network

import (
	"errors"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const ipv6Settings = "/proc/sys/net/ipv6/conf"

// shortestRoute is the fewest bits by which a route means somewhere: less is a way to everywhere, as a VPN's 0.0.0.0/1.
const shortestRoute = 8

// hasIPv6 tells whether a new interface may have IPv6 addresses.
func hasIPv6() bool {
	for _, name := range []string{"all", "default"} {
		if read(ipv6Settings+"/"+name+"/disable_ipv6") != "0" {
			return false
		}
	}
	return true
}

// takenBut lists what this host has addresses of or routes to, but for those of one interface.
func takenBut(own string) ([]netip.Prefix, error) {
	link, err := netlink.LinkByName(own)
	if err != nil {
		return nil, err
	}
	index := link.Attrs().Index
	var taken []netip.Prefix
	addresses, err := whole(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, err
	}
	for _, address := range addresses {
		if address.LinkIndex != index {
			taken = appendPrefix(taken, address.IPNet)
		}
	}
	// Of every table: rules may lead to any of them.
	routes, err := whole(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, err
	}
	for _, route := range routes {
		if route.LinkIndex != index {
			taken = appendPrefix(taken, route.Dst)
		}
	}
	return taken, nil
}

func appendPrefix(list []netip.Prefix, ipNet *net.IPNet) []netip.Prefix {
	if ipNet == nil {
		return list
	}
	addr, valid := netip.AddrFromSlice(ipNet.IP)
	bits, _ := ipNet.Mask.Size()
	if !valid || bits < shortestRoute {
		return list
	}
	return append(list, netip.PrefixFrom(addr.Unmap(), bits).Masked())
}

// uplinkMTU is the smallest MTU of the interfaces that default routes use, 0 when none is below Ethernet's: what is sent on a wider
// bridge would depend on ICMP to come back.
func uplinkMTU() (int, error) {
	routes, err := whole(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return 0, err
	}
	smallest := 1500
	for _, route := range routes {
		if bits, _ := maskOf(route.Dst).Size(); bits != 0 {
			continue
		}
		if link, err := netlink.LinkByIndex(route.LinkIndex); err == nil { // a multipath route has none
			smallest = min(smallest, link.Attrs().MTU)
		}
	}
	if smallest == 1500 {
		return 0, nil
	}
	return smallest, nil
}

func maskOf(ipNet *net.IPNet) net.IPMask {
	if ipNet == nil {
		return nil
	}
	return ipNet.Mask
}

// whole asks again when the kernel's list changed while it was read.
func whole[T any](list func() ([]T, error)) (found []T, err error) {
	for range attempts {
		if found, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return found, err
}
