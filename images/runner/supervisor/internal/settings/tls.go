package settings

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
)

// DefaultTLSSuffix ends the server names that mean an engine, when the owner has no DNS zone for it.
const DefaultTLSSuffix = "bedplate"

// suffixPattern is DNS labels of lower-case letters, digits and dashes, with dots between.
var suffixPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

func (f file) validateTLS() error {
	if len(f.TLSSuffix) > 200 || !suffixPattern.MatchString(f.TLSSuffix) {
		return fmt.Errorf("field \"tlsSuffix\": %q is not a DNS name in lower case, such as \"engines.example.org\"", f.TLSSuffix)
	}
	if f.TLSListen == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(f.TLSListen)
	if err == nil && host != "" {
		_, err = netip.ParseAddr(host)
	}
	if number, wrong := strconv.ParseUint(port, 10, 16); err != nil || wrong != nil || number == 0 {
		return fmt.Errorf("field \"tlsListen\": %q is not an address such as \"127.0.0.1:8443\", \"[::1]:8443\" or \":8443\"", f.TLSListen)
	}
	return nil
}
