package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"bedplate.dev/runner/supervisor/internal/strictjson"
)

// DNS is what engines and their builds ask, in place of the runner's own resolv.conf: resolv.conf(5).
type DNS struct {
	Nameservers []string `json:"nameservers"`
	Search      []string `json:"search"`
	Options     []string `json:"options"`
}

// ResolvConf is its text; "" when there are no name servers of the owner's.
func (d DNS) ResolvConf() string {
	if len(d.Nameservers) == 0 {
		return ""
	}
	var text strings.Builder
	for _, server := range d.Nameservers {
		fmt.Fprintln(&text, "nameserver", server)
	}
	if len(d.Search) > 0 {
		fmt.Fprintln(&text, "search", strings.Join(d.Search, " "))
	}
	if len(d.Options) > 0 {
		fmt.Fprintln(&text, "options", strings.Join(d.Options, " "))
	}
	return text.String()
}

var (
	hostPattern   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
	optionPattern = regexp.MustCompile(`^[a-z0-9:-]+$`)
)

func validateDNS(data json.RawMessage) (DNS, error) {
	var dns DNS
	if data == nil {
		return dns, nil
	}
	if err := strictjson.Decode(data, &dns); err != nil {
		return DNS{}, fmt.Errorf("field \"dns\": %w", err)
	}
	for _, server := range dns.Nameservers {
		if _, err := netip.ParseAddr(server); err != nil {
			return DNS{}, fmt.Errorf("field \"dns\": field \"nameservers\": %q is not an IP address", server)
		}
	}
	for _, name := range dns.Search {
		if !hostPattern.MatchString(name) {
			return DNS{}, fmt.Errorf("field \"dns\": field \"search\": %q is not a domain", name)
		}
	}
	for _, option := range dns.Options {
		if !optionPattern.MatchString(option) {
			return DNS{}, fmt.Errorf("field \"dns\": field \"options\": %q is not one of resolv.conf(5)", option)
		}
	}
	if len(dns.Nameservers) == 0 {
		return DNS{}, errors.New("field \"dns\": field \"nameservers\" is missing")
	}
	return dns, nil
}

// hosts gives lines of hosts(5), sorted by name.
func hosts(addresses map[string]string) (string, error) {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		address, err := netip.ParseAddr(addresses[name])
		if err != nil || !hostPattern.MatchString(name) {
			return "", fmt.Errorf("field \"extraHosts\": %q: %q is not a host's name with its IP address", name, addresses[name])
		}
		fmt.Fprintln(&text, address, name)
	}
	return text.String(), nil
}
