//! The headers of x402 over HTTP, as they are read and written.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    eip712::{Authorization, Permit},
    number::{Address, Word, hex},
    order::Requirements,
    strict,
    transfer::{Method, Transfer},
};

/// The version that is spoken.
pub(super) const VERSION: u64 = 2;

/// The version before it, which is spoken where the operator wants that.
pub(super) const VERSION_1: u64 = 1;

/// The longest value of a header that is read.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// The longest signature that is passed on: those of wallets that are contracts have no length of their own.
const SIGNATURE_BYTES_MAX: usize = 4 * 1024;

/// Why what a request brings is no payment, for people. It repeats nothing of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed(pub(super) &'static str);

/// What a payment gives, as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Payment {
    /// The requirements that it says it meets.
    pub(super) accepted: Accepted,
    pub(super) transfer: Transfer,
    /// `0x` and its digits.
    pub(super) signature: String,
    /// The address that it says it is for.
    pub(super) resource: Option<String>,
    /// What its payer calls it (the extension `payment-identifier`).
    pub(super) identifier: Option<String>,
}

/// The requirements that a payment says it meets.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Accepted(Map<String, Value>);

/// Encodes a document as the value of a header.
pub(super) fn encode(document: &[u8]) -> String {
    STANDARD.encode(document)
}

/// Reads the value of `PAYMENT-SIGNATURE`.
pub(super) fn decode(header: &[u8]) -> Result<Payment, Malformed> {
    let mut payment = open(header, VERSION, "The payment is not of x402 version 2.")?;
    let (Some(Value::Object(accepted)), Some(Value::Object(payload))) =
        (payment.remove("accepted"), payment.remove("payload"))
    else {
        return Err(Malformed("The payment lacks `accepted` or `payload`."));
    };
    let signature = signature(&payload)?;
    let transfer = transfer(&payload)?;
    let resource = resource(&payment)?;
    let identifier = identifier(&payment)?;
    Ok(Payment { accepted: Accepted(accepted), transfer, signature, resource, identifier })
}

/// Reads the value of `X-PAYMENT`. What it says that it meets is a scheme on a network.
pub(super) fn decode_1(header: &[u8]) -> Result<Payment, Malformed> {
    let mut payment = open(header, VERSION_1, "The payment is not of x402 version 1.")?;
    let Some(Value::Object(payload)) = payment.remove("payload") else {
        return Err(Malformed("The payment lacks `payload`."));
    };
    let signature = signature(&payload)?;
    let transfer = Transfer::Authorization(authorization(&payload)?);
    Ok(Payment {
        accepted: Accepted(payment),
        transfer,
        signature,
        resource: None,
        identifier: None,
    })
}

fn open(
    header: &[u8],
    version: u64,
    otherwise: &'static str,
) -> Result<Map<String, Value>, Malformed> {
    if header.len() > HEADER_BYTES_MAX {
        return Err(Malformed("The payment is too large."));
    }
    let text = STANDARD.decode(header);
    let text = text.map_err(|_| Malformed("The payment is not in base64."))?;
    let Some(Value::Object(payment)) = strict::parse(&text) else {
        return Err(Malformed("The payment is not a JSON object, or not strictly one."));
    };
    match payment.get("x402Version").and_then(Value::as_u64) == Some(version) {
        true => Ok(payment),
        false => Err(Malformed(otherwise)),
    }
}

fn transfer(payload: &Map<String, Value>) -> Result<Transfer, Malformed> {
    match (payload.get("authorization"), payload.get("permit2Authorization")) {
        (Some(_), Some(_)) => Err(Malformed("The payment has two orders.")),
        (None, Some(permit)) => self::permit(permit).map(Transfer::Permit),
        _ => authorization(payload).map(Transfer::Authorization),
    }
}

fn signature(payload: &Map<String, Value>) -> Result<String, Malformed> {
    let signature = text(payload, "signature")?;
    let digits = signature.strip_prefix("0x").unwrap_or_default();
    let is_hex = !digits.is_empty()
        && digits.len() <= SIGNATURE_BYTES_MAX * 2
        && digits.len().is_multiple_of(2)
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex { Ok(signature.to_owned()) } else { Err(Malformed("The signature is none.")) }
}

/// Reads an order whose signature stands among its parts. What is wrong with it is for people.
pub(in crate::pay) fn read_signed(
    order: &Map<String, Value>,
) -> Result<(Authorization, String), &'static str> {
    let read = || Ok((authorization_of(order)?, signature(order)?));
    read().map_err(|Malformed(detail)| detail)
}

fn authorization(payload: &Map<String, Value>) -> Result<Authorization, Malformed> {
    match payload.get("authorization") {
        Some(Value::Object(given)) => authorization_of(given),
        _ => Err(Malformed("The payment has no `authorization` of EIP-3009.")),
    }
}

