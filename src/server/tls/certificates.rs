//! Which certificate a client is shown.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::tls::Pair;

/// The certificates of a listener, and who is shown which.
#[derive(Debug)]
pub(super) struct Certificates {
    keys: Vec<Arc<CertifiedKey>>,
    /// By name, or by what follows `*.` with the dot: several where they differ in the kind of key.
    by_name: HashMap<Box<str>, Vec<usize>>,
}

impl Certificates {
    pub(super) fn new(pairs: &[Pair]) -> Self {
        let mut by_name: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        for (index, pair) in pairs.iter().enumerate() {
            for name in pair.names() {
                let name = name.strip_prefix('*').unwrap_or(name);
                by_name.entry(name.into()).or_default().push(index);
            }
        }
        Self { keys: pairs.iter().map(|pair| Arc::clone(pair.key())).collect(), by_name }
    }

    /// Finds those of a host, whose name is in lower case.
    fn of(&self, host: &str) -> Option<&[usize]> {
        let exact = self.by_name.get(host);
        // A wildcard stands for one label (RFC 6125 section 6.4.3).
        let found = exact.or_else(|| self.by_name.get(host.get(host.find('.')?..)?))?;
        Some(found)
    }

    /// Tells whether a host has certificates, of which none was shown to who asked for `name`.
    pub(super) fn is_of_another(&self, name: Option<&str>, host: &str) -> bool {
        let Some(of_host) = self.of(host) else { return false };
        let shown = name.and_then(|name| self.of(name)).unwrap_or(&[0]);
        shown.iter().all(|index| !of_host.contains(index))
    }

    /// Chooses for who asked for `name`: the first whose key the client takes. Whoever names no host of
    /// ours, or none, is shown the first of all, as health checks by address expect. Where none fits it is the
    /// first all the same: then the two have no signature in common, and the client is told so.
    fn choose(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<&Arc<CertifiedKey>> {
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let Some(of_name) = name.and_then(|name| self.of(name)) else {
            return self.keys.iter().find(fits).or_else(|| self.keys.first());
        };
        let mut keys = of_name.iter().filter_map(|index| self.keys.get(*index));
        keys.clone().find(fits).or_else(|| keys.next())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        self.choose(name.as_deref(), hello.signature_schemes()).cloned()
    }
}
