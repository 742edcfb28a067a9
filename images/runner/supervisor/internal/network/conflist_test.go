package network

import "testing"

func TestConflist(t *testing.T) {
	got, err := conflistOf("bp-x", prefixes("10.213.0.0/24", "fd9c:5a21:e7d3::/64"), 1400)
	want := `{"cniVersion":"1.0.0","name":"bp-x","plugins":[{"type":"bridge","bridge":"bp-x","mtu":1400,"ipam":{"type":"host-local",` +
		`"ranges":[[{"subnet":"10.213.0.0/24","gateway":"10.213.0.1"}],[{"subnet":"fd9c:5a21:e7d3::/64","gateway":"fd9c:5a21:e7d3::1"}]],` +
		`"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]}}]}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}
