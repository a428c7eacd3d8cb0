//! The whole answer of a refusal: status, fields and body.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    answer::{
        Code, Denial, Fault, Refusal,
        body::{Body, Short},
        headers::push_rate_limit,
    },
    chain::origin::Scheme,
    http1::Fields,
    pay::{Offer, Place, Rail, Receipt, mpp, x402},
};

/// What a refusal says beside its own reason.
#[derive(Debug)]
pub struct Context<'a> {
    /// The request's id.
    pub request_id: Uuid,
    /// The id that a trusted proxy gave the request, which the field then tells.
    pub outward_id: Option<&'a HeaderValue>,
    /// The decision time.
    pub now: Timestamp,
    /// Under what the caller reached us, for links.
    pub base_url: BaseUrl<'a>,
    /// The reserved prefix.
    pub prefix: &'a str,
    /// The protection space named in challenges.
    pub realm: &'a str,
    /// The caller's plan, once it is known.
    pub plan: Option<&'a str>,
    /// Where the caller can buy or pay.
    pub upgrade_url: Option<&'a str>,
    /// The operator's own statuses by code.
    pub status_by_code: &'a HashMap<Code, StatusCode>,
    /// How the call can be paid for, or was.
    pub paying: Paying<'a>,
}

/// How a call can be paid for as it is made, or was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paying<'a> {
    /// What the call can be paid by as it is made.
    pub offer: Option<&'a Offer>,
    /// Where and when that is asked for.
    pub place: Place<'a>,
    /// By what a payment came with the request.
    pub rail: Option<Rail>,
    /// The digest of the request's body, where that was read.
    pub digest: Option<&'a str>,
    /// What the caller says that it can pay by.
    pub accepted: Option<&'a HeaderValue>,
    /// What became of the payment that came with the request.
    pub receipt: Option<&'a Receipt>,
}

static PAYMENT_REQUIRED: HeaderName = HeaderName::from_static(x402::REQUIRED);
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The whole answer of a refusal.
#[derive(Debug)]
pub struct Problem {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub fields: Fields,
    /// Its body.
    pub body: Bytes,
}

/// Makes the whole answer of a refusal.
pub fn answer(refusal: &Refusal, context: &Context<'_>) -> Problem {
    match refusal {
        Refusal::Denial(denial) => denied(denial, context),
        Refusal::Fault(fault) => faulted(*fault, context),
    }
}

fn denied(denial: &Denial, context: &Context<'_>) -> Problem {
    let code = denial.code();
    let quota = denial.quota();
    let short = Short { quota, credit: denial.credit() };
    let offer = context.paying.offer.filter(|_| denial.asks_for_payment());
    // What came by a rail is refused in the rail's own words.
    let is_by_scheme = context.paying.rail == Some(Rail::Mpp);
    let by_rail = ByRail {
        type_url: is_by_scheme.then(|| mpp::type_of(denial)).flatten(),
        status: is_by_scheme.then(|| mpp::status_of(denial)).flatten(),
        reason: denial.payment_reason(),
    };
    let mut problem = respond(code, &denial.detail(), short, offer, by_rail, context);
    let fields = &mut problem.fields;
    if let Some(offer) = offer {
        push_offers(offer, denial, context, fields);
    }
    if let Some(seconds) = denial.retry_after(context.now) {
        fields.push_text(&header::RETRY_AFTER, itoa::Buffer::new().format(seconds));
    }
    if let Some(quota) = quota {
        push_rate_limit(quota.standing(), fields);
    }
    if let Some(challenge) = challenge(denial, context.realm) {
        fields.push_text(&header::WWW_AUTHENTICATE, &challenge);
    }
    if let Denial::MethodNotAllowed { allowed } = denial {
        let names: Vec<&str> = allowed.iter().map(http::Method::as_str).collect();
        fields.push_text(&header::ALLOW, &names.join(", "));
    }
    // RFC 6455 section 4.4.
    if let Denial::WebSocketVersion = denial {
        fields.push_text(&header::SEC_WEBSOCKET_VERSION, "13");
    }
    problem
}

/// What a rail says in another way.
#[derive(Clone, Copy, Debug, Default)]
struct ByRail<'a> {
    type_url: Option<[&'static str; 2]>,
    status: Option<StatusCode>,
    /// What programs are told of the payment that came.
    reason: Option<&'a str>,
}

/// Writes an offer for each rail. The scheme's stand before other challenges: some clients look at the first alone.
fn push_offers(offer: &Offer, denial: &Denial, context: &Context<'_>, fields: &mut Fields) {
    let Paying { place, accepted, digest, .. } = context.paying;
    fields.lines.reserve(OFFERS_BYTES);
    fields.push_written(&PAYMENT_REQUIRED, |value| {
        offer.x402().push_required(denial.payment_reason(), &place.resource, value);
    });
    let Some(offer) = offer.mpp() else { return };
    for challenge in offer.challenges(place, accepted, digest) {
        fields.push_written(&header::WWW_AUTHENTICATE, |value| {
            value.extend_from_slice(&challenge);
        });
    }
}

