//! What a facilitator's answers are taken for.
//!
//! It is a stranger that is wrong at times. Of a settlement nothing is taken for a failure that could have moved money:
//! what is not surely told is unknown. What it calls a success must be of what was asked.

use http::StatusCode;
use serde_json::{Map, Value};

use super::{Asked, Settled};
use crate::pay::x402::{is_v1, number::hex, strict, v1_name};

/// What an answer to verify says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Judged {
    /// The payment is not good.
    Invalid {
        /// Why.
        reason: String,
    },
    /// Nothing.
    Nothing,
    /// The payment is good.
    Valid,
}

/// The longest reason that is kept and told.
const REASON_MAX: usize = 100;

/// Reasons for which nothing can have been sent to the chain, or what was sent moved nothing. The list of reasons
/// is open: who is not named here may have sent something. That an order was carried out already is not here: it may
/// have been by the very call that says so.
const DEFINITE: [&str; 29] = [
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
    "invalid_permit2_recipient_mismatch",
    "invalid_permit2_signature",
    "invalid_permit2_spender",
    "invalid_scheme",
    "permit2_amount_mismatch",
    "permit2_deadline_expired",
    "permit2_not_yet_valid",
    "permit2_token_mismatch",
    "unsupported_scheme",
];

/// Reasons that are definite beside the transaction that they tell: the chain has it, and it moved nothing.
const REVERTED: [&str; 3] = [
    "invalid_exact_evm_transaction_failed",
    "invalid_exact_evm_transfer_event_mismatch",
    "invalid_transaction_state",
];

pub(super) fn verified(status: StatusCode, body: &[u8], asked: &Asked) -> Judged {
    let answer = read(status, body);
    let valid = answer.as_ref().and_then(|answer| answer.get("isValid")?.as_bool());
    match (answer, valid) {
        (Some(answer), Some(false)) => Judged::Invalid { reason: reason(&answer, "invalidReason") },
        (Some(answer), Some(true)) if is_as_asked(&answer, "payer", &asked.payer) => Judged::Valid,
        _ => {
            tracing::warn!(%status, "the facilitator's answer to verify is none");
            Judged::Nothing
        }
    }
}

pub(super) fn settled(status: StatusCode, body: &[u8], asked: &Asked) -> Settled {
    let Some(answer) = read(status, body) else {
        tracing::warn!(%status, "the facilitator's answer to settle is none");
        return unknown("no answer");
    };
    let transaction = answer.get("transaction").and_then(Value::as_str);
    let transaction = transaction.filter(|text| hex::<32>(text).is_some()).map(str::to_owned);
    match answer.get("success").and_then(Value::as_bool) {
        Some(true) => {
            let is_asked = is_network(&answer, asked)
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

pub(super) fn unknown(reason: &str) -> Settled {
    Settled::Unknown { reason: reason.to_owned(), transaction: None }
}

/// Reads an answer. What a redirect brings is nobody's.
pub(super) fn read(status: StatusCode, body: &[u8]) -> Option<Map<String, Value>> {
    if status.is_redirection() || status.is_informational() {
        return None;
    }
    match strict::parse(body)? {
        Value::Object(answer) => Some(answer),
        _ => None,
    }
}

/// Tells whether the network is the one that was asked for, by the name that it has in the version that was spoken.
fn is_network(answer: &Map<String, Value>, asked: &Asked) -> bool {
    let number = || asked.network.strip_prefix("eip155:")?.parse().ok();
    let name = match is_v1(&asked.order) {
        true => number().and_then(v1_name),
        false => Some(&*asked.network),
    };
    name.is_some() && answer.get("network").and_then(Value::as_str) == name
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
            by: None,
            order: "{}".to_owned(),
            payer: PAYER.to_owned(),
            network: "eip155:84532".to_owned(),
            amount: "10000".to_owned(),
        }
    }

    fn told(status: u16, body: &Value) -> Settled {
        let status = StatusCode::from_u16(status).unwrap();
        settled(status, body.to_string().as_bytes(), &asked())
    }

    fn is_unknown(settled: &Settled) -> bool {
        matches!(settled, Settled::Unknown { .. })
    }

    #[test]
    fn success_is_of_what_was_asked_or_none() {
        let good = json!({"success": true, "transaction": TRANSACTION, "network": "eip155:84532",
            "payer": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "amount": "10000"});
        let success = Settled::Success { transaction: TRANSACTION.to_owned() };
        assert_eq!(told(200, &good), success);
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
            assert!(is_unknown(&told(200, &lie)), "{lie}");
        }
        assert!(is_unknown(&told(302, &good)));
        assert!(is_unknown(&told(200, &json!([good]))));
        let twice = r#"{"success":false,"success":true}"#;
        assert!(is_unknown(&settled(StatusCode::OK, twice.as_bytes(), &asked())));
    }

    /// In version 1 a network has another name.
    #[test]
    fn network_has_the_name_of_the_version() {
        let told = |version: u8, network: &str| {
            let order = format!("{{\"x402Version\":{version},\"a\":1}}");
            let body = json!({"success": true, "transaction": TRANSACTION, "network": network});
            let asked = Asked { order, ..asked() };
            let told = settled(StatusCode::OK, body.to_string().as_bytes(), &asked);
            matches!(told, Settled::Success { .. })
        };
        assert!(told(1, "base-sepolia") && told(2, "eip155:84532"));
        assert!(!told(1, "eip155:84532") && !told(2, "base-sepolia") && !told(1, "base"));
    }

    #[test]
    fn only_what_surely_moved_nothing_has_failed() {
        let failed = |reason: &str, transaction: &str| {
            told(
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
                assert!(is_unknown(&settled(status, body.as_bytes(), &asked())), "{body}");
            }
        }
    }

    #[test]
    fn verification_is_believed_of_the_payer_alone() {
        let told = |status: u16, body: &Value| {
            let status = StatusCode::from_u16(status).unwrap();
            verified(status, body.to_string().as_bytes(), &asked())
        };
        assert_eq!(told(200, &json!({"isValid": true, "payer": PAYER})), Judged::Valid);
        assert_eq!(told(200, &json!({"isValid": true})), Judged::Valid);
        let invalid = Judged::Invalid { reason: "insufficient_funds".to_owned() };
        let body = json!({"isValid": false, "invalidReason": "insufficient_funds"});
        assert_eq!(told(200, &body), invalid);
        assert_eq!(told(400, &body), invalid);
        for (status, body) in [
            (200, json!({"isValid": true, "payer": "0x0000000000000000000000000000000000000001"})),
            (200, json!({"isValid": "true"})),
            (200, json!({})),
            (500, json!("x")),
            (307, json!({"isValid": true})),
        ] {
            assert_eq!(told(status, &body), Judged::Nothing, "{status} {body}");
        }
    }
}
