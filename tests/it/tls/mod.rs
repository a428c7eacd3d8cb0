//! TLS of the data listener: who is shown what, what is passed on of it, and how it changes under load.

mod clients;
mod counted;
mod files;
mod reload;
mod served;

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::CertificateParams;
use rustls::ClientConfig;

use crate::support::{
    Client, Gateway, KEY, SMALL, Upstream,
    certificates::{Authority, Leaf},
};

const NOW: &str = "2026-11-20T12:00:00Z";

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
