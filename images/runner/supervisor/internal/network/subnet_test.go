package network

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestChoose(t *testing.T) {
	pools := prefixes("10.213.0.0/16", "172.29.0.0/16", "fd9c:5a21:e7d3::/48")
	for _, c := range []struct {
		taken []string
		ipv6  bool
		want  string
	}{
		{nil, true, "[10.213.0.0/24 fd9c:5a21:e7d3::/64]"},
		{nil, false, "[10.213.0.0/24]"},
		{[]string{"10.213.0.77/32", "fd9c:5a21:e7d3::1/128"}, true, "[10.213.1.0/24 fd9c:5a21:e7d3:1::/64]"},
		{[]string{"10.213.0.0/22", "10.213.4.0/25"}, true, "[10.213.5.0/24 fd9c:5a21:e7d3::/64]"},
		{[]string{"10.0.0.0/8"}, true, "[172.29.0.0/24 fd9c:5a21:e7d3::/64]"},
		{[]string{"10.213.0.0/17", "10.213.128.0/17"}, false, "[172.29.0.0/24]"},
	} {
		got, err := choose(pools, prefixes(c.taken...), c.ipv6)
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%v taken: got %v, %v, want %s", c.taken, got, err, c.want)
		}
	}
}

func TestChooseFails(t *testing.T) {
	for pool, c := range map[string]struct{ taken, part string }{
		"10.213.0.0/16":    {"10.0.0.0/8", "no free subnet in [10.213.0.0/16]"},
		"fd9c::/16":        {"::1/128", "has IPv6 only"},
		"255.255.255.0/24": {"255.255.255.255/32", "no free subnet"},
	} {
		if _, err := choose(prefixes(pool), prefixes(c.taken), false); err == nil || !strings.Contains(err.Error(), c.part) {
			t.Errorf("%s: got %v, want %q", pool, err, c.part)
		}
	}
}

func TestGateway(t *testing.T) {
	if got := fmt.Sprint(gateway(prefixes("10.213.7.0/24")[0]), gateway(prefixes("fd9c:1:2:3::/64")[0])); got != "10.213.7.1/24 fd9c:1:2:3::1/64" {
		t.Errorf("got %s", got)
	}
}
