//! The real program with an upstream, started again and again on one directory, and calls of its
//! admin listener that may break off.

use std::{fs, net::SocketAddr};

use faregate::model::KeyDigest;
use serde_json::Value;

use crate::process::{CountingUpstream, Gateway, exchange, free_address};

/// What calls the admin listener of a gateway that may be killed meanwhile.
#[derive(Clone)]
pub(super) struct Admin {
    pub(super) address: SocketAddr,
    pub(super) authorization: String,
}

/// A status and a document; null for none.
pub(super) type Answer = (u16, Value);

impl Admin {
    /// Calls once. An error means that nobody knows what became of it.
    pub(super) fn call(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Option<Answer> {
        let mut fields = vec![("authorization", self.authorization.as_str())];
        fields.extend(key.map(|key| ("idempotency-key", key)));
        let text = if body.is_null() { String::new() } else { body.to_string() };
        if !text.is_empty() {
            fields.push(("content-type", "application/json"));
        }
        let answer = exchange(self.address, method, path, &fields, &text).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        match serde_json::from_str(body) {
            Ok(document) => Some((status, document)),
            Err(_) if body.is_empty() && status == 204 => Some((status, Value::Null)),
            // Cut off in the middle.
            Err(_) => None,
        }
    }

    /// Reads a document from a gateway that lives.
    pub(super) fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None, &Value::Null).unwrap()
    }
}

/// A gateway that is started again and again on one directory.
pub(super) struct Scene {
    pub(super) directory: tempfile::TempDir,
    pub(super) address: SocketAddr,
    pub(super) admin: SocketAddr,
    _upstream: CountingUpstream,
}

impl Scene {
    pub(super) fn new() -> Self {
        let (upstream, directory) = (CountingUpstream::start(), tempfile::tempdir().unwrap());
        let (address, admin) = (free_address(), free_address());
        let tables = format!(
            r#"
            [server]
            listen = "{address}"
            workers = 1
            [admin]
            listen = "{admin}"
            [log]
            access = "off"
            [upstreams.api]
            url = "http://{}"
            [[routes]]
            path = "/{{*path}}"
            upstream = "api"
            [plans.large]
            quotas = [{{ limit = 1000000, window = "month" }}]
            [plans.larger]
            quotas = [{{ limit = 2000000, window = "month" }}]
            [customers.filed]
            plan = "large"
            keys = ["{}"]
            "#,
            upstream.address,
            KeyDigest::of(b"filed"),
        );
        fs::write(directory.path().join("faregate.toml"), tables).unwrap();
        Self { directory, address, admin, _upstream: upstream }
    }

    pub(super) fn start(&self) -> (Gateway, Admin) {
        let gateway = Gateway::start(self.directory.path(), self.address, self.admin);
        let admin = Admin { address: self.admin, authorization: gateway.authorization() };
        (gateway, admin)
    }
}
