package http2wait

import (
	"fmt"
	"io"
	"net"
	"slices"

	"golang.org/x/net/http2"
)

// Greet returns when the server at the other end of conn has sent its SETTINGS: only then does it serve. One that merely listens
// may still be minutes from that, or about to fail. RFC 9113, section 3.4.
func Greet(conn net.Conn) error {
	if _, err := conn.Write(slices.Concat([]byte(http2.ClientPreface), emptySettings)); err != nil {
		return err
	}
	var header [headerBytes]byte
	if _, err := io.ReadFull(conn, header[:]); err != nil {
		return err
	}
	if kind := http2.FrameType(header[3]); kind != http2.FrameSettings {
		return fmt.Errorf("the server's first frame is %v, not SETTINGS", kind)
	}
	return nil
}
