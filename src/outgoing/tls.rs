//! TLS to receivers: rustls with the one provider, the name checked, HTTP/1.1 asked for.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore, crypto::aws_lc_rs::default_provider, pki_types::CertificateDer,
};
use rustls_platform_verifier::BuilderVerifierExt as _;

/// Who vouches for receivers.
#[derive(Clone, Debug, Default)]
pub enum Roots {
    /// Whom the system trusts.
    #[default]
    System,
    /// These and nobody else.
    Only(Vec<CertificateDer<'static>>),
}

/// Why nobody can vouch for receivers.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The system has no certificates, or they cannot be used.
    #[error("the system's CA certificates cannot be used; install them (package ca-certificates)")]
    System(#[source] rustls::Error),
    /// One of those given is no certificate.
    #[error("a CA certificate cannot be used")]
    Given(#[source] rustls::Error),
}

/// Makes the configuration that all connections share. The provider is named because rustls panics
/// when it has to choose and a dependency has brought another one.
pub(super) fn client_config(roots: Roots) -> Result<ClientConfig, RootsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for both versions");
    let builder = match roots {
        Roots::System => builder.with_platform_verifier().map_err(RootsError::System)?,
        Roots::Only(certificates) => {
            let mut store = RootCertStore::empty();
            for certificate in certificates {
                store.add(certificate).map_err(RootsError::Given)?;
            }
            builder.with_root_certificates(store)
        }
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
