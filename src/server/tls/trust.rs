//! Whom clients are vouched for by.

use std::{fmt, io, path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use super::pair::{parse_chain, read};

/// What certificates of clients are verified by.
pub struct Trust {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
}

/// Why a file says nothing about whom to trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read.
    #[error("the CA certificates cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// There is no certificate in it, or one that is none.
    #[error("{0}")]
    Certificate(&'static str),
}

impl Trust {
    /// Reads the certificates of those who vouch for clients. A client may show none where that is not
    /// required, and one that it shows must be good in either case.
    pub fn read(path: &Path, is_required: bool) -> Result<Self, TrustError> {
        let pem = read(path).map_err(TrustError::Unreadable)?;
        let mut roots = RootCertStore::empty();
        for certificate in parse_chain(&pem).map_err(TrustError::Certificate)? {
            let added = roots.add(certificate);
            added.map_err(|_| TrustError::Certificate("a certificate in the file is no CA's"))?;
        }
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), super::provider());
        let builder = if is_required { builder } else { builder.allow_unauthenticated() };
        let verifier = builder.build();
        let verifier = verifier
            .map_err(|_| TrustError::Certificate("no client can be verified by the file"))?;
        Ok(Self { verifier })
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}
