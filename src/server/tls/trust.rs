//! Whom clients are vouched for by.

use std::{fmt, path::Path, sync::Arc};

use rustls::server::{WebPkiClientVerifier, danger::ClientCertVerifier};

use crate::tls::{Roots, RootsError, provider};

/// What certificates of clients are verified by.
pub struct Trust {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
}

impl Trust {
    /// Reads the certificates of those who vouch for clients. A client may show none where that is not
    /// required, and one that it shows must be good in either case.
    pub fn read(path: &Path, is_required: bool) -> Result<Self, RootsError> {
        let roots = Roots::read(path)?;
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(roots.store()), provider());
        let builder = if is_required { builder } else { builder.allow_unauthenticated() };
        let verifier = builder.build();
        let verifier = verifier
            .map_err(|_| RootsError::Certificate("no client can be verified by the file"))?;
        Ok(Self { verifier })
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}
