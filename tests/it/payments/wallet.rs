//! A wallet: it reads an offer and signs what is asked, by a writing of the standards of its own.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secp256k1::{Message, PublicKey, SecretKey, ecdsa::RecoverableSignature};
use serde_json::{Value, json};
use sha3::{Digest, Keccak256};

use crate::support::Response;

/// A wallet of a test.
pub(crate) struct Wallet {
    secret: SecretKey,
}

/// What a wallet pays, before it is signed.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) accepted: Value,
    pub(crate) resource: Value,
    pub(crate) to: String,
    pub(crate) value: String,
    pub(crate) valid_after: u64,
    pub(crate) valid_before: u64,
    pub(crate) nonce: [u8; 32],
}

/// Decodes a header.
pub(crate) fn decoded(header: &str) -> Value {
    serde_json::from_slice(&STANDARD.decode(header).unwrap()).unwrap()
}

/// Gives the offer of an answer.
pub(crate) fn offer(response: &Response) -> Value {
    decoded(response.field("payment-required").expect("an offer"))
}

pub(crate) fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.strip_prefix("0x").unwrap();
    let pairs = (0..digits.len() / 2).map(|at| &digits[at * 2..at * 2 + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Puts zeros before what is shorter than a word.
fn word(bytes: &[u8]) -> Vec<u8> {
    [vec![0; 32 - bytes.len()], bytes.to_vec()].concat()
}

impl Order {
    /// Agrees to the first of an offer's requirements, with a nonce.
    pub(crate) fn of(offer: &Value, nonce: u8) -> Self {
        let accepted = offer["accepts"][0].clone();
        let text = |name: &str| accepted[name].as_str().unwrap().to_owned();
        Self {
            to: text("payTo"),
            value: text("amount"),
            valid_after: 0,
            valid_before: now() + accepted["maxTimeoutSeconds"].as_u64().unwrap(),
            nonce: [nonce; 32],
            resource: offer["resource"].clone(),
            accepted,
        }
    }
}

impl Wallet {
    pub(crate) fn new(seed: u8) -> Self {
        Self { secret: SecretKey::from_secret_bytes([seed; 32]).unwrap() }
    }

    pub(crate) fn address(&self) -> String {
        let public = PublicKey::from_secret_key(&self.secret).serialize_uncompressed();
        hex(&keccak(&[&public[1..]])[12..])
    }

    /// Gives the payment as a document.
    pub(crate) fn payment(&self, order: &Order) -> Value {
        let Order { accepted, resource, to, value, valid_after, valid_before, nonce } = order;
        let from = self.address();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let chain: u64 =
            text(&accepted["network"]).strip_prefix("eip155:").unwrap().parse().unwrap();
        let domain = keccak(&[
            &keccak(&[b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"]),
            &keccak(&[text(&accepted["extra"]["name"]).as_bytes()]),
            &keccak(&[text(&accepted["extra"]["version"]).as_bytes()]),
            &word(&chain.to_be_bytes()),
            &word(&bytes(&text(&accepted["asset"]))),
        ]);
        let message = keccak(&[
            &keccak(&[b"TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"]),
            &word(&bytes(&from)),
            &word(&bytes(to)),
            &word(&value.parse::<u128>().unwrap().to_be_bytes()),
            &word(&valid_after.to_be_bytes()),
            &word(&valid_before.to_be_bytes()),
            nonce,
        ]);
        let digest = Message::from_digest(keccak(&[b"\x19\x01", &domain, &message]));
        let signature = RecoverableSignature::sign_ecdsa_recoverable(digest, &self.secret);
        let (parity, compact) = signature.serialize_compact();
        let signature = [&compact[..], &[27 + u8::from(parity)]].concat();
        json!({"x402Version": 2, "accepted": accepted, "resource": resource, "extensions": {},
            "payload": {"signature": hex(&signature), "authorization": {
                "from": from, "to": to, "value": value, "validAfter": valid_after.to_string(),
                "validBefore": valid_before.to_string(), "nonce": hex(nonce)}}})
    }

    /// Gives the payment as the field that carries it.
    pub(crate) fn field(&self, order: &Order) -> String {
        field(&self.payment(order))
    }
}

/// Writes a payment as the field that carries it.
pub(crate) fn field(payment: &Value) -> String {
    format!("PAYMENT-SIGNATURE: {}", STANDARD.encode(payment.to_string()))
}
