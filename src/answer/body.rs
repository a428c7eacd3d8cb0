//! The body of a refusal: `application/problem+json` (RFC 9457) with the nested `error` object that API
//! clients expect.
//!
//! Choice: written by hand, because who refuses thousands of requests a second pays for each, and with a
//! serializer the body cost half of a refusal. What it says is asserted against a parser.

use http::StatusCode;
use uuid::Uuid;

use super::problem::Context;
use crate::{
    answer::{Code, CreditShortage, QuotaDenial, quota::Binding},
    json,
    ledger::Overage,
    pay::Offer,
};

/// What a body says.
#[derive(Debug)]
pub(super) struct Body<'a> {
    /// The code, with all that goes with it.
    pub(super) code: Code,
    /// Where the refusal is explained, in two parts, if not by the page of the code.
    pub(super) type_url: Option<[&'static str; 2]>,
    /// The status of the answer, which may be the operator's own for the code.
    pub(super) status: StatusCode,
    /// What happened this time, for people.
    pub(super) detail: &'a str,
    /// What the request does not fit.
    pub(super) short: Short<'a>,
    /// Where the caller can buy or pay.
    pub(super) link: Option<&'a str>,
    /// What the call can be paid by as it is made.
    pub(super) offer: Option<&'a Offer>,
    /// What programs are told of the payment that came.
    pub(super) reason: Option<&'a str>,
    /// What is said beside the reason.
    pub(super) context: &'a Context<'a>,
}

/// What a request does not fit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Short<'a> {
    /// Limits.
    pub(super) quota: Option<&'a QuotaDenial>,
    /// Money.
    pub(super) credit: Option<&'a CreditShortage>,
}

impl Body<'_> {
    /// Writes it.
    pub(super) fn push(&self, text: &mut Vec<u8>) {
        let Self { code, type_url: _, status, detail, short, link, offer, reason, context } = self;
        let Short { quota, credit } = short;
        text.extend_from_slice(b"{\"type\":\"");
        self.push_type(text);
        text.extend_from_slice(b"\",\"title\":");
        json::push_quoted(code.title(), text);
        json::push_number(",\"status\":", status.as_u16().into(), text);
        text.extend_from_slice(b",\"detail\":");
        json::push_string(detail, text);
        push_id(context.request_id, *code, text);
        // Who holds a dead key learns nothing about its owner.
        if let Some(plan) = context.plan.filter(|_| code.status() != StatusCode::UNAUTHORIZED) {
            text.extend_from_slice(b",\"plan\":");
            json::push_string(plan, text);
        }
        if let Some(quota) = quota {
            push_quota(quota, text);
            push_violated(quota, text);
        }
        if let Some(credit) = credit {
            push_credit(credit, text);
        }
        if let Some(offer) = offer {
            text.extend_from_slice(b",\"offers\":");
            text.extend_from_slice(offer.listed());
        }
        if let Some(href) = link {
            push_actions(*code, href, text);
        }
        match offer.map(|offer| offer.x402()).filter(|offer| offer.v1().is_some()) {
            // Its own `error` is a text, which clients of that version read as one.
            Some(offer) => {
                text.push(b',');
                offer.push_v1(*reason, &context.paying.place.resource, text);
            }
            None => self.push_error(text),
        }
        // A line feed for those who look at it in a terminal.
        text.extend_from_slice(b"}\n");
    }

    /// Writes the address of the page that explains the refusal.
    fn push_type(&self, text: &mut Vec<u8>) {
        if let Some(parts) = self.type_url {
            return parts.iter().for_each(|part| text.extend_from_slice(part.as_bytes()));
        }
        let Context { base_url, prefix, .. } = self.context;
        let [scheme, authority] = base_url.parts();
        for part in [scheme, authority, *prefix, "/problems/", self.code.name()] {
            text.extend_from_slice(json::escaped(part).as_bytes());
        }
    }

    fn push_error(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(b",\"error\":{\"type\":");
        json::push_quoted(self.code.error_type(), text);
        text.extend_from_slice(b",\"code\":");
        json::push_quoted(self.code.name(), text);
        text.extend_from_slice(b",\"message\":");
        json::push_string(self.detail, text);
        text.extend_from_slice(b",\"param\":null}");
    }
}

fn push_id(request_id: Uuid, code: Code, text: &mut Vec<u8>) {
    let mut buffer = Uuid::encode_buffer();
    let id = request_id.hyphenated().encode_lower(&mut buffer);
    text.extend_from_slice(b",\"instance\":\"urn:uuid:");
    text.extend_from_slice(id.as_bytes());
    text.extend_from_slice(b"\",\"code\":");
    json::push_quoted(code.name(), text);
    text.extend_from_slice(b",\"request_id\":");
    json::push_quoted(id, text);
}

