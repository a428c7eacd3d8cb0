//! Entries: of the audit, and of corrections.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::ledger::CreditAdjustmentDocument;
use crate::{
    ledger::Window,
    provisioning::Adjusted,
    store::records::{AdjustmentRecord, AuditRecord},
};

/// Who changed what.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AuditDocument {
    /// Grows with time.
    pub(crate) sequence: u64,
    /// When.
    at: Timestamp,
    /// Who, as the call said.
    actor: String,
    /// What was done.
    #[schema(examples("key.revoke"))]
    action: String,
    /// The customer that it is about.
    customer: Option<String>,
    /// What it was done to.
    subject: String,
    /// What was there before; null when nothing was.
    #[schema(value_type = Option<Object>)]
    before: Option<serde_json::Value>,
    /// What is there now; null when nothing is.
    #[schema(value_type = Option<Object>)]
    after: Option<serde_json::Value>,
}

impl From<(u64, AuditRecord)> for AuditDocument {
    fn from((sequence, record): (u64, AuditRecord)) -> Self {
        let AuditRecord { at, actor, action, customer, subject, before, after } = record;
        Self { sequence, at, actor, action, customer, subject, before, after }
    }
}

/// A correction of what was used.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AdjustmentDocument {
    /// Its identifier.
    id: String,
    /// When.
    at: Timestamp,
    /// The customer.
    customer: String,
    /// Whose quota: empty for the customer's, `application/NAME` or `key/ID` for another.
    scope: String,
    /// The quota.
    quota: String,
    /// The window that was corrected.
    window: WindowDocument,
    /// Units given back (positive) or charged (negative).
    amount: i64,
    /// Units used afterwards.
    used: u64,
    /// Why.
    reason: String,
    /// Who.
    actor: String,
}

/// A stretch of time, half-open.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(super) struct WindowDocument {
    /// The first instant in it.
    start: Timestamp,
    /// The first instant after it; null for one without end.
    end: Option<Timestamp>,
}

impl From<Window> for WindowDocument {
    fn from(window: Window) -> Self {
        Self { start: window.start, end: window.end }
    }
}

/// A correction that was made.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum AdjustmentMade {
    /// Of money.
    Credit(CreditAdjustmentDocument),
    /// Of a quota.
    Quota(AdjustmentDocument),
}

impl From<Adjusted> for AdjustmentMade {
    fn from(made: Adjusted) -> Self {
        match made {
            Adjusted::Credit(made) => Self::Credit(made.into()),
            Adjusted::Quota(record) => Self::Quota(record.into()),
        }
    }
}

impl From<AdjustmentRecord> for AdjustmentDocument {
    fn from(record: AdjustmentRecord) -> Self {
        let AdjustmentRecord {
            id,
            at,
            customer,
            scope,
            quota,
            window,
            amount,
            used,
            reason,
            actor,
        } = record;
        let window = window.into();
        Self { id, at, customer, scope, quota, window, amount, used, reason, actor }
    }
}
