//! The header of the PROXY protocol, with which a proxy begins a connection to say for whom it was
//! opened (haproxy.org, doc/proxy-protocol.txt, versions 1 and 2).
//!
//! Nothing is guessed: what is not a header to the letter is none, and its connection closes. Of
//! the further values of version 2 (TLVs) none is used, so they are skipped whatever they are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// How many bytes it takes.
    pub length: usize,
    /// The client; `None` where the proxy speaks for itself, as in checks of health, or does not
    /// say.
    pub source: Option<SocketAddr>,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// They begin otherwise.
    #[error("the connection does not begin with a PROXY header")]
    Absent,
    /// A part of it is none.
    #[error("the PROXY header is malformed")]
    Invalid,
    /// It goes beyond what is read of it.
    #[error("the PROXY header is too long")]
    TooLong,
}

/// How version 1 begins.
const V1: &[u8] = b"PROXY ";

/// The longest header of version 1, with the end of its line.
const V1_BYTES_MAX: usize = 107;

/// How version 2 begins.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The part of version 2 that tells how long the rest is.
const V2_FIXED_BYTES: usize = 16;

/// The longest header of version 2 that is read. Addresses take 216 bytes at most; what load
/// balancers add has some hundreds, with a certificate some thousands.
const V2_BYTES_MAX: usize = 8 * 1024;

/// Reads the header that a connection begins with; `None` while it is not whole.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    if is_beginning(bytes, V2) {
        return parse_v2(bytes);
    }
    if is_beginning(bytes, V1) {
        return parse_v1(bytes);
    }
    Err(Malformed::Absent)
}

/// Tells whether the bytes begin with a mark, as far as they go.
fn is_beginning(bytes: &[u8], mark: &[u8]) -> bool {
    let length = bytes.len().min(mark.len());
    bytes.get(..length) == mark.get(..length)
}

