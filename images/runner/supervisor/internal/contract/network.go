package contract

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What the owner may choose for what an engine runs.
const (
	HostNetwork   = "host"   // the runner's own
	BridgeNetwork = "bridge" // a namespace for each step, on a bridge of the engine's
)

// NetworkFile is ${networkConfig}'s name in ${run}. Its ending makes CNI libraries read a list.
const NetworkFile = "network.conflist"

// Networks holds what each network that an engine can have adds to its files, by network and file.
type Networks map[string]map[string]string

func (c Contract) validateNetworks() error {
	if len(c.Networks) == 0 {
		return errors.New("field \"networks\" is missing or empty")
	}
	for network, files := range c.Networks {
		if network != HostNetwork && network != BridgeNetwork {
			return fmt.Errorf("field \"networks\": %q is neither host nor bridge", network)
		}
		for name := range files {
			if _, found := c.Files[name]; !found || !strings.HasSuffix(name, ".toml") {
				return fmt.Errorf("field \"networks\": %q of %s is not a .toml file of \"files\"", name, network)
			}
		}
	}
	return nil
}

func (c Contract) network(name string) (map[string]string, error) {
	added, found := c.Networks[name]
	if !found {
		has := strings.Join(slices.Sorted(maps.Keys(c.Networks)), ", ")
		return nil, fmt.Errorf("%s cannot have the network %q (it can have: %s): choose another in \"engines\" of bedplated.json", c.ID(), name, has)
	}
	return added, nil
}
