//! Certificates that tests make, and who vouches for them.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, ServerConfig,
    client::WantsClientCert,
    crypto::{CryptoProvider, aws_lc_rs::default_provider},
    pki_types::PrivateKeyDer,
    server::WebPkiClientVerifier,
};

/// Who vouches for certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Leaf {
    pub(crate) cert: rcgen::Certificate,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn leaf(&self, names: &[&str]) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        self.leaf_of(&CertificateParams::new(names).unwrap())
    }

    pub(crate) fn leaf_of(&self, params: &CertificateParams) -> Leaf {
        let key = KeyPair::generate().unwrap();
        Leaf { cert: params.signed_by(&key, &self.0).unwrap(), key }
    }

    /// Its certificate, as a file has it.
    pub(crate) fn pem(&self) -> String {
        pem("CERTIFICATE", self.0.der())
    }

    /// A client that trusts nobody else; it may show a certificate.
    pub(crate) fn client(&self, shown: Option<&Leaf>) -> Arc<ClientConfig> {
        Arc::new(self.client_speaking(&[&rustls::version::TLS13, &rustls::version::TLS12], shown))
    }

    /// A client that takes RSA keys alone.
    pub(crate) fn client_of_rsa(
        &self,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(rsa_alone()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    pub(crate) fn client_speaking(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        shown: Option<&Leaf>,
    ) -> ClientConfig {
        let builder = self.builder(default_provider(), versions);
        match shown {
            None => builder.with_no_client_auth(),
            Some(leaf) => {
                let shown = vec![leaf.cert.der().clone()];
                builder.with_client_auth_cert(shown, leaf.private_key()).unwrap()
            }
        }
    }

    /// A client that offers suites in this order.
    pub(crate) fn client_offering(
        &self,
        version: &'static rustls::SupportedProtocolVersion,
        suites: &[rustls::SupportedCipherSuite],
    ) -> ClientConfig {
        let cipher_suites = suites.to_vec();
        let provider = CryptoProvider { cipher_suites, ..default_provider() };
        self.builder(provider, &[version]).with_no_client_auth()
    }

    fn builder(
        &self,
        provider: CryptoProvider,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
    }
}

/// A verifier that takes RSA keys alone.
fn rsa_alone() -> CryptoProvider {
    let mut provider = default_provider();
    let all = provider.signature_verification_algorithms;
    let is_rsa = |scheme: &rustls::SignatureScheme| format!("{scheme:?}").starts_with("RSA");
    let mapping: Vec<_> =
        all.mapping.iter().filter(|(scheme, _)| is_rsa(scheme)).copied().collect();
    provider.signature_verification_algorithms =
        rustls::crypto::WebPkiSupportedAlgorithms { all: all.all, mapping: mapping.leak() };
    provider
}

/// Writes something as PEM.
fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

impl Leaf {
    pub(crate) fn cert_pem(&self) -> String {
        pem("CERTIFICATE", self.cert.der())
    }

    pub(crate) fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key.serialize_der())
    }

    /// Its key, as a configuration takes it.
    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }

    /// A server that shows it, and asks nobody for a certificate.
    pub(crate) fn server(&self) -> ServerConfig {
        self.server_speaking(rustls::DEFAULT_VERSIONS)
    }

    pub(crate) fn server_speaking(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ServerConfig {
        ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.cert.der().clone()], self.private_key())
            .unwrap()
    }

    /// A server that shows it to those alone for whom an authority vouches.
    pub(crate) fn server_for(&self, clients: &Authority) -> ServerConfig {
        self.server_for_speaking(clients, rustls::DEFAULT_VERSIONS)
    }

    pub(crate) fn server_for_speaking(
        &self,
        clients: &Authority,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ServerConfig {
        let mut roots = RootCertStore::empty();
        roots.add(clients.0.der().clone()).unwrap();
        let provider = Arc::new(default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![self.cert.der().clone()], self.private_key())
            .unwrap()
    }

    /// Both, as one file has them.
    pub(crate) fn pem(&self) -> String {
        self.cert_pem() + &self.key_pem()
    }
}
