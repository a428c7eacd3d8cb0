//! Events and how far their delivery is.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::records::{DeliveryRecord, DeliveryState, EventRecord};

/// An event on its way to one endpoint.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EventDocument {
    /// Grows with time.
    pub(crate) sequence: u64,
    /// Its identifier, which is sent as `webhook-id`.
    #[schema(examples("msg_019aa10d2c5f7c33b1a3d3b2f1a0c9e8"))]
    id: String,
    /// Null: the operator's endpoint, of `[webhooks]`; else the customer whose own it is.
    endpoint: Option<String>,
    /// Whom it is about.
    customer: String,
    /// What happened.
    #[schema(examples("quota.threshold_reached"))]
    r#type: String,
    /// pending, delivered or failed.
    #[schema(value_type = String)]
    state: DeliveryState,
    /// Attempts so far.
    attempts: u32,
    /// When the next one is due; null also while an older event of the customer's is before it.
    next_attempt: Option<Timestamp>,
    /// The status of the last answer.
    last_status: Option<u16>,
    /// What went wrong last.
    last_error: Option<String>,
    /// When it happened.
    at: Timestamp,
    /// What is told of it.
    #[schema(value_type = Object)]
    data: serde_json::Value,
}

impl From<DeliveryRecord> for EventDocument {
    fn from(record: DeliveryRecord) -> Self {
        let DeliveryRecord {
            sequence,
            event,
            state,
            attempts,
            next_attempt,
            last_status,
            last_error,
        } = record;
        let EventRecord { id, endpoint, customer, kind, body, at, mark: _ } = event;
        let body: Option<serde_json::Value> = serde_json::from_str(&body).ok();
        Self {
            sequence,
            id,
            endpoint: Some(endpoint).filter(|endpoint| !endpoint.is_empty()),
            customer,
            r#type: kind,
            state,
            attempts,
            next_attempt,
            last_status,
            last_error,
            at,
            data: body.and_then(|mut body| Some(body.get_mut("data")?.take())).unwrap_or_default(),
        }
    }
}
