//! TLS of the data listener: who is shown what, what is passed on of it, and how it changes under load.

mod clients;
mod files;
mod reload;
mod served;

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, crypto::aws_lc_rs::default_provider, pki_types::PrivateKeyDer,
};

use crate::support::{Client, Gateway, KEY, SMALL, Upstream};

const NOW: &str = "2026-11-20T12:00:00Z";

/// Who vouches for certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Leaf {
    cert: rcgen::Certificate,
    key: KeyPair,
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

    fn leaf_of(&self, params: &CertificateParams) -> Leaf {
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

    fn client_speaking(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        shown: Option<&Leaf>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        match shown {
            None => builder.with_no_client_auth(),
            Some(leaf) => {
                let key = PrivateKeyDer::try_from(leaf.key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![leaf.cert.der().clone()], key).unwrap()
            }
        }
    }
}

/// Writes something as PEM.
fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

impl Leaf {
    fn cert_pem(&self) -> String {
        pem("CERTIFICATE", self.cert.der())
    }

    fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key.serialize_der())
    }

    /// Both, as one file has them.
    pub(crate) fn pem(&self) -> String {
        self.cert_pem() + &self.key_pem()
    }
}

/// Writes tables whose listener has these lines about TLS.
fn tables(tls: &str) -> String {
    let listener = "listen = \"127.0.0.1:0\"\nworkers = 1\ndrain_timeout = \"5s\"";
    format!("[server]\n{listener}\n{tls}\n{SMALL}")
}

/// Starts a gateway with files beside its configuration.
pub(crate) fn start(tls: &str, files: &[(&str, &str)], upstream: &Upstream) -> Gateway {
    Gateway::start_with_files(NOW, &tables(tls), upstream, files)
}

/// Opens a connection within TLS.
pub(crate) fn open(gateway: &Gateway, config: &Arc<ClientConfig>, name: &str) -> Client {
    try_open(gateway, config, name).unwrap()
}

fn try_open(gateway: &Gateway, config: &Arc<ClientConfig>, name: &str) -> std::io::Result<Client> {
    gateway.client().secure(config, name)
}

/// One certificate, for the name that most tests call.
pub(crate) const ONE: &str = r#"tls = { cert = "tls.pem", key = "tls.pem" }"#;
