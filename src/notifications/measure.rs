//! A quota's use against its thresholds, and its renewal.

use serde_json::{Map, Value, json};

use super::{
    tell::{Audience, Teller},
    threshold::{self, Verdict},
};
use crate::{
    ledger::{Limits, Overage, Quota, Window},
    store::{
        StoreError,
        records::{AccountKey, OwnedAccountKey},
    },
};

/// Whose quotas are measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) customer: &'a str,
    /// The plan held, if any.
    pub(super) plan: Option<&'a str>,
    pub(super) audience: Audience,
}

impl Teller<'_> {
    /// Measures all of a customer's quotas, in the windows of now.
    pub(super) fn measure_all(
        &mut self,
        subject: &Subject<'_>,
        limits: &Limits,
    ) -> Result<(), StoreError> {
        limits
            .quotas
            .iter()
            .try_for_each(|quota| self.measure(subject, quota, quota.window.window_at(self.now), 0))
    }

    /// Measures a customer by the limits in force.
    pub(super) fn measure_customer(&mut self, customer: &str) -> Result<(), StoreError> {
        let audience = self.audience(customer);
        if audience.is_empty() {
            return Ok(());
        }
        let (gateway, snapshot) = (self.gateway, self.snapshot);
        let lookup = gateway.lookup(snapshot, self.now);
        let Some(found) = lookup.customer(customer) else { return Ok(()) };
        let Some(limits) = lookup.all_limits(customer) else { return Ok(()) };
        let plan = found.subscription.as_ref().map(|held| &*held.plan.id);
        self.measure_all(&Subject { customer, plan, audience }, &limits)
    }

    /// Measures one quota whose use has just grown by `added` units, and tells the thresholds that it
    /// has reached.
    pub(super) fn measure(
        &mut self,
        subject: &Subject<'_>,
        quota: &Quota,
        window: Window,
        added: u64,
    ) -> Result<(), StoreError> {
        let Subject { customer, audience, .. } = *subject;
        let levels = &*self.snapshot.webhooks.thresholds;
        if added > 0 && levels.is_empty() && quota.overage.is_none() {
            return Ok(());
        }
        let account = AccountKey { customer, scope: &quota.scope, quota: &quota.account, window };
        let used = self.records.used(&account)?;
        self.tell_spend_cap(subject, quota, window, used)?;
        let highest = threshold::highest(levels, quota.limit, used);
        // Most accounts of a fold end here, with one look at the store.
        if highest == 0 && added > 0 {
            return Ok(());
        }
        let before = used.saturating_sub(added);
        // Who else measures it at this moment tells what he writes first, and what is left is judged anew.
        let reached = loop {
            let known = self.records.threshold(&account)?;
            if highest == 0 && known.is_none() {
                return Ok(());
            }
            let Verdict { record, reached } =
                threshold::judge(levels, known, quota.limit, before, used);
            if known == Some(record) {
                return Ok(());
            }
            if self.records.put_threshold(&account, known.as_ref(), &record)? {
                break reached;
            }
        };
        for level in reached {
            let data = threshold_reached(subject, quota, window, used, level);
            self.tell(customer, audience, "quota.threshold_reached", &data, None)?;
        }
        Ok(())
    }

    /// Tells that what may be spent beyond an allowance is spent, once in a window for each cap. Of a cap
    /// that lets nothing through nothing is told: there the allowance's own thresholds tell it.
    fn tell_spend_cap(
        &mut self,
        subject: &Subject<'_>,
        quota: &Quota,
        window: Window,
        used: u64,
    ) -> Result<(), StoreError> {
        let Some(overage) = quota.overage.as_deref().filter(|it| it.units_max() > 0) else {
            return Ok(());
        };
        let Some(cap) = overage.cap().filter(|_| used >= quota.units_max()) else { return Ok(()) };
        let (start, Quota { scope, account, .. }) = (window.start.as_millisecond(), quota);
        let customer = subject.customer;
        let mark = format!("spend_cap.reached/{customer}/{scope}/{account}/{start}/{}", cap.0);
        let data = spend_cap_reached(subject, quota, overage, window, used);
        self.tell(customer, subject.audience, "spend_cap.reached", &data, Some(&mark))
    }

    /// Tells that a quota of which something was told has renewed, and forgets what was told.
    pub(super) fn renew(&mut self, ended: &OwnedAccountKey) -> Result<(), StoreError> {
        let OwnedAccountKey { customer, scope, quota: name, window } = ended;
        let account = AccountKey { customer, scope, quota: name, window: *window };
        let (gateway, snapshot) = (self.gateway, self.snapshot);
        let audience = self.audience(customer);
        let limits = gateway.lookup(snapshot, self.now).all_limits(customer);
        let is_it = |quota: &&Quota| *quota.scope == **scope && *quota.account == **name;
        let quota = limits.as_deref().and_then(|limits| limits.quotas.iter().find(is_it));
        let Some(quota) = quota.filter(|_| !audience.is_empty()) else {
            return self.records.delete_threshold(&account);
        };
        let new = quota.window.window_at(self.now);
        if new.start == window.start && new.end != window.end {
            // Its end was assumed, and is another one by now.
            let Some(known) = self.records.threshold(&account)? else { return Ok(()) };
            let account = AccountKey { window: new, ..account };
            return self.records.put_threshold(&account, Some(&known), &known).map(drop);
        }
        let mut data = Map::new();
        data.insert("customer".to_owned(), json!(customer));
        name_quota(&mut data, quota);
        data.insert("limit".to_owned(), json!(quota.limit));
        data.insert("window".to_owned(), window_document(new));
        let start = new.start.as_millisecond();
        let mark = format!("quota.renewed/{customer}/{scope}/{name}/{start}");
        self.tell(customer, audience, "quota.renewed", &Value::Object(data), Some(&mark))?;
        self.records.delete_threshold(&account)
    }
}

