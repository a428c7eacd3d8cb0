//! Keys.

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::LimitsDocument;
use crate::{
    model::{ApiKey, Environment, KeyState},
    provisioning::MadeKey,
    store::records::KeyRecord,
};

/// A key; the key itself only in the answer that made it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct KeyDocument {
    /// Its identifier.
    pub(crate) id: String,
    /// The key itself, this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    secret: Option<String>,
    /// Its owner.
    customer: String,
    /// The application that it belongs to.
    application: Option<String>,
    /// What people call it.
    name: Option<String>,
    /// How it begins and ends.
    #[schema(examples("fg_live_…x7Qp"))]
    hint: Option<String>,
    /// What it is for; null for a key that was made elsewhere.
    #[schema(value_type = Option<String>)]
    env: Option<Environment>,
    /// What it may do.
    scopes: Vec<String>,
    /// The networks that it may be used from; empty: any.
    #[schema(value_type = Vec<String>)]
    allow_from: Vec<IpNet>,
    /// The first instant at which it is no longer good.
    expires: Option<Timestamp>,
    /// Whether it is in use: active, disabled or revoked.
    #[schema(value_type = String)]
    status: KeyState,
    /// When it was revoked.
    revoked_at: Option<Timestamp>,
    /// The key that takes its place.
    replaced_by: Option<String>,
    /// Limits that come in addition to the customer's and the application's.
    #[serde(flatten)]
    limits: LimitsDocument,
    /// True: only the configuration file changes it.
    declared_in_file: bool,
    /// When it was made.
    created_at: Option<Timestamp>,
    /// The minute in which a request by it was last let through.
    last_used: Option<Timestamp>,
}

impl From<KeyRecord> for KeyDocument {
    fn from(record: KeyRecord) -> Self {
        let KeyRecord {
            id,
            customer,
            application,
            name,
            digest: _,
            hint,
            env,
            scopes,
            allow_from,
            expires,
            status,
            revoked_at,
            replaced_by,
            lineage: _,
            limits,
            created_at,
            last_used,
        } = record;
        Self {
            id,
            secret: None,
            customer,
            application,
            name,
            hint,
            env,
            scopes,
            allow_from,
            expires,
            status,
            revoked_at,
            replaced_by,
            limits: LimitsDocument::of(limits),
            declared_in_file: false,
            created_at: Some(created_at),
            last_used,
        }
    }
}

impl From<MadeKey> for KeyDocument {
    fn from(made: MadeKey) -> Self {
        let MadeKey { record, secret } = made;
        let secret = secret.map(|secret| secret.to_string());
        Self { secret, ..record.into() }
    }
}

impl KeyDocument {
    /// Makes the document of a declared key.
    pub(crate) fn declared(key: &ApiKey, last_used: Option<Timestamp>) -> Self {
        Self {
            id: key.id.to_string(),
            secret: None,
            customer: key.customer.to_string(),
            application: key.application.as_deref().map(ToOwned::to_owned),
            name: None,
            hint: None,
            env: None,
            scopes: key.scopes.iter().map(ToString::to_string).collect(),
            allow_from: key.allow_from.clone(),
            expires: key.expires,
            status: key.state,
            revoked_at: None,
            replaced_by: None,
            limits: LimitsDocument::of(key.limits.as_deref().cloned().unwrap_or_default()),
            declared_in_file: true,
            created_at: None,
            last_used,
        }
    }
}
