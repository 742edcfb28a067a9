package network

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// masquerade makes the bridge's own tables. What leaves the host from its subnets has the host's address; what comes from elsewhere
// gets in only as an answer, since the host forwards now. Two families in place of inet: that one needs a kernel with IPv6.
func masquerade(bridge string, subnets []netip.Prefix) error {
	conn, err := nftables.New()
	if err != nil {
		return nftError(err)
	}
	for _, subnet := range subnets {
		table := conn.AddTable(&nftables.Table{Name: bridge, Family: family(subnet)})
		accept := nftables.ChainPolicyAccept
		leaving := conn.AddChain(&nftables.Chain{
			Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT, Policy: &accept,
			Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
		})
		conn.AddRule(&nftables.Rule{
			Table: table, Chain: leaving,
			Exprs: join(from(subnet), interfaceIs(expr.MetaKeyOIFNAME, expr.CmpOpNeq, bridge), []expr.Any{&expr.Masq{}}),
		})
		forwarded := conn.AddChain(&nftables.Chain{
			Name: "forward", Table: table, Type: nftables.ChainTypeFilter, Policy: &accept,
			Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
		})
		conn.AddRule(&nftables.Rule{
			Table: table, Chain: forwarded,
			Exprs: join(
				interfaceIs(expr.MetaKeyOIFNAME, expr.CmpOpEq, bridge), interfaceIs(expr.MetaKeyIIFNAME, expr.CmpOpNeq, bridge),
				isNoAnswer(), []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}},
			),
		})
	}
	return nftError(conn.Flush())
}

// removeRules removes the bridge's tables, of both families.
func removeRules(bridge string) error {
	conn, err := nftables.New()
	if err != nil {
		return nftError(err)
	}
	for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
		tables, err := conn.ListTablesOfFamily(family)
		if unsupported(err) {
			continue // then there is none to remove
		}
		if err != nil {
			return nftError(err)
		}
		for _, table := range tables {
			if table.Name == bridge {
				conn.DelTable(table)
			}
		}
	}
	return nftError(conn.Flush())
}

func unsupported(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EINVAL)
}

func nftError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("nftables: %w (the kernel needs nf_tables with nft_masq and nft_ct, and the runner CAP_NET_ADMIN)", err)
}

func family(subnet netip.Prefix) nftables.TableFamily {
	if subnet.Addr().Is4() {
		return nftables.TableFamilyIPv4
	}
	return nftables.TableFamilyIPv6
}

func join(parts ...[]expr.Any) (all []expr.Any) {
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

// from matches a source address: offsets and lengths are those of the IP headers.
func from(subnet netip.Prefix) []expr.Any {
	address := subnet.Addr().AsSlice()
	offset := uint32(12)
	if subnet.Addr().Is6() {
		offset = 8
	}
	length := uint32(len(address))
	mask := last(netip.PrefixFrom(subnet.Addr(), 0)).AsSlice()
	for bit := subnet.Bits(); bit < len(mask)*8; bit++ {
		mask[bit/8] &^= 1 << (7 - bit%8)
	}
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: length, Mask: mask, Xor: make([]byte, length)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: address},
	}
}

func interfaceIs(key expr.MetaKey, op expr.CmpOp, name string) []expr.Any {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: padded}}
}

func isNoAnswer() []expr.Any {
	answers := binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	none := make([]byte, len(answers))
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: uint32(len(answers)), Mask: answers, Xor: none},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: none},
	}
}
