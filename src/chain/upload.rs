//! Whether the request's body may be sent on at all, as far as its head tells.

use std::rc::Rc;

use http_body::Body;

use crate::{
    answer::Denial, chain::exchange::Exchange, server::body::ClientBody, upstream::body::UploadBody,
};

/// Takes the body of a request, unless it says itself that it is too large. This comes before any
/// unit is taken, and before a client that waits for it is told to go on.
pub fn upload(body: &mut Option<ClientBody>, exchange: &Exchange) -> Result<UploadBody, Denial> {
    let max = exchange.snapshot().server.limits.body_bytes;
    if body.as_ref().is_some_and(|body| body.size_hint().lower() > max) {
        return Err(Denial::BodyTooLarge { max });
    }
    // The chain asks once; there is nothing to send for a second time.
    let inner = body.take().ok_or(Denial::InvalidRequest("The body was taken before."))?;
    Ok(UploadBody::new(inner, max, Rc::clone(exchange.progress())))
}
