package network

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// createBridge makes a bridge that is up. Its hardware address is given, so that it does not change with its ports.
func createBridge(name string) error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name = name
	attributes.HardwareAddr = make(net.HardwareAddr, 6)
	_, _ = rand.Read(attributes.HardwareAddr)                            // never fails
	attributes.HardwareAddr[0] = attributes.HardwareAddr[0]&^0x01 | 0x02 // of one host, locally administered
	bridge := &netlink.Bridge{LinkAttrs: attributes}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("making it: %w (the kernel needs bridge, and the runner CAP_NET_ADMIN)", err)
	}
	// Else a step could send router advertisements, and the host would take its routes from it.
	if path := acceptRA(name); read(path) != "" {
		if err := set(path, read(path), "0"); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(bridge)
}

func addGateways(name string, subnets []netip.Prefix) error {
	return eachGateway(name, subnets, netlink.AddrAdd)
}

func removeGateways(name string, subnets []netip.Prefix) error {
	return eachGateway(name, subnets, netlink.AddrDel)
}

func eachGateway(name string, subnets []netip.Prefix, change func(netlink.Link, *netlink.Addr) error) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, subnet := range subnets {
		own := gateway(subnet)
		ipNet := &net.IPNet{IP: own.Addr().AsSlice(), Mask: net.CIDRMask(own.Bits(), own.Addr().BitLen())}
		address := &netlink.Addr{IPNet: ipNet}
		if own.Addr().Is6() {
			address.Flags = unix.IFA_F_NODAD // without a port there is nobody to ask, and it would wait for one
		}
		if err := change(link, address); err != nil {
			return fmt.Errorf("address %s: %w", own, err)
		}
	}
	return nil
}

// bridgesOf lists the bridges whose names begin so.
func bridgesOf(prefix string) ([]string, error) {
	links, err := whole(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("listing network interfaces: %w", err)
	}
	var names []string
	for _, link := range links {
		if link.Type() == "bridge" && strings.HasPrefix(link.Attrs().Name, prefix) {
			names = append(names, link.Attrs().Name)
		}
	}
	return names, nil
}

// removeBridge removes the bridge and its ports; their other ends go with them.
func removeBridge(name string) error {
	bridge, err := netlink.LinkByName(name)
	if err != nil {
		return ignoreGone(err)
	}
	links, err := whole(netlink.LinkList)
	failed := []error{err}
	for _, link := range links {
		if link.Attrs().MasterIndex == bridge.Attrs().Index {
			failed = append(failed, ignoreGone(netlink.LinkDel(link)))
		}
	}
	if err := errors.Join(append(failed, ignoreGone(netlink.LinkDel(bridge)))...); err != nil {
		return fmt.Errorf("removing the bridge %s: %w", name, err)
	}
	return nil
}

// ignoreGone is for an interface that went by itself meanwhile, as a port does with its network namespace.
func ignoreGone(err error) error {
	var notFound netlink.LinkNotFoundError
	if errors.As(err, &notFound) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}
