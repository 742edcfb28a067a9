package containerd

import (
	"testing"
	"time"
)

func TestReconnectTime(t *testing.T) {
	for away, want := range map[time.Duration]time.Duration{
		0:                      1300 * time.Millisecond,
		799 * time.Millisecond: 1300 * time.Millisecond,
		time.Second:            2020 * time.Millisecond, // the first pause can be over: the second is 1.6 s and a fifth
		3 * time.Second:        3172 * time.Millisecond,
	} {
		if got := reconnectTime(away); got != want {
			t.Errorf("away for %s: got %s, want %s", away, got, want)
		}
	}
}
