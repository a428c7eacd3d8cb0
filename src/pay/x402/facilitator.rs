//! What a facilitator says: whether a payment is good, and what became of its settlement.
//!
//! It is a stranger that is slow, absent and wrong at times. Of a settlement nothing is taken for a failure that
//! could have moved money: what is not surely told is unknown. What it calls a success must be of what was asked.

use std::{sync::Arc, time::Duration};

use http::{Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use serde_json::{Map, Value};

use super::{Terms, number::hex, strict};
use crate::outgoing::{self, Fault, Kept, Repeat, Resolver, Roots, RootsError, Target, Timing};

/// How long it may take to reach it.
const OPEN: Duration = Duration::from_secs(5);

/// How long it may take to verify.
const VERIFY: Duration = Duration::from_secs(10);

/// How long it may take to settle, which waits for a chain.
pub(crate) const SETTLE: Duration = Duration::from_secs(30);

/// The longest reason that is kept and told.
const REASON_MAX: usize = 100;

/// Reasons for which nothing can have been sent to the chain, or what was sent moved nothing. The list of reasons
/// is open: who is not named here may have sent something. That an order was carried out already is not here: it may
/// have been by the very call that says so.
const DEFINITE: [&str; 22] = [
    "asset_not_deployed_contract",
    "insufficient_funds",
    "invalid_exact_evm_authorization_value",
    "invalid_exact_evm_eip3009_not_supported",
    "invalid_exact_evm_insufficient_balance",
    "invalid_exact_evm_missing_eip712_domain",
    "invalid_exact_evm_network_mismatch",
    "invalid_exact_evm_payload_authorization_valid_after",
    "invalid_exact_evm_payload_authorization_valid_before",
    "invalid_exact_evm_payload_authorization_value_mismatch",
    "invalid_exact_evm_payload_recipient_mismatch",
    "invalid_exact_evm_payload_signature",
    "invalid_exact_evm_recipient_mismatch",
    "invalid_exact_evm_scheme",
    "invalid_exact_evm_signature",
    "invalid_exact_evm_token_name_mismatch",
    "invalid_exact_evm_token_version_mismatch",
    "invalid_network",
    "invalid_payload",
    "invalid_payment_requirements",
    "invalid_scheme",
    "unsupported_scheme",
];

/// Reasons that are definite beside the transaction that they tell: the chain has it, and it moved nothing.
const REVERTED: [&str; 3] = [
    "invalid_exact_evm_transaction_failed",
    "invalid_exact_evm_transfer_event_mismatch",
    "invalid_transaction_state",
];

/// What a payment is that is asked about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Asked {
    /// The document that is sent.
    pub(crate) order: String,
    /// Who pays.
    pub(crate) payer: String,
    /// Where.
    pub(crate) network: String,
    /// How much.
    pub(crate) amount: String,
}

/// What came of asking whether a payment is good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verified {
    /// It is not.
    Invalid {
        /// Why.
        reason: String,
    },
    /// Nobody told.
    Unavailable,
    /// It is.
    Valid,
}

/// What came of asking to settle one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Settled {
    /// Nothing moved, and by this call nothing will.
    Failed {
        /// Why.
        reason: String,
    },
    /// Nothing was sent.
    NotAsked,
    /// The money moved.
    Success {
        /// The transaction.
        transaction: String,
    },
    /// Whether it moved is not known.
    Unknown {
        /// What is known of it.
        reason: String,
        /// The transaction, if one is told.
        transaction: Option<String>,
    },
}

/// Asks facilitators.
pub(crate) struct Facilitator {
    verifying: outgoing::Client,
    settling: outgoing::Client,
    kept: Kept,
}

impl Facilitator {
    /// Makes it. The roots are read once, now.
    pub(crate) fn new(resolver: &Arc<dyn Resolver>, roots: &Roots) -> Result<Self, RootsError> {
        let client = |whole| {
            let timing = Timing { open: OPEN, whole };
            outgoing::Client::new(Arc::clone(resolver), roots.clone(), timing)
        };
        Ok(Self { verifying: client(VERIFY)?, settling: client(SETTLE)?, kept: Kept::default() })
    }

    /// Asks whether a payment is good.
    pub(crate) async fn verify(&self, terms: &Terms, asked: &Asked) -> Verified {
        match self.post(&self.verifying, Repeat::Freely, &terms.verify, asked).await {
            Ok(answer) => judge_verified(answer.status, &answer.body, asked),
            Err(fault) => {
                tracing::warn!(%fault, "the facilitator cannot be asked to verify");
                Verified::Unavailable
            }
        }
    }

