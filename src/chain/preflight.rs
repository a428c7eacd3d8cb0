//! A browser's question whether a page may make a request: answered here, for no upstream and no meter.
//!
//! It comes behind the look for a route and before everything else, because a browser sends no key with
//! it. It is a question only: the request that it is about passes the whole chain.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header, request::Parts};

use crate::{
    answer::Denial,
    chain::{
        exchange::Exchange,
        pages::Page,
        target::{Host, Target},
    },
    cors,
    model::Methods,
};

/// What a browser is told of a path whose routes take any method.
const USUAL: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// Answers a preflight; `None` when the request is none, or no policy is configured: then it is for the
/// upstream, like any other request.
pub(super) fn answer(
    target: &Target,
    page: Option<Page>,
    head: &Parts,
    exchange: &Exchange,
) -> Option<Result<Response<Bytes>, Denial>> {
    let policy = exchange.snapshot().cors.as_ref().filter(|_| cors::is_preflight(head))?;
    let methods = match methods(target, page, head, exchange) {
        Ok(methods) => methods,
        Err(denial) => return Some(Err(denial)),
    };
    if !policy.allows(&head.headers) {
        return Some(Err(Denial::PageNotAllowed));
    }
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let fields: &mut HeaderMap = response.headers_mut();
    policy.answer_preflight(&methods, fields);
    fields.insert("x-request-id", exchange.request_id_value());
    Some(Ok(response))
}

/// Refuses a WebSocket to a page of another origin: a browser asks for one without a preflight, and lets
/// the page read what comes.
pub(super) fn check_page(head: &Parts, exchange: &Exchange) -> Result<(), Denial> {
    match &exchange.snapshot().cors {
        Some(policy)
            if head.headers.contains_key(header::ORIGIN) && !policy.allows(&head.headers) =>
        {
            Err(Denial::PageNotAllowed)
        }
        _ => Ok(()),
    }
}

/// Lists the methods that some route at the path answers, or the page there.
fn methods(
    target: &Target,
    page: Option<Page>,
    head: &Parts,
    exchange: &Exchange,
) -> Result<Vec<Method>, Denial> {
    match page {
        Some(Page::Missing) => return Err(Denial::RouteNotFound),
        Some(_) => return Ok(vec![Method::GET, Method::HEAD]),
        None => {}
    }
    let host = target.host().map(Host::name);
    match exchange.routes().methods(host, target.path()).ok_or(Denial::RouteNotFound)? {
        Methods::Only(methods) => Ok(methods),
        Methods::Any => {
            let mut methods = USUAL.to_vec();
            methods.extend(cors::asked_method(head).filter(|asked| !USUAL.contains(asked)));
            Ok(methods)
        }
    }
}
