//! The way out of a request that is not served.

use std::time::Duration;

use http::{Method, StatusCode, header, request::Parts};
use http_body::Body;
use http_body_util::BodyExt;

use crate::{
    answer::{Code, Ending, grpc, page, problem},
    chain::{Refused, ahead::AHEAD_MAX, arrival::Arrival, exchange::Exchange, reply::Reply},
    pay::mpp::BodyDigest,
    progress::Upload,
    requests::Entry,
    server::body::{BodyError, ClientBody},
    worker::Worker,
};

/// The largest body that is read for the sake of keeping the connection. Of what was read the digest can be told.
const READ_MAX: u64 = AHEAD_MAX as u64;

/// How long such a body may take.
const READ_TIME: Duration = Duration::from_millis(500);

/// Deals with a body that nobody wants. A small one is read, so that the connection can be used
/// again; otherwise the connection must close, because what is left of the body would be taken for
/// the next request. Tells whether it must.
///
/// Where the request can be paid for, what is paid for is the body that was read.
pub(super) async fn dispose(
    body: Option<ClientBody>,
    head: &Parts,
    exchange: &mut Exchange,
) -> bool {
    let left = match body {
        // What follows was meant for a tunnel, by somebody who may have chosen it to be a request (RFC 9931).
        _ if head.method == Method::CONNECT => true,
        None => exchange.progress().upload() != Upload::Done,
        Some(body) if body.is_end_stream() => false,
        // Who is cut is waited for no longer.
        Some(_) if exchange.progress().cut().is_some() => true,
        // To read it would be to ask for it: an upload that waits for a 100 is refused before.
        Some(_) if head.headers.contains_key(header::EXPECT) => true,
        Some(body) if body.size_hint().exact().is_none_or(|size| size > READ_MAX) => true,
        Some(body) => {
            let mut digest = exchange.wants_digest().then(BodyDigest::default);
            let read = tokio::time::timeout(READ_TIME, read(body, digest.as_mut())).await;
            let is_read = matches!(read, Ok(Ok(())));
            if let Some(digest) = digest.filter(|_| is_read) {
                exchange.note_digest(Some(digest.text()));
            }
            !is_read
        }
    };
    if left {
        exchange.connection().watch.leave_unread();
    }
    left
}

async fn read(mut body: ClientBody, mut digest: Option<&mut BodyDigest>) -> Result<(), BodyError> {
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        if let (Some(digest), Some(piece)) = (&mut digest, frame.data_ref()) {
            digest.add(piece);
        }
    }
    Ok(())
}

/// Keeps what explains a request that could not be read, and so was no exchange.
pub fn keep_unread(worker: &Worker, arrival: &Arrival, code: Code, status: StatusCode) {
    if worker.snapshot().snapshot().retention.requests.is_zero() {
        return;
    }
    let entry = Entry {
        id: arrival.request_id,
        at: arrival.now,
        method: None,
        route: 0,
        caller: 0,
        status: status.as_u16(),
        code: Some(code.name()),
        shadow: None,
        ending: Some(Ending::Refused),
        charged: 0,
        credit: None,
        duration: arrival.started.elapsed(),
        decided: &[],
    };
    worker.requests().push(&entry, || None, || None);
}

/// Makes the answer of a refusal and ends the request.
pub(super) fn answer(
    refused: Refused,
    close: bool,
    head: &Parts,
    mut exchange: Box<Exchange>,
) -> Reply {
    let code = refused.code();
    let Refused { refusal, ending } = refused;
    let mut problem = problem::answer(&refusal, &exchange.context());
    if let Some(form) = exchange.grpc() {
        problem = grpc::refusal(form, &refusal, problem);
    } else {
        problem = page::instead(problem, &refusal, &exchange.context(), &head.headers);
    }
    exchange.note_head(problem.status);
    exchange.note_code(code);
    exchange.note_sent(problem.body.len());
    exchange.finish(ending);
    Reply::refusal(problem, close)
}
