//! Why there is no TLS to an upstream, or none any more, in words that an operator can act on.

use std::{fmt, io};

use jiff::Timestamp;
use rustls::{
    AlertDescription as Alert, CertificateError, Error,
    pki_types::{ServerName, UnixTime},
};

/// How many names of a certificate are listed.
const NAMES_SHOWN: usize = 10;

/// Puts what went wrong with a handshake into words.
pub(in crate::upstream) fn in_words(error: &io::Error) -> io::Error {
    let words = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it closed the connection during the handshake".to_owned(),
        _ => InWords(error).to_string(),
    };
    io::Error::new(error.kind(), words)
}

/// An error of a connection, in words.
pub(in crate::upstream) struct InWords<'a>(pub(in crate::upstream) &'a io::Error);

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(error) = self;
        match error.get_ref().and_then(|within| within.downcast_ref()) {
            Some(Error::AlertReceived(alert)) => refused(*alert, f),
            Some(Error::InvalidCertificate(wrong)) => unbelieved(wrong, f),
            Some(Error::InvalidMessage(_)) => f.write_str(
                "what it says is no TLS; where it speaks HTTP in clear, write http:// in the URL",
            ),
            Some(Error::NoCertificatesPresented) => f.write_str("it shows no certificate"),
            Some(Error::PeerIncompatible(reason)) => {
                write!(f, "it speaks no version or suite of TLS that is spoken here: {reason:?}")
            }
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("it ended without a word, so that something may be missing")
            }
            _ => write!(f, "{error}"),
        }
    }
}

/// Tells why the upstream has broken off (RFC 8446 section 6.2).
fn refused(alert: Alert, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match alert {
        Alert::CertificateRequired => {
            f.write_str("it asks for a certificate; write `cert` and `key` into its `tls`")
        }
        Alert::AccessDenied
        | Alert::BadCertificate
        | Alert::CertificateExpired
        | Alert::CertificateRevoked
        | Alert::CertificateUnknown
        | Alert::DecryptError
        | Alert::UnknownCA
        | Alert::UnsupportedCertificate => {
            write!(f, "it does not take the certificate that it was shown: {alert:?}")
        }
        Alert::HandshakeFailure | Alert::InsufficientSecurity => write!(
            f,
            "it refuses the handshake ({alert:?}): it speaks no suite that is spoken here, or asks for \
             a certificate"
        ),
        Alert::NoApplicationProtocol => {
            f.write_str("it does not speak HTTP/1.1, as its ALPN tells")
        }
        Alert::ProtocolVersion => {
            f.write_str("it speaks no version of TLS that is spoken here (see `min_version`)")
        }
        Alert::UnrecognisedName => {
            f.write_str("it does not know the name that is asked for; write its `server_name`")
        }
        _ => write!(f, "it refuses the connection: {alert:?}"),
    }
}

/// Tells why its certificate is not believed.
fn unbelieved(wrong: &CertificateError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match wrong {
        CertificateError::ExpiredContext { not_after, .. } => {
            write!(f, "its certificate ended on {}", Time(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            write!(f, "its certificate is valid from {} on", Time(*not_before))
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            misnamed(expected, presented, f)
        }
        CertificateError::UnknownIssuer => f.write_str(
            "nobody who is trusted vouches for its certificate; if it should be believed, write who issued \
             it as `ca`, or the certificate itself",
        ),
        _ => write!(f, "its certificate cannot be believed: {wrong}"),
    }
}

fn misnamed(
    expected: &ServerName<'_>,
    presented: &[String],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "its certificate is not for {}, but for ", expected.to_str())?;
    let shown: Vec<&str> = presented.iter().take(NAMES_SHOWN).map(|name| bare(name)).collect();
    match (&shown[..], presented.len() - shown.len()) {
        ([], _) => f.write_str("no name")?,
        (_, 0) => f.write_str(&shown.join(", "))?,
        (_, more) => write!(f, "{} and {more} more", shown.join(", "))?,
    }
    f.write_str("; where one of them is meant, write it as `server_name`")
}

/// Takes the kind of a name off, which the library puts around it: `DnsName("…")`, `IpAddress(…)`.
fn bare(name: &str) -> &str {
    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(name).trim_matches('"')
}

/// A time as logs have it.
struct Time(UnixTime);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0.as_secs()).unwrap_or(i64::MAX);
        write!(f, "{}", Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(error: Error) -> String {
        InWords(&io::Error::new(io::ErrorKind::InvalidData, error)).to_string()
    }

    #[test]
    fn long_lists_of_names_are_cut() {
        let wrong = |names: usize| CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("api.test").unwrap(),
            presented: (0..names).map(|name| format!("DnsName(\"{name}.test\")")).collect(),
        };
        let told = words(Error::InvalidCertificate(wrong(0)));
        assert!(
            told.starts_with("its certificate is not for api.test, but for no name;"),
            "{told}"
        );
        let told = words(Error::InvalidCertificate(wrong(10)));
        assert!(told.contains(" 8.test, 9.test; where"), "{told}");
        let told = words(Error::InvalidCertificate(wrong(1000)));
        assert!(told.contains(" 9.test and 990 more; where") && told.len() < 250, "{told}");
    }

    #[test]
    fn alerts_say_what_to_do() {
        for (alert, part) in [
            (Alert::CertificateRequired, "asks for a certificate"),
            (Alert::UnknownCA, "does not take the certificate"),
            (Alert::HandshakeFailure, "no suite that is spoken here"),
            (Alert::ProtocolVersion, "min_version"),
            (Alert::UnrecognisedName, "server_name"),
            (Alert::InternalError, "InternalError"),
        ] {
            let told = words(Error::AlertReceived(alert));
            assert!(told.contains(part), "{told}");
        }
    }
}
