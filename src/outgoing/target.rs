//! Where an endpoint is, and how far whoever set it is trusted.

use std::{fmt, net::IpAddr};

use http::{HeaderValue, Uri};

use crate::outgoing::guard::{self, Forbidden};

/// An endpoint's URL in its checked form. It prints without path and query, because many receivers
/// put a secret there.
#[derive(Clone)]
pub struct Target {
    pub(super) is_https: bool,
    pub(super) host: Host,
    pub(super) port: u16,
    /// Path and query; it starts with a slash.
    pub(super) path: String,
    /// The value of `Host`.
    pub(super) authority: HeaderValue,
    pub(super) trust: Trust,
}

/// A host, not yet looked up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Host {
    Address(IpAddr),
    /// Lower case and without a dot at its end.
    Name(String),
}

/// Who set a URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trust {
    /// The operator, in the configuration: it may lead anywhere, to the own network too.
    Operator,
    /// A customer, through the API: it must lead to the public internet, and that is looked at again
    /// for each connection.
    Tenant,
}

/// Why a text is not the URL of an endpoint. It does not repeat the text, which may hold a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TargetError {
    /// It is longer than any URL in use.
    #[error("the URL is longer than {URL_BYTES_MAX} bytes")]
    Long,
    /// It has characters that are not sent as they are.
    #[error("the URL is not ASCII; write the host with `xn--` and percent-encode the rest")]
    NotAscii,
    /// It is not a URL that can be read.
    #[error("this is not a URL; write it whole, such as https://HOST/PATH")]
    Syntax,
    /// It has another scheme.
    #[error("the URL's scheme is not https or http")]
    Scheme,
    /// It has a user name or a password.
    #[error("the URL has a user name or a password; leave it out, messages are signed instead")]
    Credentials,
    /// It has a fragment.
    #[error("the URL has a fragment, which is never sent; leave out what begins with `#`")]
    Fragment,
    /// Its host is neither a name nor an address.
    #[error(
        "the URL's host is neither a name, nor an IPv4 address of four numbers, nor an IPv6 \
         address in brackets"
    )]
    Host,
    /// Its port is no port.
    #[error("the URL's port is not a number from 1 to 65535")]
    Port,
    /// It is an address that a customer's URL must not lead to.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
}

const URL_BYTES_MAX: usize = 2048;

impl Target {
    /// Reads a URL. An address in it is looked at now; a name is looked up for each connection.
    pub fn parse(text: &str, trust: Trust) -> Result<Self, TargetError> {
        if text.len() > URL_BYTES_MAX {
            return Err(TargetError::Long);
        }
        if !text.is_ascii() {
            return Err(TargetError::NotAscii);
        }
        // `Uri` drops a fragment without a word.
        if text.contains('#') {
            return Err(TargetError::Fragment);
        }
        let uri: Uri = text.parse().map_err(|_| TargetError::Syntax)?;
        let parts = uri.into_parts();
        let is_https = match parts.scheme.as_ref().map(|scheme| scheme.as_str()) {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err(TargetError::Scheme),
            None => return Err(TargetError::Syntax),
        };
        let authority = parts.authority.ok_or(TargetError::Syntax)?;
        if authority.as_str().contains('@') {
            return Err(TargetError::Credentials);
        }
        let (host, given_port) = split_port(authority.as_str())?;
        let host = Host::parse(host).ok_or(TargetError::Host)?;
        if let (Host::Address(address), Trust::Tenant) = (&host, trust) {
            guard::check(*address)?;
        }
        let default_port = if is_https { 443 } else { 80 };
        let port = given_port.unwrap_or(default_port);
        let authority =
            if port == default_port { host.to_string() } else { format!("{host}:{port}") };
        Ok(Self {
            is_https,
            host,
            port,
            // Only its printed form has the slash before a query alone.
            path: parts.path_and_query.map_or_else(|| "/".to_owned(), |path| path.to_string()),
            authority: authority.parse().map_err(|_| TargetError::Host)?,
            trust,
        })
    }

    /// Gives the URL without its path and query.
    pub fn origin(&self) -> String {
        let scheme = if self.is_https { "https" } else { "http" };
        format!("{scheme}://{}", self.authority.to_str().unwrap_or_default())
    }

    /// Gives the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Tells whether what is sent cannot be read on the way.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Tells whether it stays on this machine.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Address(address) => address.to_canonical().is_loopback(),
            Host::Name(name) => name == "localhost",
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        let Self { host, port, trust, .. } = self;
        write!(f, "Target({scheme}://{host}:{port}, {trust:?})")
    }
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        if let Some(inside) = text.strip_prefix('[') {
            let address = inside.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(IpAddr::V6(address)));
        }
        if let Ok(address) = text.parse() {
            return Some(Self::Address(IpAddr::V4(address)));
        }
        let name = text.to_ascii_lowercase();
        is_name(&name).then_some(Self::Name(name))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), TargetError> {
    let end_of_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = authority.get(end_of_host..).and_then(|rest| rest.find(':')) else {
        return Ok((authority, None));
    };
    let (host, port) = authority.split_at(end_of_host + colon);
    let digits = port.strip_prefix(':').unwrap_or(port);
    match digits.parse() {
        Ok(port @ 1..) if digits.bytes().all(|c| c.is_ascii_digit()) => Ok((host, Some(port))),
        _ => Err(TargetError::Port),
    }
}

