//! Which values a change may have. Every wrong field is found, not the first alone.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ipnet::IpNet;
use jiff::tz::TimeZone;

use super::{
    Rejection,
    input::{FieldError, OverageInput, Patch, QuotaInput, RateInput},
};
use crate::{
    answer::policy,
    ledger::{Rate, UNITS_MAX, WindowKind},
    model::{
        ID_MAX, Money, NAME_MAX, Nanos, OverageTerms, OwnLimits, PRICE_MAX, QuotaTerms, is_id,
        is_name, is_scope, looks_like_a_key,
    },
};

/// The longest text that is for people alone.
const TEXT_MAX: usize = 256;

/// Notes of the operator's own, and their longest value.
const METADATA_MAX: usize = 50;
const METADATA_VALUE_MAX: usize = 500;

/// How many items a list may have.
const LIST_MAX: usize = 100;

/// The longest window of a rate; what is longer is a quota.
const RATE_WINDOW_MAX: Duration = Duration::from_secs(24 * 3600);

/// The wrong fields found so far.
#[derive(Debug, Default)]
pub(super) struct Errors(Vec<FieldError>);

impl Errors {
    /// Notes a wrong field.
    pub(super) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError { field: field.into(), message: message.into() });
    }

    /// Refuses the change if anything was wrong.
    pub(super) fn finish(self) -> Result<(), Rejection> {
        if self.0.is_empty() { Ok(()) } else { Err(Rejection::Invalid(self.0)) }
    }

    /// Checks an identifier.
    pub(super) fn id(&mut self, field: &str, id: &str) {
        if looks_like_a_key(id) {
            self.add(field, "this is a key, and an id is shown to everyone; write a name for it");
        } else if !is_id(id) {
            let rule = "letters, digits, `-`, `_`, `.`, `:` and `@`";
            self.add(field, format!("an id is 1 to {ID_MAX} {rule}"));
        }
    }

    /// Checks a text for people.
    pub(super) fn text(&mut self, field: &str, text: &str) {
        if text.is_empty() || text.len() > TEXT_MAX || text.chars().any(char::is_control) {
            let rule = "bytes without control characters; to remove it send null";
            self.add(field, format!("a text is 1 to {TEXT_MAX} {rule}"));
        }
    }

    /// Checks the operator's notes.
    pub(super) fn metadata(&mut self, metadata: &BTreeMap<String, String>) {
        if metadata.len() > METADATA_MAX {
            self.add("metadata", format!("at most {METADATA_MAX} entries are kept"));
        }
        for (name, value) in metadata {
            if !is_id(name) || value.len() > METADATA_VALUE_MAX {
                let rule = format!("and a value at most {METADATA_VALUE_MAX} bytes");
                self.add("metadata", format!("a name is an id of up to {ID_MAX} letters, {rule}"));
                return;
            }
        }
    }

    /// Checks what a key is called, what it belongs to and what it may do.
    pub(super) fn key(
        &mut self,
        id: (&str, Option<&str>),
        application: Option<&str>,
        scopes: &[String],
    ) {
        for (field, id) in [id, ("application", application)] {
            if let Some(id) = id {
                self.id(field, id);
            }
        }
        self.scopes(scopes);
    }

    /// Checks the scopes of a key.
    pub(super) fn scopes(&mut self, scopes: &[String]) {
        if scopes.len() > LIST_MAX {
            self.add("scopes", format!("at most {LIST_MAX} scopes are kept"));
        }
        for (index, scope) in scopes.iter().enumerate() {
            if scope.len() > ID_MAX || !is_scope(scope) {
                let rule = "a scope is visible ASCII without quotes and backslashes";
                self.add(format!("scopes[{index}]"), format!("{rule}, at most {ID_MAX} bytes"));
            }
        }
    }

    /// Reads the networks of a key.
    pub(super) fn networks(&mut self, texts: &[String]) -> Vec<IpNet> {
        if texts.len() > LIST_MAX {
            self.add("allow_from", format!("at most {LIST_MAX} networks are kept"));
        }
        let mut networks = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let address = || text.parse::<std::net::IpAddr>().map(IpNet::from).ok();
            match text.parse().ok().or_else(address) {
                Some(network) => networks.push(network.trunc()),
                None => self.add(
                    format!("allow_from[{index}]"),
                    "write an IP address or a network, such as \"192.0.2.0/24\"",
                ),
            }
        }
        networks
    }

    /// Checks and puts together the limits of an application or a key, which come in addition to the
    /// customer's: its quotas alone may go on beyond their limits, or a call would be billed twice.
    pub(super) fn limits_of_part(&mut self, input: LimitsInput, known: OwnLimits) -> OwnLimits {
        let limits = self.limits(input, known);
        for (index, quota) in limits.quotas.iter().flatten().enumerate() {
            if quota.overage.is_some() {
                let message = "only the quotas of plans and customers have overage; leave it out";
                self.add(format!("quotas[{index}].overage"), message);
            }
        }
        limits
    }

    /// Checks and puts together limits; what a patch keeps is taken from `known`.
    pub(super) fn limits(&mut self, input: LimitsInput, known: OwnLimits) -> OwnLimits {
        let LimitsInput { quotas, rate, concurrency } = input;
        let OwnLimits { quotas: mut all, rate: mut pace, concurrency: mut at_once } = known;
        quotas.map(|quotas| self.quotas(quotas)).apply(&mut all);
        rate.map(|rate| self.rate(rate)).apply(&mut pace);
        if concurrency == Patch::Set(0) {
            let message = "at least 1; to stop a customer set `suspended`, to stop a key `status`";
            self.add("concurrency", message);
        }
        concurrency.apply(&mut at_once);
        OwnLimits { quotas: all, rate: pace, concurrency: at_once }
    }

    fn rate(&mut self, input: RateInput) -> Rate {
        let RateInput { limit, window, burst } = input;
        let burst = burst.unwrap_or(limit);
        for (field, number) in [("rate.limit", limit), ("rate.burst", burst)] {
            if !(1..=UNITS_MAX).contains(&number) {
                self.add(field, format!("from 1 to {UNITS_MAX}"));
            }
        }
        if window.0.is_zero() || window.0 > RATE_WINDOW_MAX {
            self.add("rate.window", "from \"1ms\" to \"24h\"; for longer ones use a quota");
        }
        Rate { limit, window: window.0, burst }
    }

    fn quotas(&mut self, inputs: Vec<QuotaInput>) -> Vec<QuotaTerms> {
        if inputs.len() > LIST_MAX {
            self.add("quotas", format!("at most {LIST_MAX} quotas"));
        }
        let mut quotas: Vec<QuotaTerms> = Vec::new();
        for (index, input) in inputs.into_iter().enumerate() {
            let field = |name: &str| format!("quotas[{index}].{name}");
            let quota = self.quota(input, &field);
            let account = quota.renamed_from.as_ref().unwrap_or(&quota.name);
            if quotas.iter().any(|other| other.name == quota.name) {
                let help = "without a `name` a quota is called by its window";
                self.add(field("name"), format!("two quotas have this name; {help}"));
            } else if quotas.iter().any(|q| q.renamed_from.as_ref().unwrap_or(&q.name) == account) {
                self.add(field("renamed_from"), "two quotas cannot continue one count");
            }
            if quota.overage.is_some() && quotas.iter().any(|other| other.overage.is_some()) {
                self.add(field("overage"), "two quotas have overage: a call would be billed twice");
            }
            quotas.push(quota);
        }
        quotas
    }

    fn quota(&mut self, input: QuotaInput, field: &impl Fn(&str) -> String) -> QuotaTerms {
        let QuotaInput { name, limit, window, align, zone, renamed_from, overage } = input;
        if limit > UNITS_MAX {
            self.add(field("limit"), format!("from 0 to {UNITS_MAX}"));
        }
        let name = name.unwrap_or_else(|| window.name().to_owned());
        for (which, name) in [("name", Some(&name)), ("renamed_from", renamed_from.as_ref())] {
            let Some(name) = name else { continue };
            if !is_name(name) {
                let rule = format!("1 to {NAME_MAX} lower-case letters, digits, `-` and `_`");
                self.add(field(which), format!("a name is {rule}"));
            } else if policy::RESERVED.contains(&name.as_str()) {
                self.add(field(which), "answers call another limit so; choose another name");
            }
        }
        if align.is_some() && matches!(window, WindowKind::Lifetime | WindowKind::Period) {
            self.add(field("align"), "such a window has its own place to begin; leave it out");
        }
        let zone = zone.and_then(|zone| self.zone(&zone, field("zone")));
        let renamed_from = renamed_from.map(Arc::from);
        let overage = overage.map(|OverageInput { price }| {
            if !(Nanos(1)..=PRICE_MAX).contains(&price.nanos) {
                let most = Money { nanos: PRICE_MAX, ..price };
                self.add(field("overage.price"), format!("more than 0 and at most {most}"));
            }
            OverageTerms { price }
        });
        QuotaTerms { name: name.into(), limit, window, align, zone, renamed_from, overage }
    }

    /// Checks a customer's ceiling to what the quotas in force for it cost beyond their limits. With
    /// none that has overage it is kept for when there is one.
    pub(super) fn spend_cap(&mut self, cap: Option<Money>, quotas: &[QuotaTerms]) {
        let Some(cap) = cap else { return };
        if cap.nanos < Nanos::ZERO {
            self.add(
                "spend_cap",
                "0 for nothing beyond the allowance, or more; null for no ceiling",
            );
        }
        let overage = quotas.iter().find_map(|quota| quota.overage);
        if let Some(currency) = overage.map(|overage| overage.price.currency)
            && currency != cap.currency
        {
            self.add(
                "spend_cap",
                format!("the price beyond the allowance is in {currency}; write it so"),
            );
        }
    }

    fn zone(&mut self, name: &str, field: String) -> Option<TimeZone> {
        if name == "UTC" {
            return None;
        }
        let zone = TimeZone::get(name).ok();
        if zone.is_none() {
            self.add(field, "no such time zone; write its name such as \"Europe/Berlin\"");
        }
        zone
    }
}

/// Limits as a change gives them.
#[derive(Debug, Default)]
pub(super) struct LimitsInput {
    pub(super) quotas: Patch<Vec<QuotaInput>>,
    pub(super) rate: Patch<RateInput>,
    pub(super) concurrency: Patch<u32>,
}

impl LimitsInput {
    /// Takes what a call that makes something new gives.
    pub(super) fn given(
        quotas: Option<Vec<QuotaInput>>,
        rate: Option<RateInput>,
        concurrency: Option<u32>,
    ) -> Self {
        fn set<T>(value: Option<T>) -> Patch<T> {
            value.map_or(Patch::Keep, Patch::Set)
        }
        Self { quotas: set(quotas), rate: set(rate), concurrency: set(concurrency) }
    }
}