    /// Asks to settle one.
    pub(crate) async fn settle(&self, terms: &Terms, asked: &Asked) -> Settled {
        match self.post(&self.settling, Repeat::Never, &terms.settle, asked).await {
            Ok(answer) => judge_settled(answer.status, &answer.body, asked),
            Err(fault) if fault.is_unsent() => {
                tracing::warn!(%fault, "the facilitator cannot be asked to settle");
                Settled::NotAsked
            }
            Err(fault) => {
                tracing::warn!(%fault, "what became of a settlement is not known");
                unknown("no answer")
            }
        }
    }

    async fn post(
        &self,
        client: &outgoing::Client,
        repeat: Repeat,
        target: &Target,
        asked: &Asked,
    ) -> Result<outgoing::Answer, Fault> {
        let request: Request<Full<_>> = outgoing::request(target)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(asked.order.clone()))?;
        client.send_kept(&self.kept, repeat, target, request).await
    }
}

fn judge_verified(status: StatusCode, body: &[u8], asked: &Asked) -> Verified {
    let answer = read(status, body);
    let valid = answer.as_ref().and_then(|answer| answer.get("isValid")?.as_bool());
    match (answer, valid) {
        (Some(answer), Some(false)) => {
            Verified::Invalid { reason: reason(&answer, "invalidReason") }
        }
        (Some(answer), Some(true)) if is_as_asked(&answer, "payer", &asked.payer) => {
            Verified::Valid
        }
        _ => {
            tracing::warn!(%status, "the facilitator's answer to verify is none");
            Verified::Unavailable
        }
    }
}

fn judge_settled(status: StatusCode, body: &[u8], asked: &Asked) -> Settled {
    let Some(answer) = read(status, body) else {
        tracing::warn!(%status, "the facilitator's answer to settle is none");
        return unknown("no answer");
    };
    let transaction = answer.get("transaction").and_then(Value::as_str);
    let transaction = transaction.filter(|text| hex::<32>(text).is_some()).map(str::to_owned);
    match answer.get("success").and_then(Value::as_bool) {
        Some(true) => {
            let is_asked = answer.get("network").and_then(Value::as_str) == Some(&asked.network)
                && is_as_asked(&answer, "payer", &asked.payer)
                && is_as_asked(&answer, "amount", &asked.amount);
            match transaction {
                Some(transaction) if is_asked => Settled::Success { transaction },
                // It says that something else was settled; what was asked for may be as well.
                _ => {
                    tracing::error!("the facilitator says that another payment was settled");
                    unknown("another payment")
                }
            }
        }
        Some(false) => {
            let reason = reason(&answer, "errorReason");
            let is_definite = DEFINITE.contains(&reason.as_str())
                || transaction.is_some() && REVERTED.contains(&reason.as_str());
            match is_definite {
                true => Settled::Failed { reason },
                false => Settled::Unknown { reason, transaction },
            }
        }
        None => unknown("no answer"),
    }
}

fn unknown(reason: &str) -> Settled {
    Settled::Unknown { reason: reason.to_owned(), transaction: None }
}

/// Reads an answer. What a redirect brings is nobody's.
fn read(status: StatusCode, body: &[u8]) -> Option<Map<String, Value>> {
    if status.is_redirection() || status.is_informational() {
        return None;
    }
    match strict::parse(body)? {
        Value::Object(answer) => Some(answer),
        _ => None,
    }
}

/// Tells whether a member that may be missing says what was asked; addresses in any case.
fn is_as_asked(answer: &Map<String, Value>, name: &str, asked: &str) -> bool {
    match answer.get(name) {
        None | Some(Value::Null) => true,
        Some(Value::String(given)) => given.is_empty() || given.eq_ignore_ascii_case(asked),
        Some(_) => false,
    }
}