/// Tells whether a lower-case text is a host name. A last label that is a number in any notation is
/// none: the system's look-up would take `127.1` and `0x7f000001` for addresses.
fn is_name(name: &str) -> bool {
    let is_allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_".contains(&c);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(is_allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or("");
    let digits = last.strip_prefix("0x").unwrap_or(last);
    let is_number = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit())
        || last.len() > digits.len() && digits.bytes().all(|c| c.is_ascii_hexdigit());
    name.len() <= 253 && name.split('.').all(is_label) && !is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_urls() {
        for (text, is_https, host, port, path, authority) in [
            ("https://hooks.example", true, "hooks.example", 443, "/", "hooks.example"),
            ("HTTPS://Hooks.Example/", true, "hooks.example", 443, "/", "hooks.example"),
            ("https://a.example:443/x", true, "a.example", 443, "/x", "a.example"),
            ("http://a.example:80?k=v", false, "a.example", 80, "/?k=v", "a.example"),
            ("https://a.example:8443/x?k=v", true, "a.example", 8443, "/x?k=v", "a.example:8443"),
            ("http://127.0.0.1:9000/x", false, "127.0.0.1", 9000, "/x", "127.0.0.1:9000"),
            ("http://[::1]:9000/x", false, "[::1]", 9000, "/x", "[::1]:9000"),
            ("http://service/x", false, "service", 80, "/x", "service"),
        ] {
            let target = Target::parse(text, Trust::Operator).unwrap();
            assert_eq!(target.is_https, is_https, "{text}");
            assert_eq!((target.host.to_string().as_str(), target.port), (host, port), "{text}");
            assert_eq!(target.path, path, "{text}");
            assert_eq!(target.authority, authority, "{text}");
        }
    }

    #[test]
    fn bad_urls_say_why() {
        let long = format!("https://a.example/{}", "x".repeat(2048));
        let long_name = format!("https://{}example/", "a.".repeat(130));
        for (text, error) in [
            ("", TargetError::Syntax),
            ("hooks.example/x", TargetError::Syntax),
            ("/x", TargetError::Syntax),
            ("https://", TargetError::Syntax),
            ("https://a b.example/", TargetError::Syntax),
            ("https://a.example/\r\nx: y", TargetError::Syntax),
            ("ftp://a.example/", TargetError::Scheme),
            ("file:///etc/passwd", TargetError::Syntax),
            ("https://user@a.example/", TargetError::Credentials),
            ("https://user:password@a.example/", TargetError::Credentials),
            ("https://a.example@10.0.0.1/", TargetError::Credentials),
            ("https://a.example/x#y", TargetError::Fragment),
            ("https://a.example:0/", TargetError::Port),
            ("https://a.example:/", TargetError::Port),
            ("https://a.example:65536/", TargetError::Port),
            ("https://a..example/", TargetError::Host),
            ("https://a.example./", TargetError::Host),
            ("https://-a.example/", TargetError::Host),
            ("https://127.1/", TargetError::Host),
            ("https://2130706433/", TargetError::Host),
            ("https://0x7f000001/", TargetError::Host),
            ("https://0X7F.0.0.0x1/", TargetError::Host),
            ("https://0177.0.0.01/", TargetError::Host),
            ("https://a.256/", TargetError::Host),
            ("https://[fe80::1%25eth0]/", TargetError::Host),
            ("https://bücher.example/", TargetError::NotAscii),
            ("https://a.example/bücher", TargetError::NotAscii),
            (long.as_str(), TargetError::Long),
            (long_name.as_str(), TargetError::Host),
        ] {
            for trust in [Trust::Operator, Trust::Tenant] {
                assert_eq!(Target::parse(text, trust).unwrap_err(), error, "{text:?}");
            }
        }
    }

    #[test]
    fn only_the_operator_sets_private_addresses() {
        for text in ["http://127.0.0.1/", "https://[::1]/", "http://169.254.169.254/latest"] {
            assert!(Target::parse(text, Trust::Operator).is_ok(), "{text}");
            let error = Target::parse(text, Trust::Tenant).unwrap_err();
            assert!(matches!(error, TargetError::Forbidden(_)), "{text}");
        }
        for text in ["http://1.1.1.1/", "https://[2606:4700::1111]:8443/", "http://localhost/"] {
            assert!(Target::parse(text, Trust::Tenant).is_ok(), "{text}");
        }
    }

    #[test]
    fn path_does_not_print() {
        let target = Target::parse("https://a.example/T0/secret?k=secret", Trust::Tenant).unwrap();
        assert_eq!(format!("{target:?}"), "Target(https://a.example:443, Tenant)");
    }
}
