//! A body that is read before it is decided about its request: what is paid for may be one body and no other.
//!
//! What was read is kept, and goes up as if it had just come.

use std::{future::poll_fn, pin::Pin, task::Poll};

use http_body::Body;

use crate::{
    answer::Denial,
    chain::exchange::Exchange,
    pay::mpp::BodyDigest,
    progress::{Progress, Waiting},
    server::body::{Ahead, BodyError, ClientBody},
};

/// The largest body that is read before it is decided about its request. What is larger has no digest.
pub(super) const AHEAD_MAX: usize = 64 * 1024;

/// Gives the digest of a body, which is kept; `None` where it is larger than what is read. An empty one has a digest too.
pub(super) async fn digest(
    body: &mut Option<ClientBody>,
    exchange: &Exchange,
) -> Result<Option<String>, Denial> {
    let Some(rest) = body.take() else { return Ok(None) };
    let mut ahead = Ahead::new(rest);
    let read = read(&mut ahead, exchange.progress()).await;
    let digest = ahead.is_whole().then(|| {
        let mut digest = BodyDigest::default();
        ahead.pieces().for_each(|piece| digest.add(piece));
        digest.text()
    });
    *body = Some(ClientBody::Ahead(Box::new(ahead)));
    read.map(|()| digest)
}

/// Reads until the end, or until it is too large. Who sends too slowly is cut by the clocks of the request.
async fn read(ahead: &mut Ahead, progress: &Progress) -> Result<(), Denial> {
    progress.set_waiting(Waiting::Client);
    let mut size = 0_usize;
    while size <= AHEAD_MAX {
        let frame = poll_fn(|context| match progress.cut() {
            Some(_) => Poll::Ready(Err(Denial::BodyTooSlow)),
            None => Pin::new(ahead.rest()).poll_frame(context).map(Ok),
        });
        let Some(frame) = frame.await? else {
            ahead.end();
            break;
        };
        let early = |_: BodyError| Denial::InvalidRequest("The request's body ended early.");
        let frame = frame.map_err(early)?;
        size = size.saturating_add(frame.data_ref().map_or(0, |data| data.len()));
        ahead.keep(frame);
    }
    progress.set_waiting(Waiting::Upstream);
    Ok(())
}
