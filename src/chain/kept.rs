//! The answer of a request that was paid for before: who sends the same request with the same payment gets it again.

use std::{future::poll_fn, pin::pin, time::Duration};

use http::StatusCode;
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::{
    answer::{Denial, Fault, Refusal},
    chain::{
        exchange::Exchange,
        forward::unless_cut,
        reply::Reply,
        settle::{self, AnswerBody},
    },
    http1::Fields,
    pay::{Copied, Print},
    progress::{Progress, Upload},
    store::records::AnswerRecord,
    upstream::{
        body::{UploadBody, UploadError},
        lane::Lane,
    },
};

/// An answer that was paid for, perhaps of this very request.
#[derive(Debug)]
pub struct Kept {
    pub(super) answer: AnswerRecord,
    /// What this request is known by; `None` where answers are not kept any more.
    pub(super) print: Option<Print>,
    /// The refusal of another request.
    pub(super) otherwise: Denial,
}

/// Sees to it that an answer is of this very request, whose body is read for that and goes nowhere.
pub(super) async fn same(
    kept: Kept,
    upload: &mut UploadBody,
    progress: &Progress,
) -> Result<Box<AnswerRecord>, Refusal> {
    let Kept { answer, print, otherwise } = kept;
    let Some(print) = print else { return Err(otherwise.into()) };
    upload.follow(print.clone());
    let read = async {
        while let Some(frame) = upload.frame().await {
            frame?;
        }
        Ok(())
    };
    match unless_cut(pin!(read), progress).await {
        Some(Ok(())) if print.digest() == answer.request => Ok(Box::new(answer)),
        Some(Ok(())) => Err(otherwise.into()),
        Some(Err(UploadError::TooLarge)) => Err(Denial::BodyTooLarge { max: upload.max() }.into()),
        Some(Err(UploadError::Broken(_))) => {
            Err(Denial::InvalidRequest("The request's body ended early.").into())
        }
        None if progress.upload() == Upload::Open => Err(Denial::BodyTooSlow.into()),
        None => Err(Fault::Overloaded.into()),
    }
}

/// How long an answer may take whose caller did not wait for it.
const READ_ON: Duration = Duration::from_secs(10);

/// Reads the rest of an answer whose request is over, and keeps it.
pub(super) fn read_on(mut copied: Box<Copied>, mut lane: Lane) {
    tokio::task::spawn_local(timeout(READ_ON, async move {
        while !lane.is_body_over() {
            let Some(frame) = poll_fn(|context| lane.poll_body(context)).await else { break };
            let Ok(frame) = frame else { return };
            let Some(data) = frame.data_ref() else { return };
            let Some(longer) = copied.with(data) else { return };
            copied = longer;
        }
        copied.keep();
    }));
}

/// Makes the answer, and ends the request: nothing is charged for it once more.
pub(super) fn reply(answer: AnswerRecord, mut exchange: Box<Exchange>) -> Reply {
    let AnswerRecord { payment: _, request: _, status, fields, length, body, until: _ } = answer;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut fields = Fields { lines: fields, has_date: false, length };
    fields.has_date = fields.find("date").is_some();
    if exchange.snapshot().cors.is_some() {
        crate::cors::drop_said(&mut fields);
    }
    settle::tell_free(&mut fields, &exchange);
    exchange.note_head(status);
    exchange.note_sent(body.len());
    exchange.finish_own_page();
    Reply { status, fields, closes: false, body: AnswerBody::own(body.into()) }
}
