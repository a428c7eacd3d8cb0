//! Whom certificates are vouched for by.

use std::{fmt, io, path::Path, sync::Arc};

use rustls::{RootCertStore, pki_types::CertificateDer};
use sha2::{Digest as _, Sha256};

use super::pair::{parse_chain, read};

/// Those who vouch for certificates: at least one.
#[derive(Clone)]
pub struct Roots {
    store: Arc<RootCertStore>,
    /// Of their certificates: what was read twice is the same if nothing of it changed.
    digest: [u8; 32],
}

/// Why nobody is known who vouches.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file cannot be read.
    #[error("the CA certificates cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// There is no certificate in it, or one that is none.
    #[error("{0}")]
    Certificate(&'static str),
    /// The system has none.
    #[error("the system has no CA certificates that can be used")]
    System,
}

impl Roots {
    /// Reads a file of PEM. Each certificate must be one that can vouch.
    pub fn read(path: &Path) -> Result<Self, RootsError> {
        let pem = read(path).map_err(RootsError::Unreadable)?;
        let certificates = parse_chain(&pem).map_err(RootsError::Certificate)?;
        let digest = digest(&certificates);
        let mut store = RootCertStore::empty();
        for certificate in certificates {
            let added = store.add(certificate);
            added.map_err(|_| RootsError::Certificate("a certificate in the file is no CA's"))?;
        }
        Ok(Self { store: Arc::new(store), digest })
    }

    /// Asks the system, which may have some that nobody can use.
    pub fn system() -> Result<Self, RootsError> {
        let certificates = rustls_native_certs::load_native_certs().certs;
        let digest = digest(&certificates);
        let mut store = RootCertStore::empty();
        let (usable, _) = store.add_parsable_certificates(certificates);
        if usable == 0 {
            return Err(RootsError::System);
        }
        Ok(Self { store: Arc::new(store), digest })
    }

    /// Gives them as they are verified by.
    pub fn store(&self) -> &Arc<RootCertStore> {
        &self.store
    }

    /// Gives what tells them from others.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

fn digest(certificates: &[CertificateDer<'_>]) -> [u8; 32] {
    let mut hash = Sha256::new();
    // A certificate says itself how long it is, so that no two lists are written alike.
    certificates.iter().for_each(|certificate| hash.update(certificate));
    hash.finalize().into()
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots").field("certificates", &self.store.len()).finish_non_exhaustive()
    }
}
