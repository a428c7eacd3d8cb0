//! Customers: made, changed, deleted.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Change, Effect, Rejection, SubscriptionInput,
    input::{Patch, QuotaInput, RateInput},
    valid::{Errors, LimitsInput},
};
use crate::{
    model::{Money, OwnLimits, QuotaTerms},
    store::records::{CustomerRecord, WebhookRecord},
    webhooks::{SigningSecret, Target, Trust},
};

/// A customer to make.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCustomer {
    /// Its identifier; it never changes.
    pub id: String,
    /// What people call it.
    pub name: Option<String>,
    /// Notes of the operator's own.
    pub metadata: Option<BTreeMap<String, String>>,
    /// True: every call is refused with 403.
    pub suspended: Option<bool>,
    /// Quotas that replace the plan's; an empty list: none.
    pub quotas: Option<Vec<QuotaInput>>,
    /// A rate that replaces the plan's.
    pub rate: Option<RateInput>,
    /// Requests in flight at once, instead of the plan's.
    pub concurrency: Option<u32>,
    /// The most that calls beyond its allowance may cost in one window.
    #[schema(value_type = Option<String>, examples("50 USD"))]
    pub spend_cap: Option<Money>,
    /// What it buys.
    pub subscription: Option<SubscriptionInput>,
    /// Where its own events are sent.
    pub webhook: Option<WebhookInput>,
}

/// Where a customer's events are sent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookInput {
    /// The receiver, `https://…`; never a private address.
    pub url: String,
}

/// A change of a customer: what is left out stays, null removes.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerPatch {
    /// What people call it.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    pub name: Patch<String>,
    /// Notes of the operator's own: those that are left out stay, null removes one.
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>)]
    #[serde(default)]
    pub metadata: Patch<BTreeMap<String, Option<String>>>,
    /// True: every call is refused with 403.
    #[schema(value_type = Option<bool>)]
    #[serde(default)]
    pub suspended: Patch<bool>,
    /// Quotas that replace the plan's.
    #[schema(value_type = Option<Vec<QuotaInput>>)]
    #[serde(default)]
    pub quotas: Patch<Vec<QuotaInput>>,
    /// A rate that replaces the plan's.
    #[schema(value_type = Option<RateInput>)]
    #[serde(default)]
    pub rate: Patch<RateInput>,
    /// Requests in flight at once, instead of the plan's.
    #[schema(value_type = Option<u32>)]
    #[serde(default)]
    pub concurrency: Patch<u32>,
    /// The most that calls beyond its allowance may cost in one window; null: no ceiling.
    #[schema(value_type = Option<String>, examples("50 USD"))]
    #[serde(default)]
    pub spend_cap: Patch<Money>,
    /// Where its own events are sent.
    #[schema(value_type = Option<WebhookInput>)]
    #[serde(default)]
    pub webhook: Patch<WebhookInput>,
}