fn authorization_of(given: &Map<String, Value>) -> Result<Authorization, Malformed> {
    let nonce = hex(text(given, "nonce")?);
    Ok(Authorization {
        from: address(given, "from")?,
        to: address(given, "to")?,
        value: number(given, "value")?,
        valid_after: number(given, "validAfter")?,
        valid_before: number(given, "validBefore")?,
        nonce: nonce.ok_or(Malformed("A nonce is `0x` and 64 hexadecimal digits."))?,
    })
}

fn permit(given: &Value) -> Result<Permit, Malformed> {
    let part = |name: &str| given.get(name).and_then(Value::as_object);
    let (Some(given), Some(permitted), Some(witness)) =
        (given.as_object(), part("permitted"), part("witness"))
    else {
        return Err(Malformed("The order to Permit2 lacks a part."));
    };
    Ok(Permit {
        from: address(given, "from")?,
        token: address(permitted, "token")?,
        amount: number(permitted, "amount")?,
        spender: address(given, "spender")?,
        nonce: number(given, "nonce")?,
        deadline: number(given, "deadline")?,
        to: address(witness, "to")?,
        valid_after: number(witness, "validAfter")?,
    })
}

fn address(object: &Map<String, Value>, name: &str) -> Result<Address, Malformed> {
    let address = Address::parse(text(object, name)?);
    address.ok_or(Malformed("An address is `0x` and 40 hexadecimal digits."))
}

fn number(object: &Map<String, Value>, name: &str) -> Result<Word, Malformed> {
    let number = Word::from_decimal(text(object, name)?);
    number.ok_or(Malformed("A number is written in decimal digits, below 2 to the power 256."))
}

fn resource(payment: &Map<String, Value>) -> Result<Option<String>, Malformed> {
    match payment.get("resource") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(resource)) => text(resource, "url").map(|url| Some(url.to_owned())),
        Some(_) => Err(Malformed("`resource` is not an object.")),
    }
}

/// Reads what the payer calls the payment. Who echoes the offer and adds nothing gives it no name.
fn identifier(payment: &Map<String, Value>) -> Result<Option<String>, Malformed> {
    let given = payment.get("extensions").and_then(|extensions| {
        extensions.get("payment-identifier")?.get("info")?.get("id").filter(|id| !id.is_null())
    });
    let Some(given) = given else { return Ok(None) };
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let is_one = |id: &&str| (16..=128).contains(&id.len()) && id.bytes().all(is_part);
    match given.as_str().filter(is_one) {
        Some(id) => Ok(Some(id.to_owned())),
        None => Err(Malformed("A payment identifier is 16 to 128 letters, digits, `_` and `-`.")),
    }
}

fn text<'v>(object: &'v Map<String, Value>, name: &str) -> Result<&'v str, Malformed> {
    let text = object.get(name).and_then(Value::as_str);
    text.ok_or(Malformed("A part of the payment is missing, or is no text."))
}

impl Accepted {
    /// Tells whether these are the requirements that are offered. What is beside them says nothing.
    pub(super) fn is(&self, offered: &Requirements) -> bool {
        let Requirements { scheme, network, amount, asset, pay_to, max_timeout_seconds, extra } =
            offered;
        let text = |name: &str| self.0.get(name).and_then(Value::as_str);
        let is_address = |name: &str, offered: &str| {
            let given = text(name).and_then(Address::parse);
            given.is_some() && given == Address::parse(offered)
        };
        let given_extra = |name: &str| self.0.get("extra")?.get(name)?.as_str();
        text("scheme") == Some(*scheme)
            && text("network") == Some(network)
            && text("amount") == Some(amount)
            && is_address("asset", asset)
            && is_address("payTo", pay_to)
            && self.0.get("maxTimeoutSeconds").and_then(Value::as_u64) == Some(*max_timeout_seconds)
            && given_extra("name") == Some(&extra.name)
            && given_extra("version") == Some(&extra.version)
            && is_method(given_extra("assetTransferMethod"), extra.asset_transfer_method)
    }

    /// Tells the same of a payment in version 1, which names the scheme and the network alone.
    pub(super) fn is_1(&self, offered: &Requirements, network: &str) -> bool {
        let text = |name: &str| self.0.get(name).and_then(Value::as_str);
        text("scheme") == Some(offered.scheme) && text("network") == Some(network)
    }
}

/// Tells whether a method is the one that is offered, which need not be said where it is the usual one.
fn is_method(given: Option<&str>, offered: Option<&str>) -> bool {
    given == offered || (given, offered) == (Some(Method::Eip3009.name()), None)
}

/// Writes a nonce in its one form.
pub(super) fn nonce_text(nonce: &[u8; 32]) -> String {
    nonce.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// What a payer is told of a settlement (`PAYMENT-RESPONSE`).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settlement<'a> {
    pub(super) success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_reason: Option<&'a str>,
    pub(super) transaction: &'a str,
    pub(super) network: &'a str,
    pub(super) payer: &'a str,
}

impl Settlement<'_> {
    /// Encodes it.
    pub(super) fn header(&self) -> String {
        // A struct of texts is always written.
        encode(&serde_json::to_vec(self).unwrap_or_default())
    }
}