/// Gives a reason in words that can be told to anybody.
fn reason(answer: &Map<String, Value>, name: &str) -> String {
    let given = answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-. :".contains(c);
    let is_fit = !given.is_empty() && given.len() <= REASON_MAX && given.chars().all(is_word);
    if is_fit { given.to_owned() } else { "unexpected_settle_error".to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TRANSACTION: &str = "0xb588fdf1d18359f895ae0fa96d821c4055d2e1c8ef5a5a365a7cb65f39fd7437";
    const PAYER: &str = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";

    fn asked() -> Asked {
        Asked {
            order: "{}".to_owned(),
            payer: PAYER.to_owned(),
            network: "eip155:84532".to_owned(),
            amount: "10000".to_owned(),
        }
    }

    fn settled(status: u16, body: &Value) -> Settled {
        let status = StatusCode::from_u16(status).unwrap();
        judge_settled(status, body.to_string().as_bytes(), &asked())
    }

    fn is_unknown(settled: &Settled) -> bool {
        matches!(settled, Settled::Unknown { .. })
    }

    #[test]
    fn success_is_of_what_was_asked_or_none() {
        let good = json!({"success": true, "transaction": TRANSACTION, "network": "eip155:84532",
            "payer": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "amount": "10000"});
        let success = Settled::Success { transaction: TRANSACTION.to_owned() };
        assert_eq!(settled(200, &good), success);
        for (name, value) in [
            ("transaction", json!("")),
            ("transaction", json!("0x12")),
            ("transaction", Value::Null),
            ("network", json!("eip155:8453")),
            ("network", Value::Null),
            ("payer", json!("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC")),
            ("payer", json!(7)),
            ("amount", json!("9999")),
            ("success", json!("true")),
            ("success", json!(1)),
        ] {
            let mut lie = good.clone();
            lie[name] = value;
            assert!(is_unknown(&settled(200, &lie)), "{lie}");
        }
        assert!(is_unknown(&settled(302, &good)));
        assert!(is_unknown(&settled(200, &json!([good]))));
        let twice = r#"{"success":false,"success":true}"#;
        assert!(is_unknown(&judge_settled(StatusCode::OK, twice.as_bytes(), &asked())));
    }

    #[test]
    fn only_what_surely_moved_nothing_has_failed() {
        let failed = |reason: &str, transaction: &str| {
            settled(
                200,
                &json!({"success": false, "errorReason": reason,
                "transaction": transaction, "network": "eip155:84532"}),
            )
        };
        for reason in DEFINITE {
            assert_eq!(failed(reason, ""), Settled::Failed { reason: reason.to_owned() });
        }
        for reason in REVERTED {
            assert!(is_unknown(&failed(reason, "")), "{reason}");
            assert_eq!(failed(reason, TRANSACTION), Settled::Failed { reason: reason.to_owned() });
        }
        let pending = Settled::Unknown {
            reason: "settlement_pending".to_owned(),
            transaction: Some(TRANSACTION.to_owned()),
        };
        assert_eq!(failed("settlement_pending", TRANSACTION), pending);
        for reason in [
            "",
            "unexpected_settle_error",
            "invalid_exact_evm_nonce_already_used",
            "invalid_exact_evm_transaction_simulation_failed",
            "something new",
            "a<b>c",
        ] {
            assert!(is_unknown(&failed(reason, "")), "{reason}");
        }
        for status in [500, 503, 404, 200] {
            let status = StatusCode::from_u16(status).unwrap();
            for body in ["", "null", "no JSON", "{}", "\"success\""] {
                assert!(is_unknown(&judge_settled(status, body.as_bytes(), &asked())), "{body}");
            }
        }
    }

    #[test]
    fn verification_is_believed_of_the_payer_alone() {
        let verified = |status: u16, body: &Value| {
            let status = StatusCode::from_u16(status).unwrap();
            judge_verified(status, body.to_string().as_bytes(), &asked())
        };
        assert_eq!(verified(200, &json!({"isValid": true, "payer": PAYER})), Verified::Valid);
        assert_eq!(verified(200, &json!({"isValid": true})), Verified::Valid);
        let invalid = Verified::Invalid { reason: "insufficient_funds".to_owned() };
        let body = json!({"isValid": false, "invalidReason": "insufficient_funds"});
        assert_eq!(verified(200, &body), invalid);
        assert_eq!(verified(400, &body), invalid);
        for (status, body) in [
            (200, json!({"isValid": true, "payer": "0x0000000000000000000000000000000000000001"})),
            (200, json!({"isValid": "true"})),
            (200, json!({})),
            (500, json!("x")),
            (307, json!({"isValid": true})),
        ] {
            assert_eq!(verified(status, &body), Verified::Unavailable, "{status} {body}");
        }
    }
}