impl Change<'_> {
    /// Makes a customer.
    pub fn create_customer(&mut self, new: NewCustomer) -> Result<CustomerRecord, Rejection> {
        let NewCustomer {
            id,
            name,
            metadata,
            suspended,
            quotas,
            rate,
            concurrency,
            spend_cap,
            subscription,
            webhook,
        } = new;
        let mut errors = Errors::default();
        errors.id("id", &id);
        if let Some(name) = &name {
            errors.text("name", name);
        }
        let metadata = metadata.unwrap_or_default();
        errors.metadata(&metadata);
        let limits = LimitsInput::given(quotas, rate, concurrency);
        let limits = errors.limits(limits, OwnLimits::default());
        let plan = subscription.as_ref().and_then(|input| input.plan.as_deref());
        errors.spend_cap(spend_cap, self.quotas_in_force(&limits, plan));
        let webhook = webhook.and_then(|webhook| new_webhook(&mut errors, webhook));
        errors.finish()?;
        self.claim_customer(&id)?;
        let record = CustomerRecord {
            id,
            name,
            metadata,
            suspended: suspended.unwrap_or(false),
            limits,
            spend_cap,
            webhook,
            created_at: self.now,
            updated_at: self.now,
        };
        self.records.put_customer(&record)?;
        let id = record.id.as_str();
        self.audit("customer.create", Some(id), id, None::<&()>, Some(&record))?;
        if let Some(subscription) = subscription {
            self.put_subscription(id, &subscription).map_err(|e| within("subscription", e))?;
        }
        self.touched.insert(id.to_owned());
        Ok(record)
    }

    /// Changes a customer.
    pub fn patch_customer(
        &mut self,
        id: &str,
        patch: CustomerPatch,
    ) -> Result<CustomerRecord, Rejection> {
        let before = self.stored_customer(id)?;
        let mut after = before.clone();
        let CustomerPatch {
            name,
            metadata,
            suspended,
            quotas,
            rate,
            concurrency,
            spend_cap,
            webhook,
        } = patch;
        let mut errors = Errors::default();
        name.apply(&mut after.name);
        if let Some(name) = &after.name {
            errors.text("name", name);
        }
        patch_metadata(metadata, &mut after.metadata);
        errors.metadata(&after.metadata);
        match suspended {
            Patch::Keep => {}
            Patch::Remove => after.suspended = false,
            Patch::Set(suspended) => after.suspended = suspended,
        }
        after.limits = errors.limits(LimitsInput { quotas, rate, concurrency }, after.limits);
        spend_cap.apply(&mut after.spend_cap);
        if after.spend_cap != before.spend_cap || after.limits != before.limits {
            let held = self.records.subscription(id)?;
            let plan = held.as_ref().map(|held| &*held.plan);
            errors.spend_cap(after.spend_cap, self.quotas_in_force(&after.limits, plan));
        }
        match webhook {
            Patch::Keep => {}
            Patch::Remove => after.webhook = None,
            // The same receiver again is not a reason for a new secret.
            Patch::Set(webhook) if after.webhook.as_ref().is_some_and(|w| w.url == webhook.url) => {
                if let Some(known) = &mut after.webhook {
                    known.disabled = None;
                }
            }
            Patch::Set(webhook) => after.webhook = new_webhook(&mut errors, webhook),
        }
        errors.finish()?;
        if after == before {
            return Ok(before);
        }
        after.updated_at = self.now;
        self.records.put_customer(&after)?;
        let action = match (before.suspended, after.suspended) {
            (false, true) => "customer.suspend",
            (true, false) => "customer.resume",
            _ => "customer.change",
        };
        self.audit(action, Some(id), id, Some(&before), Some(&after))?;
        self.touched.insert(id.to_owned());
        Ok(after)
    }

    /// Deletes a customer: its keys stop working at once; what it used is kept under a pseudonym.
    pub fn delete_customer(&mut self, id: &str) -> Result<(), Rejection> {
        let before = self.stored_customer(id)?;
        // Until it is gone from everywhere a reload must not declare it, or it would get its usage.
        let claim = self.gateway.live().claim_customer(|| false, id);
        self.applied.claims.extend(claim);
        let pseudonym = crate::store::records::new_id("deleted", self.now);
        let name = self.gateway.ledger().name_of(id);
        self.records.delete_customer(id, &name, &pseudonym)?;
        let after = serde_json::json!({ "pseudonym": pseudonym });
        self.audit("customer.delete", Some(id), id, Some(&before), Some(&after))?;
        self.applied.effects.push(Effect::RemoveCustomer(id.to_owned()));
        Ok(())
    }

    /// Finds a stored customer; tells when it is the file's.
    pub fn stored_customer(&mut self, id: &str) -> Result<CustomerRecord, Rejection> {
        if let Some(record) = self.records.customer(id)? {
            return Ok(record);
        }
        if self.snapshot.declared.has_customer(id) {
            return Err(Rejection::DeclaredInFile(format!("the customer `{id}`")));
        }
        Err(Rejection::not_found("customer", id))
    }

    /// Gives the quotas that hold for a customer: its own, else those of its plan.
    fn quotas_in_force<'l>(&'l self, own: &'l OwnLimits, plan: Option<&str>) -> &'l [QuotaTerms] {
        let of_plan = || plan.and_then(|plan| self.snapshot.plan(plan)).map(|plan| &*plan.quotas);
        own.quotas.as_deref().or_else(of_plan).unwrap_or_default()
    }

    fn claim_customer(&mut self, id: &str) -> Result<(), Rejection> {
        let gateway = self.gateway;
        // The snapshot of this moment, not of the change's beginning: see `roster::Claim`.
        let declared = || gateway.snapshot().declared.has_customer(id);
        let claim = gateway.live().claim_customer(declared, id);
        let claim =
            claim.ok_or_else(|| Rejection::DeclaredInFile(format!("the customer `{id}`")))?;
        self.applied.claims.push(claim);
        if self.records.customer(id)?.is_some() {
            let message = format!("there is a customer `{id}` already");
            return Err(Rejection::AlreadyExists(message));
        }
        Ok(())
    }
}

fn patch_metadata(
    patch: Patch<BTreeMap<String, Option<String>>>,
    metadata: &mut BTreeMap<String, String>,
) {
    let changes = match patch {
        Patch::Keep => return,
        Patch::Remove => return metadata.clear(),
        Patch::Set(changes) => changes,
    };
    for (name, note) in changes {
        match note {
            Some(note) => drop(metadata.insert(name, note)),
            None => drop(metadata.remove(&name)),
        }
    }
}

fn new_webhook(errors: &mut Errors, input: WebhookInput) -> Option<WebhookRecord> {
    let WebhookInput { url } = input;
    if let Err(error) = Target::parse(&url, Trust::Tenant) {
        errors.add("webhook.url", error.to_string());
        return None;
    }
    match SigningSecret::generate() {
        Ok(secret) => {
            Some(WebhookRecord { url, secret: secret.expose().to_string(), disabled: None })
        }
        Err(error) => {
            errors.add("webhook", format!("no secret can be made: {error}"));
            None
        }
    }
}

/// Puts the place of a part before the fields that are wrong in it.
fn within(place: &str, rejection: Rejection) -> Rejection {
    let Rejection::Invalid(mut errors) = rejection else { return rejection };
    for error in &mut errors {
        error.field = format!("{place}.{}", error.field);
    }
    Rejection::Invalid(errors)
}
