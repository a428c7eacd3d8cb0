//! What both sides of TLS share: a certificate and its key as files have them, whom to trust, until when
//! that holds, and the one provider of cryptography.

mod pair;
mod roots;
mod validity;
mod watch;

use std::sync::Arc;

use rustls::{
    SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    version::{TLS12, TLS13},
};

pub(crate) use self::watch::watch;
pub use self::{
    pair::{Pair, PairError},
    roots::{Roots, RootsError},
    validity::Validity,
};

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TlsVersion {
    /// With the suites that have forward secrecy alone.
    #[default]
    Tls12,
    /// And nothing older.
    Tls13,
}

impl TlsVersion {
    /// Each with its name in the file.
    pub const ALL: [(&'static str, Self); 2] = [("1.2", Self::Tls12), ("1.3", Self::Tls13)];

    /// Gives what is spoken where this is the oldest.
    pub(crate) fn and_newer(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        static NEWEST: [&SupportedProtocolVersion; 1] = [&TLS13];
        match self {
            Self::Tls12 => &BOTH,
            Self::Tls13 => &NEWEST,
        }
    }
}

/// Gives the one provider of cryptography. It is named wherever a configuration is made, because rustls
/// panics when it has to choose and a dependency has brought another one.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
