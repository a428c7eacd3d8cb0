//! `faregate health`: for the health check of a container.

use anyhow::bail;
use http::StatusCode;

use crate::cli::admin_client::Admin;

/// Succeeds when the gateway is ready.
pub(super) fn health(admin: &Admin) -> anyhow::Result<()> {
    let (status, body) = admin.get("/readyz", false)?;
    if status != StatusCode::OK {
        bail!("not ready: {}", String::from_utf8_lossy(&body));
    }
    println!("ready");
    Ok(())
}
