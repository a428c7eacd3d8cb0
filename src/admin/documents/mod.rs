//! What the calls answer: documents made of what is stored and of what the file declares.

mod customer;
mod event;
mod key;
mod ledger;
mod record;
mod subscription;

use serde::Serialize;
use utoipa::ToSchema;

pub(super) use self::{
    customer::{ApplicationDocument, CustomerDocument},
    event::EventDocument,
    key::KeyDocument,
    ledger::{EntryDocument, GrantDocument, VerifiedDocument},
    record::{AdjustmentDocument, AdjustmentMade, AuditDocument},
    subscription::SubscriptionDocument,
};
use crate::{
    model::{OwnLimits, QuotaTerms},
    provisioning::{QuotaInput, RateInput},
};

/// A page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// The items.
    pub(super) items: Vec<T>,
    /// What to send as `after` (`before`, where the newest come first) for the next page; null on
    /// the last one.
    pub(super) next: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of what was found, which is one more than fits when there is another page.
    pub(super) fn of(mut items: Vec<T>, max: usize, cursor: impl Fn(&T) -> String) -> Self {
        let is_more = items.len() > max;
        items.truncate(max);
        let next = items.last().filter(|_| is_more).map(cursor);
        Self { items, next }
    }
}

/// Limits as they are stated.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct LimitsDocument {
    /// Allowances; null: none are stated here.
    #[schema(value_type = Option<Vec<QuotaInput>>)]
    quotas: Option<Vec<QuotaTerms>>,
    /// Requests per short time.
    #[schema(value_type = Option<RateInput>)]
    rate: Option<crate::ledger::Rate>,
    /// Requests in flight at once.
    concurrency: Option<u32>,
}

impl LimitsDocument {
    fn of(limits: OwnLimits) -> Self {
        let OwnLimits { quotas, rate, concurrency } = limits;
        Self { quotas, rate, concurrency }
    }
}
