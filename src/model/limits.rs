//! Limits as they are stated for a plan, a customer, an application or a key.

use serde::{Deserialize, Serialize};

use crate::{ledger::Rate, model::QuotaTerms};

/// Limits of their own that a customer, an application or a key has. What is `None` is not stated.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct OwnLimits {
    /// Allowances; an empty list states that there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quotas: Option<Vec<QuotaTerms>>,
    /// Requests per short time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Requests in flight at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

impl OwnLimits {
    /// Tells whether nothing is stated.
    pub fn is_empty(&self) -> bool {
        let Self { quotas, rate, concurrency } = self;
        quotas.is_none() && rate.is_none() && concurrency.is_none()
    }
}
