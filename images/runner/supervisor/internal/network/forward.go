package network

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// enableForwarding makes the kernel forward what the subnets' families need. It stays so: others may have come to need it.
func enableForwarding(subnets []netip.Prefix) error {
	for _, subnet := range subnets {
		if subnet.Addr().Is4() {
			if err := set("/proc/sys/net/ipv4/ip_forward", "0", "1"); err != nil {
				return err
			}
			continue
		}
		if err := enableIPv6Forwarding(); err != nil {
			return err
		}
	}
	return nil
}

// enableIPv6Forwarding keeps the routes of a host that learns them from its routers: accept_ra 1 means only while it does not forward,
// 2 always. No other interface is told that: whoever is on it could give the host routes.
func enableIPv6Forwarding() error {
	all := ipv6Settings + "/all/forwarding"
	if read(all) != "0" {
		return nil
	}
	routes, err := whole(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_V6) })
	if err != nil {
		return err
	}
	for _, route := range routes {
		if route.Protocol != unix.RTPROT_RA {
			continue
		}
		link, err := netlink.LinkByIndex(route.LinkIndex)
		if err != nil {
			continue // its routes have gone with it
		}
		if err := set(acceptRA(link.Attrs().Name), "1", "2"); err != nil {
			return err
		}
	}
	return set(all, "0", "1")
}

func acceptRA(link string) string { return ipv6Settings + "/" + link + "/accept_ra" }

// read gives a kernel's setting, "" when it is not there.
func read(path string) string {
	value, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(value))
}

// set writes a kernel's setting when it is another: /proc/sys may be read-only, and all well.
func set(path, from, to string) error {
	value, err := os.ReadFile(path)
	if err != nil || string(bytes.TrimSpace(value)) != from {
		return err
	}
	if err := os.WriteFile(path, []byte(to), 0); err != nil {
		return fmt.Errorf("%w (it is %s and has to be %s: set it on the host, or run the runner privileged)", err, from, to)
	}
	return nil
}
