//! Addresses that a customer's URL must not lead to: everything but the public internet.
//!
//! For IPv4 what is refused is listed. For IPv6 only the block that is given out to the public is
//! taken, without its special parts. What cannot be known here is a network's own prefix for NAT64
//! and the public addresses of the operator's own machines.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// An address that is not on the public internet. It says which kind, for the operator's log, and
/// not which address: a customer is not told what a name of the operator's network stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the URL leads to an address that is not on the public internet; \
     use a host that anyone can reach"
)]
pub struct Forbidden {
    /// What the address is.
    pub kind: &'static str,
}

/// From IANA's registry of special addresses, and the one metadata address outside of it.
const FORBIDDEN_V4: [(Ipv4Net, &str); 18] = [
    (v4([0, 0, 0, 0], 8), "unspecified"),
    (v4([10, 0, 0, 0], 8), "private"),
    (v4([100, 64, 0, 0], 10), "shared by a provider's customers"),
    (v4([127, 0, 0, 0], 8), "loopback"),
    (v4([168, 63, 129, 16], 32), "metadata"),
    (v4([169, 254, 0, 0], 16), "link-local"),
    (v4([172, 16, 0, 0], 12), "private"),
    (v4([192, 0, 0, 0], 24), "for protocols"),
    (v4([192, 0, 2, 0], 24), "for documentation"),
    (v4([192, 31, 196, 0], 24), "for protocols"),
    (v4([192, 52, 193, 0], 24), "for protocols"),
    (v4([192, 88, 99, 0], 24), "a relay of 6to4"),
    (v4([192, 168, 0, 0], 16), "private"),
    (v4([192, 175, 48, 0], 24), "for protocols"),
    (v4([198, 18, 0, 0], 15), "for benchmarks"),
    (v4([198, 51, 100, 0], 24), "for documentation"),
    (v4([203, 0, 113, 0], 24), "for documentation"),
    // Multicast, what was never given out, and broadcast.
    (v4([224, 0, 0, 0], 3), "multicast, reserved or broadcast"),
];

/// The block that addresses are given out from.
const PUBLIC_V6: Ipv6Net = v6([0x2000, 0, 0, 0], 3);

/// The special parts of that block. Nobody serves from behind Teredo or 6to4, whatever address they
/// wrap, so they are refused whole.
const FORBIDDEN_V6: [(Ipv6Net, &str); 5] = [
    (v6([0x2001, 0, 0, 0], 32), "Teredo"),
    (v6([0x2001, 0, 0, 0], 23), "for protocols or benchmarks"),
    (v6([0x2001, 0xdb8, 0, 0], 32), "for documentation"),
    (v6([0x2002, 0, 0, 0], 16), "6to4"),
    (v6([0x3fff, 0, 0, 0], 20), "for documentation"),
];

/// The prefix under which NAT64 and DNS64 show the addresses of IPv4 (RFC 6052).
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0], 96);

/// Passes an address of the public internet.
pub(super) fn check(address: IpAddr) -> Result<(), Forbidden> {
    match address {
        IpAddr::V4(address) => check_v4(address),
        IpAddr::V6(address) => check_v6(address),
    }
}

fn check_v4(address: Ipv4Addr) -> Result<(), Forbidden> {
    match FORBIDDEN_V4.iter().find(|(net, _)| net.contains(&address)) {
        Some((_, kind)) => Err(Forbidden { kind }),
        None => Ok(()),
    }
}

fn check_v6(address: Ipv6Addr) -> Result<(), Forbidden> {
    // A socket takes the mapped form for the address of IPv4, and so does a translator with its own.
    if let Some(mapped) = address.to_ipv4_mapped() {
        return check_v4(mapped);
    }
    if NAT64.contains(&address) {
        let [.., a, b, c, d] = address.octets();
        return check_v4(Ipv4Addr::new(a, b, c, d));
    }
    if let Some((_, kind)) = FORBIDDEN_V6.iter().find(|(net, _)| net.contains(&address)) {
        return Err(Forbidden { kind });
    }
    if !PUBLIC_V6.contains(&address) {
        return Err(Forbidden { kind: "not a public IPv6 address" });
    }
    Ok(())
}

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b, c, d]: [u16; 4], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_pass() {
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "168.63.129.15",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001:81b::200e",
            "2001:200::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert_eq!(check(text.parse().unwrap()), Ok(()), "{text}");
        }
    }

    /// Each of IPv4, and again in the two forms in which IPv6 carries it to where it leads.
    #[test]
    fn special_addresses_of_ipv4_are_refused_in_every_form() {
        for text in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.0",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "168.63.129.16",
            "169.254.0.1",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            let address: Ipv4Addr = text.parse().unwrap();
            assert!(check(address.into()).is_err(), "{text}");
            let [a, b, c, d] = address.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            for (form, wrapped) in [
                ("mapped", Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low)),
                ("compatible", Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low)),
                ("translated", Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low)),
                ("NAT64", Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low)),
                ("local NAT64", Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low)),
                ("6to4", Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1)),
                ("Teredo", Ipv6Addr::new(0x2001, 0, 1, 1, 0, 0, !high, !low)),
                ("Teredo's server", Ipv6Addr::new(0x2001, 0, high, low, 0, 0, 1, 1)),
            ] {
                assert!(check(wrapped.into()).is_err(), "{form} {text}");
            }
        }
    }

    #[test]
    fn special_addresses_of_ipv6_are_refused() {
        for text in [
            "::",
            "::1",
            "64:ff9b:1::1",
            "100::1",
            "2001:2::1",
            "2001:10::1",
            "2001:1ff:ffff::1",
            "2001:db8::1",
            "2002:101:101::1",
            "3fff::1",
            "3fff:fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "fe80::a9fe:a9fe",
            "fec0::1",
            "ff02::1",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ] {
            assert!(check(text.parse().unwrap()).is_err(), "{text}");
        }
    }
}
