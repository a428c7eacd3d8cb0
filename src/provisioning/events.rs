//! Events that were given up, to be sent again.

use serde_json::json;

use super::{Change, Rejection};
use crate::store::records::{DeliveryRecord, DeliveryState};

impl Change<'_> {
    /// Lets an event that was given up be sent once more, at once. Its attempts stay counted.
    pub fn retry_event(&mut self, id: &str) -> Result<DeliveryRecord, Rejection> {
        let found = self.records.delivery(id)?;
        let before = found.ok_or_else(|| Rejection::not_found("event", id))?;
        if before.state != DeliveryState::Failed {
            return Err(Rejection::NotFailed(id.to_owned()));
        }
        let after = DeliveryRecord {
            state: DeliveryState::Pending,
            next_attempt: Some(self.now),
            ..before.clone()
        };
        let DeliveryRecord { sequence, attempts, last_status, last_error, .. } = &after;
        let (status, error) = (*last_status, last_error.as_deref());
        let (state, due) = (after.state, after.next_attempt);
        self.records.put_delivery(*sequence, state, *attempts, due, status, error)?;
        let customer = after.event.customer.as_str();
        let told = |state: DeliveryState| json!({ "state": state, "attempts": attempts });
        let (before, now) = (told(before.state), told(state));
        self.audit("event.retry", Some(customer), id, Some(&before), Some(&now))?;
        self.applied.has_told = true;
        Ok(after)
    }
}
