//! Customers and their applications.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{LimitsDocument, SubscriptionDocument};
use crate::{
    gateway::Gateway,
    model::{CustomerTerms, Money, OwnLimits, SubscriptionTerms},
    store::{
        StoreError,
        records::{ApplicationRecord, CustomerRecord, Reads, WebhookRecord},
    },
};

/// A customer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CustomerDocument {
    /// Its identifier.
    pub(crate) id: String,
    /// What people call it.
    name: Option<String>,
    /// The operator's notes.
    metadata: BTreeMap<String, String>,
    /// True: every call is refused with 403.
    suspended: bool,
    /// True: only the configuration file changes it.
    declared_in_file: bool,
    /// Limits of its own, which replace the plan's.
    #[serde(flatten)]
    limits: LimitsDocument,
    /// The most that calls beyond its allowance may cost in one window; null: no ceiling.
    #[schema(value_type = Option<String>, examples("50.00 USD"))]
    spend_cap: Option<Money>,
    /// Where its events are sent.
    webhook: Option<WebhookDocument>,
    /// The names of its applications.
    applications: Vec<String>,
    /// What it holds.
    subscription: Option<SubscriptionDocument>,
    /// When it was made.
    created_at: Option<Timestamp>,
    /// When it was changed last.
    updated_at: Option<Timestamp>,
}

/// Where a customer's events are sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct WebhookDocument {
    url: String,
    /// What verifies the events; told once, when the receiver is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    secret: Option<String>,
    /// Why nothing is sent any more.
    disabled: Option<String>,
}

impl CustomerDocument {
    /// Makes the document of a stored customer.
    pub(crate) fn stored(
        reads: &(impl Reads + ?Sized),
        gateway: &Gateway,
        record: CustomerRecord,
    ) -> Result<Self, StoreError> {
        let subscription = reads.subscription(&record.id)?;
        let applications = reads.applications(&record.id)?;
        let names = applications.into_iter().map(|application| application.name).collect();
        Ok(Self::of(gateway, record, subscription, names))
    }

    /// Makes the document of a stored customer of which everything is at hand.
    pub(crate) fn of(
        gateway: &Gateway,
        record: CustomerRecord,
        subscription: Option<SubscriptionTerms>,
        applications: Vec<String>,
    ) -> Self {
        let CustomerRecord {
            id,
            name,
            metadata,
            suspended,
            limits,
            spend_cap,
            webhook,
            created_at,
            updated_at,
        } = record;
        let webhook = webhook.map(|webhook| {
            let WebhookRecord { url, secret: _, disabled } = webhook;
            WebhookDocument { url, secret: None, disabled }
        });
        Self {
            subscription: subscription.map(|held| SubscriptionDocument::of(gateway, &id, held)),
            id,
            name,
            metadata,
            suspended,
            declared_in_file: false,
            limits: LimitsDocument::of(limits),
            spend_cap,
            webhook,
            applications,
            created_at: Some(created_at),
            updated_at: Some(updated_at),
        }
    }

    /// Makes the document of a declared customer.
    pub(crate) fn declared(gateway: &Gateway, terms: &CustomerTerms) -> Self {
        let held = terms.subscription.as_deref().cloned();
        let limits = terms.limits.as_deref().cloned().unwrap_or_default();
        Self {
            id: terms.id.to_string(),
            name: None,
            metadata: BTreeMap::new(),
            suspended: terms.suspended,
            declared_in_file: true,
            limits: LimitsDocument::of(limits),
            spend_cap: terms.spend_cap.as_deref().copied(),
            webhook: None,
            applications: terms.applications.iter().map(|(name, _)| name.to_string()).collect(),
            subscription: held.map(|held| SubscriptionDocument::of(gateway, &terms.id, held)),
            created_at: None,
            updated_at: None,
        }
    }

    /// Tells the secret of a receiver that was just set.
    pub(crate) fn with_secret(mut self, secret: Option<String>) -> Self {
        if let Some(webhook) = &mut self.webhook {
            webhook.secret = secret;
        }
        self
    }
}

/// An application.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ApplicationDocument {
    /// Its owner.
    customer: String,
    /// Its name.
    pub(crate) name: String,
    /// Limits that come in addition to the customer's.
    #[serde(flatten)]
    limits: LimitsDocument,
    /// True: only the configuration file changes it.
    declared_in_file: bool,
    /// When it was made.
    created_at: Option<Timestamp>,
}

impl From<ApplicationRecord> for ApplicationDocument {
    fn from(record: ApplicationRecord) -> Self {
        let ApplicationRecord { customer, name, limits, created_at } = record;
        Self {
            customer,
            name,
            limits: LimitsDocument::of(limits),
            declared_in_file: false,
            created_at: Some(created_at),
        }
    }
}

impl ApplicationDocument {
    /// Makes the document of a declared application.
    pub(crate) fn declared(customer: &str, name: &str, limits: OwnLimits) -> Self {
        Self {
            customer: customer.to_owned(),
            name: name.to_owned(),
            limits: LimitsDocument::of(limits),
            declared_in_file: true,
            created_at: None,
        }
    }
}