/// Writes the quota that the refusal is about, if it is about one.
fn push_quota(denial: &QuotaDenial, text: &mut Vec<u8>) {
    let (Binding::Quota(index) | Binding::QuotaTooSmall(index) | Binding::SpendCap(index)) =
        denial.binding()
    else {
        return;
    };
    let standing = denial.standing();
    let (Some(quota), Some(state)) =
        (standing.limits.quotas.get(index), standing.quotas.get(index))
    else {
        return;
    };
    let remaining = state.remaining(quota.limit);
    text.extend_from_slice(b",\"quota\":");
    json::push_string(&quota.name, text);
    json::push_number(",\"meter\":\"requests\",\"limit\":", quota.limit, text);
    json::push_number(",\"used\":", quota.limit.saturating_sub(remaining), text);
    json::push_number(",\"remaining\":", remaining, text);
    json::push_number(",\"cost\":", denial.cost, text);
    text.extend_from_slice(b",\"window\":{\"start\":\"");
    json::push_instant(state.window.start, text);
    text.extend_from_slice(b"\",\"end\":");
    match state.window.end {
        None => text.extend_from_slice(b"null}"),
        Some(end) => {
            text.push(b'"');
            json::push_instant(end, text);
            text.extend_from_slice(b"\"}");
        }
    }
    if let (Binding::SpendCap(_), Some(overage)) = (denial.binding(), &quota.overage) {
        push_overage(overage, state.taken_beyond(quota.limit), text);
    }
}

/// Writes the customer's ceiling and what was taken below it: digits, signs and capital letters, so
/// that nothing needs escaping.
fn push_overage(overage: &Overage, units: u64, text: &mut Vec<u8>) {
    let (cap, price) = (overage.cap().unwrap_or_default(), overage.price());
    text.extend_from_slice(b",\"spend_cap\":");
    json::push_quoted(&cap.to_string(), text);
    json::push_number(",\"overage\":{\"units\":", units, text);
    text.extend_from_slice(b",\"price\":");
    json::push_quoted(&price.nanos.to_string(), text);
    text.extend_from_slice(b",\"currency\":");
    json::push_quoted(price.currency.as_str(), text);
    text.extend_from_slice(b",\"amount\":");
    json::push_quoted(&overage.amount(units).to_string(), text);
    text.push(b'}');
}

/// Writes the names of all violated limits (the draft of the RateLimit fields, section on
/// `quota-exceeded`).
fn push_violated(denial: &QuotaDenial, text: &mut Vec<u8>) {
    let mut before: &[u8] = b",\"violated-policies\":[";
    let mut is_any = false;
    for name in denial.violated_policies() {
        text.extend_from_slice(before);
        json::push_string(name, text);
        (before, is_any) = (b",", true);
    }
    if is_any {
        text.push(b']');
    }
}

/// Writes what the call costs and what there is.
fn push_credit(shortage: &CreditShortage, text: &mut Vec<u8>) {
    let members = [
        (",\"credit\":{\"currency\":", shortage.price.currency.to_string()),
        (",\"price\":", shortage.price.nanos.to_string()),
        (",\"balance\":", shortage.balance().to_string()),
        (",\"reserved\":", shortage.reserved().to_string()),
    ];
    for (name, value) in members {
        text.extend_from_slice(name.as_bytes());
        json::push_quoted(&value, text);
    }
    text.push(b'}');
}

fn push_actions(code: Code, href: &str, text: &mut Vec<u8>) {
    let rels: &[&str] = match code {
        Code::PaymentOverdue | Code::PaymentIncomplete => &["payment"],
        _ => &["upgrade", "payment"],
    };
    let mut before: &[u8] = b",\"actions\":[{\"rel\":";
    for rel in rels {
        text.extend_from_slice(before);
        json::push_quoted(rel, text);
        text.extend_from_slice(b",\"href\":");
        json::push_string(href, text);
        before = b"},{\"rel\":";
    }
    text.extend_from_slice(b"}]");
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{
        super::problem::{BaseUrl, Paying},
        *,
    };

    proptest! {
        /// Whatever the texts of others are, the body is one JSON object with these very texts.
        #[test]
        fn no_text_breaks_a_body_open(base_url: String, plan: String, href: String, detail: String) {
            let context = Context {
                paying: Paying::default(),
                request_id: Uuid::from_u128(7),
                outward_id: None,
                now: jiff::Timestamp::UNIX_EPOCH,
                base_url: BaseUrl::Public(&base_url),
                prefix: "/_faregate",
                realm: "",
                plan: Some(&plan),
                upgrade_url: None,
                status_by_code: &HashMap::new(),
            };
            let code = Code::PaymentOverdue;
            let (link, detail) = (Some(&*href), &*detail);
            let mut text = Vec::new();
            Body {
                code,
                type_url: None,
                status: code.status(),
                detail,
                short: Short::default(),
                link,
                offer: None,
                reason: None,
                context: &context,
            }
                .push(&mut text);
            let parsed: Value = serde_json::from_slice(&text).unwrap();
            let id = "00000000-0000-0000-0000-000000000007";
            let expected = json!({
                "type": format!("{base_url}/_faregate/problems/payment_overdue"),
                "title": code.title(),
                "status": 402,
                "detail": detail,
                "instance": format!("urn:uuid:{id}"),
                "code": "payment_overdue",
                "request_id": id,
                "plan": plan,
                "actions": [{"rel": "payment", "href": href}],
                "error": {
                    "type": "billing_error",
                    "code": "payment_overdue",
                    "message": detail,
                    "param": null,
                },
            });
            prop_assert_eq!(parsed, expected);
        }
    }
}
