//! The call that adds up usage, for invoices. It streams: neither the rows nor the answer are ever
//! held whole.

mod format;
mod question;

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::State as Shared,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use tokio::sync::oneshot;

use self::{
    format::{Format, Sheet},
    question::{Question, Report},
};
use super::{State, page::Parameters, pipe, problem::Problem};
use crate::{
    keeper::Keeper,
    store::{Reader, StoreError, records::ReportRow},
};

/// How many bytes of an answer may wait for the client.
const BYTES_MAX: usize = 256 * 1024;

/// A settlement may wait this long in its worker for company; twice the time, to be sure. So who
/// has read an answer finds it in a report.
pub(super) const SETTLED: Duration = Duration::from_millis(20);

/// Adds up what was used from one time to another. It includes everything that was counted before
/// the call.
#[utoipa::path(get, path = "/v1/usage", tag = "usage", params(Question),
    responses((status = 200, description = "Rows in the order of what they are told apart by.",
        content((serde_json::Value = "application/json"), (String = "text/csv"),
            (String = "application/x-ndjson"))),
        (status = "4XX", body = Problem)))]
pub(super) async fn show(
    Shared(state): Shared<State>,
    headers: HeaderMap,
    Parameters(question): Parameters<Question>,
) -> Result<Response, Problem> {
    let report = question.check()?;
    let format = Format::accepted(&headers)?;
    let place = state.gates.report()?;
    tokio::time::sleep(SETTLED).await;
    let (opened, opening) = oneshot::channel();
    let (writer, body) = pipe::pipe(BYTES_MAX, None);
    tokio::task::spawn_blocking(move || {
        let _place = place;
        match open(&state) {
            Ok(reader) => {
                let _ = opened.send(Ok(()));
                write(&*reader, &report, Sheet::new(format, &report, writer));
            }
            Err(error) => {
                let _ = opened.send(Err(error));
            }
        }
    });
    opening.await.unwrap_or_else(|_| Err(Problem::internal()))?;
    let fields = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.media())),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((fields, Body::new(body)).into_response())
}

/// Brings everything that was counted into the store and opens a reader of its own.
fn open(state: &State) -> Result<Box<dyn Reader>, Problem> {
    fold(&state.keeper)?;
    Ok(state.another_reader()?)
}

/// Brings everything that was counted into the store.
pub(super) fn fold(keeper: &Arc<Keeper>) -> Result<(), Problem> {
    keeper.fold_now().map_err(|error| Problem::from(StoreError::new("write to", error)))
}

fn write(reader: &dyn Reader, report: &Report, mut sheet: Sheet) {
    // Who does not take the rows any more ends the reading.
    let mut goes_on = sheet.begin();
    let mut each = |row: ReportRow| {
        goes_on = goes_on && sheet.row(&row);
        goes_on
    };
    match reader.report(&report.range(), &mut each) {
        Ok(()) if goes_on => sheet.end(),
        Ok(()) => {}
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, cause, "a report is cut where it stands");
        }
    }
}
