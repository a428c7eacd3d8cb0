//! The way out of a request that is not served.

use std::time::Duration;

use http::{header, request::Parts};
use http_body::Body;
use http_body_util::BodyExt;

use crate::{
    answer::problem,
    chain::{Refused, exchange::Exchange, reply::Reply},
    progress::Upload,
    server::http1::{BodyError, ClientBody},
};

/// The largest body that is read for the sake of keeping the connection.
const READ_MAX: u64 = 64 * 1024;

/// How long such a body may take.
const READ_TIME: Duration = Duration::from_millis(500);

/// Deals with a body that nobody wants. A small one is read, so that the connection can be used
/// again; otherwise the connection must close, because what is left of the body would be taken for
/// the next request. Tells whether it must.
pub(super) async fn dispose(body: Option<ClientBody>, head: &Parts, exchange: &Exchange) -> bool {
    let left = match body {
        None => exchange.progress().upload() != Upload::Done,
        Some(body) if body.is_end_stream() => false,
        // To read it would be to ask for it: an upload that waits for a 100 is refused before.
        Some(_) if head.headers.contains_key(header::EXPECT) => true,
        Some(body) if body.size_hint().exact().is_none_or(|size| size > READ_MAX) => true,
        Some(body) => {
            let read = tokio::time::timeout(READ_TIME, read(body)).await;
            !matches!(read, Ok(Ok(())))
        }
    };
    if left {
        exchange.connection().watch.leave_unread();
    }
    left
}

async fn read(mut body: ClientBody) -> Result<(), BodyError> {
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}

/// Makes the answer of a refusal and ends the request.
pub(super) fn answer(refused: Refused, close: bool, mut exchange: Box<Exchange>) -> Reply {
    let code = refused.code();
    let Refused { refusal, ending } = refused;
    let problem = problem::answer(&refusal, &exchange.context());
    exchange.note_head(problem.status);
    exchange.note_code(code);
    exchange.note_sent(problem.body.len());
    exchange.finish(ending);
    Reply::refusal(problem, close)
}
