//! The pages under the reserved prefix: what the gateway tells callers itself.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header, request::Parts};
use serde::Serialize;

use crate::{
    answer::{Code, Denial, problem},
    chain::{authenticate, exchange::Exchange, offers::Offers, target::Target},
    usage, websocket,
};

/// A page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Page {
    /// No page of this name.
    Missing,
    /// What can be bought.
    Plans,
    /// What a code means.
    Problem(Code),
    /// What the caller has used and may still use.
    Usage,
}

/// Finds the page of a target; `None` when it does not lie under the reserved prefix.
pub fn find(target: &Target, exchange: &Exchange) -> Option<Page> {
    let rest = target.path().strip_prefix(&*exchange.snapshot().server.reserved_prefix)?;
    match rest.split_once('/') {
        None if rest.is_empty() => Some(Page::Missing),
        Some(("", "plans")) => Some(Page::Plans),
        Some(("", "usage")) => Some(Page::Usage),
        Some(("", rest)) => {
            let code = rest.strip_prefix("problems/").and_then(Code::find);
            Some(code.map_or(Page::Missing, Page::Problem))
        }
        // Another path that only begins with the same letters.
        _ => None,
    }
}

/// Answers a request for a page. Nothing is counted, and a subscription need not be in force: who is
/// out of units must be able to see so.
pub async fn answer(
    page: Page,
    head: &Parts,
    exchange: &mut Exchange,
) -> Result<Response<Bytes>, Denial> {
    if page == Page::Missing {
        return Err(Denial::RouteNotFound);
    }
    // To answer would be to open it.
    if websocket::is_on_stream(head) {
        return Err(Denial::InvalidRequest("No WebSocket is opened here."));
    }
    if head.method != Method::GET && head.method != Method::HEAD {
        return Err(Denial::MethodNotAllowed { allowed: vec![Method::GET, Method::HEAD] });
    }
    let document = match page {
        Page::Missing => return Err(Denial::RouteNotFound),
        Page::Plans => {
            let snapshot = exchange.snapshot();
            pretty(&Offers::of(&snapshot.plans, &snapshot.prices))
        }
        Page::Problem(code) => pretty(&explanation(code, exchange)),
        Page::Usage => pretty(&usage_of_caller(head, exchange).await?),
    };
    let mut response = Response::new(document);
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert("x-request-id", exchange.outward_id());
    Ok(response)
}

/// What a code means and what to do about it.
#[derive(Serialize)]
struct Explanation {
    r#type: String,
    code: &'static str,
    status: u16,
    title: &'static str,
    detail: &'static str,
}

fn explanation(code: Code, exchange: &Exchange) -> Explanation {
    let prefix = &exchange.snapshot().server.reserved_prefix;
    Explanation {
        r#type: problem::problem_url(exchange.base_url(), prefix, code),
        code: code.name(),
        status: code.status().as_u16(),
        title: code.title(),
        detail: code.advice(),
    }
}

fn pretty(document: &impl Serialize) -> Bytes {
    let mut text = serde_json::to_vec_pretty(document).unwrap_or_default();
    text.push(b'\n');
    Bytes::from(text)
}

async fn usage_of_caller(head: &Parts, exchange: &mut Exchange) -> Result<usage::Document, Denial> {
    let caller = authenticate::find_caller(head, exchange)?;
    exchange.note_caller(Some(&caller));
    authenticate::usable(&caller.key, exchange.peer(), exchange.now())?;
    if caller.customer.suspended {
        return Err(Denial::AccountSuspended);
    }
    let customer = &caller.customer;
    usage::refresh(&caller.limits, &caller.accounts, exchange.now()).await;
    Ok(usage::document(customer, &caller.limits, &caller.accounts, exchange.now()))
}
