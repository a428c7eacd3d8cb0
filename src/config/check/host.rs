//! Host names and addresses in the one form that requests are compared with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host in its normal form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Host {
    /// An IP address.
    Address(IpAddr),
    /// A name, lower case and without a dot at its end.
    Name(String),
}

/// Why a text is not a host in its normal form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum NotHost {
    /// It is no host at all.
    Bad,
    /// It is one, and this is its normal form.
    Differs(String),
}

impl Host {
    /// Reads a host as it stands in a URL: an IPv6 address in brackets.
    pub(super) fn parse(text: &str) -> Result<Self, NotHost> {
        let host = Self::parse_loosely(text).ok_or(NotHost::Bad)?;
        let normal = host.to_string();
        if normal == text { Ok(host) } else { Err(NotHost::Differs(normal)) }
    }

    /// Tells whether a connection to the host stays on this machine for certain.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Address(address) => {
                let address = address.to_canonical();
                address.is_loopback() || address.is_unspecified()
            }
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }

    /// Gives the text to dial: an IPv6 address without brackets.
    pub(super) fn dialled(&self) -> String {
        match self {
            Self::Address(address) => address.to_string(),
            Self::Name(name) => name.clone(),
        }
    }

    fn parse_loosely(text: &str) -> Option<Self> {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Ok(address) = bracketed.unwrap_or(text).parse::<Ipv6Addr>() {
            return Some(Self::Address(address.into()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        is_name(&name).then_some(Self::Name(name))
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Tells whether a lower-case text is a host name. Underscores are no part of one (RFC 952), but
/// container networks use them. A last label of digits would be an address, and is not.
fn is_name(name: &str) -> bool {
    let is_allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_".contains(&c);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(is_allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or("");
    name.len() <= 253
        && name.split('.').all(is_label)
        && !last.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let differs = |normal: &str| Err(NotHost::Differs(normal.to_owned()));
        for (text, read) in [
            ("api.example.com", Ok("api.example.com")),
            ("my_service", Ok("my_service")),
            ("xn--bcher-kva.example", Ok("xn--bcher-kva.example")),
            ("127.0.0.1", Ok("127.0.0.1")),
            ("[::1]", Ok("::1")),
            ("API.example.com", differs("api.example.com")),
            ("api.example.com.", differs("api.example.com")),
            ("::1", differs("[::1]")),
            ("[0:0::1]", differs("[::1]")),
            ("", Err(NotHost::Bad)),
            (".", Err(NotHost::Bad)),
            ("a..b", Err(NotHost::Bad)),
            ("*.example.com", Err(NotHost::Bad)),
            ("api.example.com:80", Err(NotHost::Bad)),
            ("999.0.0.1", Err(NotHost::Bad)),
            ("1.2.3", Err(NotHost::Bad)),
            ("-a.example", Err(NotHost::Bad)),
            ("bücher.example", Err(NotHost::Bad)),
            ("a b", Err(NotHost::Bad)),
        ] {
            let host = Host::parse(text).map(|host| host.dialled());
            assert_eq!(host, read.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn local_hosts() {
        for local in ["localhost", "app.localhost", "127.0.0.1", "127.9.9.9", "0.0.0.0", "[::1]"] {
            assert!(Host::parse(local).unwrap().is_local(), "{local}");
        }
        for local in ["[::]", "[::ffff:127.0.0.1]"] {
            assert!(Host::parse(local).unwrap().is_local(), "{local}");
        }
        for distant in ["example.com", "localhost.example.com", "10.0.0.1", "[2001:db8::1]"] {
            assert!(!Host::parse(distant).unwrap().is_local(), "{distant}");
        }
    }
}
