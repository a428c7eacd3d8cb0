//! `faregate health`: for the health check of a container.

use anyhow::bail;
use http::StatusCode;

use crate::cli::{
    admin::Admin,
    print::{out, plain},
};

/// Succeeds when the gateway is ready.
pub(super) fn health(admin: &Admin) -> anyhow::Result<()> {
    let (status, body) = admin.client_without_token()?.raw("/readyz")?;
    if status != StatusCode::OK {
        bail!("not ready: {}", plain(&String::from_utf8_lossy(&body)));
    }
    out("ready\n")
}
