package network

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inNamespace puts the test into a network namespace of its own, which ends with its thread.
func inNamespace(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // and never unlocked: the thread is not to be used again
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no network namespace: %v", err)
	}
}

// tables gives the names of all nftables tables with how many rules they have.
func tables(t *testing.T) (list []string) {
	t.Helper()
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	found, err := conn.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range found {
		chains, err := conn.ListChainsOfTableFamily(table.Family)
		if err != nil {
			t.Fatal(err)
		}
		rules := 0
		for _, chain := range chains {
			if chain.Table.Name != table.Name {
				continue
			}
			of, err := conn.GetRules(table, chain)
			must(t, err)
			rules += len(of)
		}
		list = append(list, fmt.Sprint(table.Name, " ", rules))
	}
	return list
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestBridgesInAKernel(t *testing.T) {
	inNamespace(t)
	pools := prefixes("10.213.0.0/16", "fd9c:5a21:e7d3::/48")
	b, err := Open(filepath.Join(t.TempDir(), "id"), pools)
	must(t, err)
	other, err := Open(filepath.Join(t.TempDir(), "id"), pools)
	must(t, err)

	loopback, err := netlink.LinkByName("lo")
	must(t, err)
	must(t, netlink.LinkSetUp(loopback))
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: loopback.Attrs().Index, Dst: ipNet("10.213.0.0/24")}))
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: loopback.Attrs().Index, Dst: ipNet("10.213.1.0/24"), Table: 77}))

	for i, make := range []struct {
		of     *Bridges
		engine string
	}{{b, "buildkit-0.34.2"}, {b, "buildkit-0.13.2"}, {other, "buildkit-0.34.2"}} {
		conflist, err := make.of.Make(make.engine)
		must(t, err)
		if want := fmt.Sprintf(`"10.213.%d.0/24"`, i+2); !strings.Contains(string(conflist), want) {
			t.Errorf("%s: %s, want %s", make.engine, conflist, want)
		}
		if hasIPv6() && !strings.Contains(string(conflist), `"fd9c:5a21:e7d3`) {
			t.Errorf("%s without IPv6: %s", make.engine, conflist)
		}
	}
	if got := read("/proc/sys/net/ipv4/ip_forward"); got != "1" {
		t.Errorf("ip_forward is %s", got)
	}
	for _, name := range []string{b.name("buildkit-0.34.2"), "lo"} {
		want := map[bool]string{true: "0", false: "1"}[name != "lo"]
		if got := read(acceptRA(name)); hasIPv6() && got != want {
			t.Errorf("accept_ra of %s is %s, want %s", name, got, want)
		}
	}
	families := 1
	if hasIPv6() {
		families = 2
	}
	if got := tables(t); len(got) != 3*families || !strings.HasSuffix(got[0], " 2") {
		t.Errorf("tables with their rules: %v", got)
	}

	port := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "port", MTU: 1500}, PeerName: "peer"}
	must(t, netlink.LinkAdd(port))
	bridge, err := netlink.LinkByName(b.name("buildkit-0.34.2"))
	must(t, err)
	must(t, netlink.LinkSetMaster(port, bridge))
	must(t, b.Remove("buildkit-0.34.2"))
	must(t, b.Remove("buildkit-0.34.2"))
	if _, err := netlink.LinkByName("peer"); err == nil {
		t.Error("its port is left")
	}
	must(t, b.RemoveAll())
	left, err := bridgesOf(prefix)
	must(t, err)
	if len(left) != 1 || left[0] != other.name("buildkit-0.34.2") {
		t.Errorf("left are %v, want the other runner's", left)
	}
	if got := tables(t); len(got) != families {
		t.Errorf("tables left: %v", got)
	}
}

func TestAFailedStartLeavesNothing(t *testing.T) {
	inNamespace(t)
	b, err := Open(filepath.Join(t.TempDir(), "id"), prefixes("255.255.255.0/24"))
	must(t, err)
	loopback, err := netlink.LinkByName("lo")
	must(t, err)
	must(t, netlink.LinkSetUp(loopback))
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: loopback.Attrs().Index, Dst: ipNet("255.255.255.0/24")}))
	if _, err := b.Make("buildkit-0.34.2"); err == nil || !strings.Contains(err.Error(), "no free subnet in [255.255.255.0/24]") {
		t.Errorf("got %v", err)
	}
	if left, err := bridgesOf(prefix); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestWithoutIPv6(t *testing.T) {
	inNamespace(t)
	if hasIPv6() {
		must(t, os.WriteFile(ipv6Settings+"/default/disable_ipv6", []byte("1"), 0))
	}
	b, err := Open(filepath.Join(t.TempDir(), "id"), prefixes("10.213.0.0/16", "fd9c:5a21:e7d3::/48"))
	must(t, err)
	conflist, err := b.Make("buildkit-0.34.2")
	must(t, err)
	if strings.Contains(string(conflist), "fd9c") || strings.Contains(string(conflist), "::/0") {
		t.Errorf("it has IPv6: %s", conflist)
	}
	if got := tables(t); len(got) != 1 {
		t.Errorf("tables: %v", got)
	}
	must(t, b.RemoveAll())
}

// A host learns its routes by an interface of MTU 1400: it goes on, and steps have that MTU.
func TestUplink(t *testing.T) {
	inNamespace(t)
	if !hasIPv6() {
		t.Skip("no IPv6")
	}
	uplink := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "uplink", MTU: 1400}, PeerName: "router"}
	must(t, netlink.LinkAdd(uplink))
	must(t, netlink.LinkSetUp(uplink))
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: uplink.Attrs().Index, Dst: ipNet("::/0"), Protocol: unix.RTPROT_RA}))
	b, err := Open(filepath.Join(t.TempDir(), "id"), prefixes("10.213.0.0/16", "fd9c:5a21:e7d3::/48"))
	must(t, err)
	conflist, err := b.Make("buildkit-0.34.2")
	must(t, err)
	if !strings.Contains(string(conflist), `"mtu":1400`) {
		t.Errorf("the MTU: %s", conflist)
	}
	if got := read(acceptRA("uplink")); got != "2" {
		t.Errorf("accept_ra of the uplink is %s", got)
	}
	if got := read(acceptRA("router")); got != "1" {
		t.Errorf("accept_ra of another is %s", got)
	}
	must(t, b.RemoveAll())
}

func ipNet(text string) *net.IPNet {
	prefix := netip.MustParsePrefix(text)
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
}