fn threshold_reached(
    subject: &Subject<'_>,
    quota: &Quota,
    window: Window,
    used: u64,
    level: u8,
) -> Value {
    let mut data = Map::new();
    data.insert("customer".to_owned(), json!(subject.customer));
    data.insert("plan".to_owned(), json!(subject.plan));
    name_quota(&mut data, quota);
    for (name, value) in [
        ("meter", json!("requests")),
        ("threshold", json!(level)),
        ("limit", json!(quota.limit)),
        ("used", json!(used)),
        ("remaining", json!(quota.limit.saturating_sub(used))),
        ("window", window_document(window)),
    ] {
        data.insert(name.to_owned(), value);
    }
    Value::Object(data)
}

fn spend_cap_reached(
    subject: &Subject<'_>,
    quota: &Quota,
    overage: &Overage,
    window: Window,
    used: u64,
) -> Value {
    let (units, price) = (used.saturating_sub(quota.limit), overage.price());
    let mut data = Map::new();
    data.insert("customer".to_owned(), json!(subject.customer));
    data.insert("plan".to_owned(), json!(subject.plan));
    name_quota(&mut data, quota);
    let beyond = json!({
        "price": price.nanos,
        "currency": price.currency,
        "units": units,
        "amount": overage.amount(units),
    });
    for (name, value) in [
        ("meter", json!("requests")),
        ("limit", json!(quota.limit)),
        ("used", json!(used)),
        ("spend_cap", json!(overage.cap())),
        ("overage", beyond),
        ("window", window_document(window)),
    ] {
        data.insert(name.to_owned(), value);
    }
    Value::Object(data)
}

/// Names a quota as its callers know it; with its scope if it is not the whole customer's.
fn name_quota(data: &mut Map<String, Value>, quota: &Quota) {
    if !quota.scope.is_empty() {
        data.insert("scope".to_owned(), json!(&*quota.scope));
    }
    data.insert("quota".to_owned(), json!(&*quota.name));
}

fn window_document(window: Window) -> Value {
    json!({ "start": window.start, "end": window.end })
}
