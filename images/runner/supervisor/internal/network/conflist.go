package network

import (
	"encoding/json"
	"net/netip"
)

// The parts of a CNI configuration that are used: github.com/containernetworking/cni/blob/main/SPEC.md, and the plugins' own documentation.
type (
	conflist struct {
		CNIVersion string   `json:"cniVersion"`
		Name       string   `json:"name"`
		Plugins    []plugin `json:"plugins"`
	}
	plugin struct {
		Type   string `json:"type"`
		Bridge string `json:"bridge"`
		MTU    int    `json:"mtu,omitempty"`
		IPAM   ipam   `json:"ipam"`
	}
	ipam struct {
		Type   string    `json:"type"`
		Ranges [][]among `json:"ranges"`
		Routes []route   `json:"routes"`
	}
	among struct {
		Subnet  netip.Prefix `json:"subnet"`
		Gateway netip.Addr   `json:"gateway"`
	}
	route struct {
		Destination string `json:"dst"`
	}
)

// cniVersion is known to the libraries of every engine from BuildKit 0.12 on.
const cniVersion = "1.0.0"

// conflistOf is for a bridge that is there, with its addresses: the plugins change nothing of the host's but a port of it.
func conflistOf(bridge string, subnets []netip.Prefix, mtu int) ([]byte, error) {
	addresses := ipam{Type: "host-local"}
	for _, subnet := range subnets {
		addresses.Ranges = append(addresses.Ranges, []among{{Subnet: subnet, Gateway: gateway(subnet).Addr()}})
		everywhere := "0.0.0.0/0"
		if subnet.Addr().Is6() {
			everywhere = "::/0"
		}
		addresses.Routes = append(addresses.Routes, route{everywhere})
	}
	return json.Marshal(conflist{
		CNIVersion: cniVersion, Name: bridge,
		Plugins: []plugin{{Type: "bridge", Bridge: bridge, MTU: mtu, IPAM: addresses}},
	})
}
