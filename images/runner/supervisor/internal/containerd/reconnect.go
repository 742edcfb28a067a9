package containerd

import "time"

// gRPC's pauses between tries to connect: doc/connection-backoff.md.
const (
	firstPause   = time.Second
	pauseGrowth  = 1.6
	pauseJitter  = 0.2
	connectSlack = 100 * time.Millisecond
)

// reconnectTime is what engines need at most to have their connections again after containerd was away for so long: the longer it was,
// the longer the pause that they may just have begun.
func reconnectTime(away time.Duration) time.Duration {
	longest := time.Duration(0)
	soonest := time.Duration(0) // when this pause may begin
	for pause := float64(firstPause); soonest <= away; pause *= pauseGrowth {
		longest = time.Duration(pause * (1 + pauseJitter))
		soonest += time.Duration(pause * (1 - pauseJitter))
	}
	return longest + connectSlack
}