fn faulted(fault: Fault, context: &Context<'_>) -> Problem {
    let (code, detail) = (fault.code(), fault.detail());
    let mut problem = respond(code, detail, Short::default(), None, ByRail::default(), context);
    if let Some(seconds) = fault.retry_after() {
        problem.fields.push_text(&header::RETRY_AFTER, itoa::Buffer::new().format(seconds));
    }
    problem
}

/// Writes the challenge (RFC 6750 section 3): no `error` when no key was sent.
fn challenge(denial: &Denial, realm: &str) -> Option<String> {
    if let Denial::InsufficientScope { required } = denial {
        let scope = required.join(" ");
        return Some(format!(
            "Bearer realm=\"{realm}\", error=\"insufficient_scope\", scope=\"{scope}\""
        ));
    }
    let is_key_missing = matches!(denial, Denial::PaymentRequired { takes_keys: true, .. });
    if denial.code().status() != StatusCode::UNAUTHORIZED && !is_key_missing {
        return None;
    }
    Some(match denial {
        Denial::MissingApiKey | Denial::PaymentRequired { .. } => {
            format!("Bearer realm=\"{realm}\"")
        }
        Denial::AmbiguousCredentials => {
            format!("Bearer realm=\"{realm}\", error=\"invalid_request\"")
        }
        _ => format!("Bearer realm=\"{realm}\", error=\"invalid_token\""),
    })
}

/// Room for most bodies, so that writing one does not grow it step by step.
const BODY_BYTES: usize = 1024;

/// Room for the fields of most offers.
const OFFERS_BYTES: usize = 3072;

fn respond(
    code: Code,
    detail: &str,
    short: Short<'_>,
    offer: Option<&Offer>,
    by_rail: ByRail<'_>,
    context: &Context<'_>,
) -> Problem {
    let ByRail { type_url, status, reason } = by_rail;
    let own = context.status_by_code.get(&code).copied();
    let status = own.or(status).unwrap_or_else(|| code.status());
    let link = context.upgrade_url.filter(|_| code.status() == StatusCode::PAYMENT_REQUIRED);
    let offers = offer.map_or(0, |offer| offer.listed().len());
    let mut body = Vec::with_capacity(BODY_BYTES.saturating_add(offers));
    Body { code, type_url, status, detail, short, link, offer, reason, context }.push(&mut body);
    let mut fields = Fields::with_room();
    // In version 1 of x402 the body is the offer.
    let is_v1 = offer.is_some_and(|offer| offer.x402().v1().is_some());
    let media_type = if is_v1 { "application/json" } else { "application/problem+json" };
    fields.push_text(&header::CONTENT_TYPE, media_type);
    fields.push_text(&header::CACHE_CONTROL, "no-store");
    match context.outward_id {
        Some(id) => fields.push(&REQUEST_ID, id),
        None => {
            let mut id = Uuid::encode_buffer();
            fields.push_text(&REQUEST_ID, context.request_id.hyphenated().encode_lower(&mut id));
        }
    }
    if let Some((name, value)) = context.paying.receipt.and_then(|receipt| receipt.field(status)) {
        fields.push(name, value);
    }
    if let Some(href) = link {
        fields.push_written(&header::LINK, |value| {
            value.extend_from_slice(b"<");
            value.extend_from_slice(href.as_bytes());
            value.extend_from_slice(b">; rel=\"payment\"");
        });
    }
    Problem { status, fields, body: Bytes::from(body) }
}

/// Scheme and authority of the gateway, as the caller knows it; no slash at the end.
#[derive(Clone, Copy, Debug)]
pub enum BaseUrl<'a> {
    /// As the operator says.
    Public(&'a str),
    /// As the request says it, or the trusted proxy that sent it.
    Authority {
        /// How the caller speaks to the gateway, or to the proxy before it.
        scheme: Scheme,
        /// The host and port that the caller asked for.
        authority: &'a str,
    },
    /// Neither is known.
    Unknown,
}

impl<'a> BaseUrl<'a> {
    /// Gives it in two parts, either of which may be empty.
    pub fn parts(self) -> [&'a str; 2] {
        match self {
            Self::Public(url) => [url, ""],
            Self::Authority { scheme: Scheme::Http, authority } => ["http://", authority],
            Self::Authority { scheme: Scheme::Https, authority } => ["https://", authority],
            Self::Unknown => ["", ""],
        }
    }
}

/// Gives the address of the page that explains a code.
pub fn problem_url(base_url: BaseUrl<'_>, prefix: &str, code: Code) -> String {
    let [scheme, authority] = base_url.parts();
    format!("{scheme}{authority}{prefix}/problems/{}", code.name())
}

/// Gives the realm of challenges: the host of the public URL. The request's own Host never serves,
/// because an answer repeats no input in a challenge.
pub fn realm(public_url: Option<&str>) -> Arc<str> {
    let uri = public_url.and_then(|url| url.parse::<http::Uri>().ok());
    uri.as_ref().and_then(http::Uri::host).unwrap_or("faregate").into()
}
