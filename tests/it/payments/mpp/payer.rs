//! Who pays by the scheme `Payment`: it reads a challenge and answers it, by a writing of the draft of its own.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use sha3::{Digest, Keccak256};

use crate::{
    payments::wallet::{Order, Wallet},
    support::Response,
};

/// Decodes a text as it stands in challenges and receipts.
pub(crate) fn decoded(text: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

/// Gives the challenges of an answer, as far as they are of the scheme.
pub(crate) fn challenges(response: &Response) -> Vec<Value> {
    let said = response.head.all("www-authenticate");
    let ours = said.into_iter().filter_map(|value| value.strip_prefix("Payment "));
    ours.map(challenge).collect()
}

fn challenge(params: &str) -> Value {
    let pair = |param: &str| {
        let (name, value) = param.split_once("=\"").expect(param);
        (name.to_owned(), Value::from(value.strip_suffix('"').unwrap_or(value)))
    };
    Value::Object(params.split("\", ").map(pair).collect::<Map<_, _>>())
}

/// Gives the one challenge of an answer.
pub(crate) fn asked(response: &Response) -> Value {
    let mut found = challenges(response);
    assert_eq!(found.len(), 1, "{:?}", response.head);
    found.remove(0)
}

/// Answers a challenge.
pub(crate) fn credential(wallet: &Wallet, challenge: &Value) -> Value {
    let text = |name: &str| challenge[name].as_str().unwrap();
    let request = decoded(text("request"));
    let chain = request["methodDetails"]["chainId"].as_u64().unwrap();
    let nonce = Keccak256::digest(format!("{}{}", text("id"), text("realm")));
    let expires: jiff::Timestamp = text("expires").parse().unwrap();
    let order = Order {
        accepted: json!({"network": format!("eip155:{chain}"), "asset": request["currency"],
            "extra": {"name": "USD Coin", "version": "2"}}),
        resource: Value::Null,
        to: request["recipient"].as_str().unwrap().to_owned(),
        value: request["amount"].as_str().unwrap().to_owned(),
        valid_after: 0,
        valid_before: u64::try_from(expires.as_second()).unwrap(),
        nonce: nonce.into(),
    };
    let signed = wallet.payment(&order)["payload"].clone();
    let mut payload = signed["authorization"].clone();
    payload["signature"] = signed["signature"].clone();
    payload["type"] = "authorization".into();
    json!({"challenge": challenge, "payload": payload,
        "source": format!("did:pkh:eip155:{chain}:{}", wallet.address())})
}

/// Writes a credential as the field that its challenge wants.
pub(crate) fn field(credential: &Value) -> String {
    let name = credential["challenge"]["header"].as_str().unwrap_or("Authorization");
    format!("{name}: Payment {}", URL_SAFE_NO_PAD.encode(credential.to_string()))
}