fn parse_v1(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let looked_at = bytes.get(..V1_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = memchr::memchr(b'\n', looked_at) else {
        return if bytes.len() < V1_BYTES_MAX { Ok(None) } else { Err(Malformed::TooLong) };
    };
    let line = looked_at.get(V1.len()..end).and_then(|line| line.strip_suffix(b"\r"));
    let line = line.and_then(|line| std::str::from_utf8(line).ok()).ok_or(Malformed::Invalid)?;
    Ok(Some(Header { length: end + 1, source: source_v1(line)? }))
}

/// Reads what follows `PROXY` in its line.
fn source_v1(line: &str) -> Result<Option<SocketAddr>, Malformed> {
    let (family, rest) = line.split_once(' ').unwrap_or((line, ""));
    let address: fn(&str) -> Option<IpAddr> = match family {
        // What may follow says nothing.
        "UNKNOWN" => return Ok(None),
        "TCP4" => |text| text.parse().ok().map(IpAddr::V4),
        "TCP6" => |text| text.parse().ok().map(IpAddr::V6),
        _ => return Err(Malformed::Invalid),
    };
    let mut parts = rest.split(' ');
    let mut next = || parts.next().ok_or(Malformed::Invalid);
    let (source, destination) = (address(next()?), address(next()?));
    let (source_port, destination_port) = (port(next()?), port(next()?));
    if next().is_ok() {
        return Err(Malformed::Invalid);
    }
    match (source, destination, source_port, destination_port) {
        (Some(address), Some(_), Some(port), Some(_)) => Ok(Some(SocketAddr::new(address, port))),
        _ => Err(Malformed::Invalid),
    }
}

/// Reads a port, which has no sign and no zeros before it.
fn port(text: &str) -> Option<u16> {
    let is_plain = text == "0" || matches!(text.as_bytes(), [b'1'..=b'9', ..]);
    text.parse().ok().filter(|_| is_plain)
}

fn parse_v2(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some((fixed, _)) = bytes.split_first_chunk::<V2_FIXED_BYTES>() else { return Ok(None) };
    let [.., command, family, high, low] = *fixed;
    let length = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > V2_BYTES_MAX {
        return Err(Malformed::TooLong);
    }
    let Some(rest) = bytes.get(V2_FIXED_BYTES..length) else { return Ok(None) };
    let source = match command {
        // The proxy's own connection: whatever addresses follow are to be ignored.
        0x20 => None,
        0x21 => source_v2(family, rest)?,
        _ => return Err(Malformed::Invalid),
    };
    Ok(Some(Header { length, source }))
}

/// Reads the addresses by their family: both addresses, then both ports. A datagram cannot have
/// become a connection, so its families are malformed here.
fn source_v2(family: u8, rest: &[u8]) -> Result<Option<SocketAddr>, Malformed> {
    const UNIX_BYTES: usize = 216;
    match family {
        // Not specified.
        0x00 => Ok(None),
        0x11 => {
            let bytes = rest.first_chunk::<12>().ok_or(Malformed::Invalid)?;
            let [a, b, c, d, _, _, _, _, high, low, ..] = *bytes;
            let address = Ipv4Addr::new(a, b, c, d);
            Ok(Some((address, u16::from_be_bytes([high, low])).into()))
        }
        0x21 => {
            let (address, rest) = rest.split_first_chunk::<16>().ok_or(Malformed::Invalid)?;
            let (_, rest) = rest.split_first_chunk::<16>().ok_or(Malformed::Invalid)?;
            let [high, low, ..] = *rest.first_chunk::<4>().ok_or(Malformed::Invalid)?;
            Ok(Some((Ipv6Addr::from(*address), u16::from_be_bytes([high, low])).into()))
        }
        // A socket of the proxy's own machine.
        0x31 if rest.len() >= UNIX_BYTES => Ok(None),
        _ => Err(Malformed::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2, &[command, family], &length, rest].concat()
    }

    fn ports(source: u16) -> [u8; 4] {
        let [high, low] = source.to_be_bytes();
        [high, low, 1, 187]
    }

    fn source(bytes: &[u8]) -> Option<SocketAddr> {
        let header = parse(bytes).unwrap().unwrap();
        assert_eq!(header.length, bytes.len());
        header.source
    }

    #[test]
    fn version_1_is_read_to_the_letter() {
        for (line, client) in [
            ("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", Some("192.0.2.7:56324")),
            (
                "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
                Some("255.255.255.255:65535"),
            ),
            ("PROXY TCP6 2001:db8::7 ::1 0 443\r\n", Some("[2001:db8::7]:0")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN 192.0.2.7 whatever\r\n", None),
        ] {
            assert_eq!(source(line.as_bytes()), client.map(|text| text.parse().unwrap()), "{line}");
        }
        for line in [
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 1\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 \r\n",
            "PROXY TCP4  192.0.2.7 198.51.100.1 56324 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 +5632 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 056 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
            "PROXY TCP4 192.0.2.256 198.51.100.1 1 443\r\n",
            "PROXY TCP4 192.0.2.7 nowhere 1 443\r\n",
            "PROXY TCP4 2001:db8::7 ::1 1 443\r\n",
            "PROXY TCP6 192.0.2.7 198.51.100.1 1 443\r\n",
            "PROXY UDP4 192.0.2.7 198.51.100.1 1 443\r\n",
            "PROXY tcp4 192.0.2.7 198.51.100.1 1 443\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 1 443\r\r\n",
        ] {
            assert_eq!(parse(line.as_bytes()), Err(Malformed::Invalid), "{line}");
        }
    }

    #[test]
    fn version_1_has_107_bytes_at_most() {
        let line = |length: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(length - 16));
        assert_eq!(parse(line(107).as_bytes()).unwrap().unwrap().length, 107);
        assert_eq!(parse(line(108).as_bytes()), Err(Malformed::TooLong));
        assert_eq!(parse(&line(108).as_bytes()[..107]), Err(Malformed::TooLong));
        assert_eq!(parse(&line(108).as_bytes()[..106]), Ok(None));
    }

    #[test]
    fn version_2_is_read_by_its_lengths() {
        let v4 = [&[192, 0, 2, 7, 198, 51, 100, 1][..], &ports(56324)].concat();
        let v6 = |address: &str| {
            let octets = address.parse::<Ipv6Addr>().unwrap().octets();
            [&octets[..], &[0; 16], &ports(7)].concat()
        };
        let with_values = [&v4[..], &[0xea, 0, 3, 1, 2, 3], &[0x04, 0xff, 0xff]].concat();
        let client = Some("192.0.2.7:56324".parse().unwrap());
        for (bytes, expected) in [
            (v2(0x21, 0x11, &v4), client),
            (v2(0x21, 0x11, &with_values), client),
            (v2(0x21, 0x21, &v6("2001:db8::7")), Some("[2001:db8::7]:7".parse().unwrap())),
            (v2(0x21, 0x00, &[]), None),
            (v2(0x21, 0x00, &v4), None),
            (v2(0x21, 0x31, &[0; 216]), None),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x11, &v4), None),
            (v2(0x20, 0xff, &[1, 2]), None),
        ] {
            assert_eq!(source(&bytes), expected, "{bytes:?}");
        }
        for (command, family, rest) in [
            (0x21, 0x11, &v4[..11]),
            (0x21, 0x21, &v6("::1")[..35]),
            (0x21, 0x31, &[0; 215][..]),
            (0x21, 0x12, &v4),
            (0x21, 0x22, &v6("::1")),
            (0x21, 0x13, &v4),
            (0x21, 0x41, &v4),
            (0x22, 0x11, &v4),
            (0x11, 0x11, &v4),
            (0x31, 0x11, &v4),
        ] {
            assert_eq!(parse(&v2(command, family, rest)), Err(Malformed::Invalid), "{rest:?}");
        }
    }

    #[test]
    fn version_2_is_bounded_before_it_has_come() {
        let most = vec![0; V2_BYTES_MAX - V2_FIXED_BYTES];
        assert_eq!(source(&v2(0x21, 0x00, &most)), None);
        let more = vec![0; V2_BYTES_MAX - V2_FIXED_BYTES + 1];
        let header = v2(0x21, 0x00, &more);
        assert_eq!(parse(&header[..V2_FIXED_BYTES]), Err(Malformed::TooLong));
    }

    #[test]
    fn what_begins_otherwise_is_refused_at_once() {
        for bytes in [
            &b"G"[..],
            b"GET / HTTP/1.1\r\n",
            b"PROXI",
            b"proxy ",
            b"\r\n\r\nG",
            b"\n",
            b"\x16\x03",
        ] {
            assert_eq!(parse(bytes), Err(Malformed::Absent), "{bytes:?}");
        }
        for bytes in [&b""[..], b"P", b"PROXY", b"\r", b"\r\n\r\n\0\r\nQUIT"] {
            assert_eq!(parse(bytes), Ok(None), "{bytes:?}");
        }
    }

    fn address() -> impl Strategy<Value = SocketAddr> {
        any::<(IpAddr, u16)>().prop_map(SocketAddr::from)
    }

    /// Writes a header in the manner of a proxy.
    fn written(source: SocketAddr, is_v1: bool, values: &[u8]) -> Vec<u8> {
        let port = source.port();
        match (source.ip(), is_v1) {
            (IpAddr::V4(ip), true) => format!("PROXY TCP4 {ip} 192.0.2.1 {port} 443\r\n").into(),
            (IpAddr::V6(ip), true) => format!("PROXY TCP6 {ip} ::1 {port} 443\r\n").into(),
            (IpAddr::V4(ip), false) => {
                v2(0x21, 0x11, &[&ip.octets()[..], &[192, 0, 2, 1], &ports(port), values].concat())
            }
            (IpAddr::V6(ip), false) => {
                v2(0x21, 0x21, &[&ip.octets()[..], &[1; 16], &ports(port), values].concat())
            }
        }
    }

    proptest! {
        /// What a proxy says is what is read, however much of the request has come behind it; and
        /// no beginning of it is taken for whole.
        #[test]
        fn headers_are_read_back(
            source in address(),
            is_v1: bool,
            values in prop::collection::vec(any::<u8>(), 0..40),
            behind in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let header = written(source, is_v1, &values);
            let expected = Header { length: header.len(), source: Some(source) };
            prop_assert_eq!(parse(&[&header[..], &behind].concat()), Ok(Some(expected)));
            for end in 0..header.len() {
                prop_assert_eq!(parse(&header[..end]), Ok(None));
            }
        }

        /// Nothing makes it panic, and what it takes has come.
        #[test]
        fn noise_is_survived(
            mark in prop::sample::select(vec![&b""[..], V1, V2, b"PROXY TCP4 ", b"PROXY UNKNOWN"]),
            noise in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let bytes = [mark, &noise].concat();
            if let Ok(Some(header)) = parse(&bytes) {
                prop_assert!(header.length <= bytes.len());
            }
        }
    }
}
