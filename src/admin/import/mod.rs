//! The call that makes customers and keys in bulk. Lines come in while their results go out, so
//! that no import is too long.
//!
//! Three go hand in hand: a thread that reads lines and gives each to the store's thread as a change
//! of its own, the store's thread, and a thread that tells the results in the order of the lines.
//! What is between them is bounded, so whoever is slow slows the others; but results may pile up for
//! a client that sends everything before it reads anything.

mod csv;
mod draft;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod given;
mod json;
mod lines;
mod results;
mod upload;

use std::sync::{
    Arc, Mutex, PoisonError,
    mpsc::{self, Receiver, SyncSender},
};

use axum::{
    body::Body,
    extract::{Request, State as Shared},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::sync::oneshot;

use self::{
    given::Given,
    lines::{Form, Lines, Record},
    results::{Answer, Pending, Results},
    upload::{End, Upload},
};
use super::{
    State,
    call::Call,
    pipe::{self, Lost},
    problem::Problem,
};
use crate::{
    gateway::Gateway,
    keeper::Keeper,
    provisioning::{Change, ImportLine, Imported, Rejection},
    store::records::Records,
};

/// How many lines are with the store's thread at once: more than it takes into one transaction, so
/// that the next ones wait there when it is done, and so few that two imports leave room for others.
const IN_FLIGHT_MAX: usize = 384;

/// How many bytes of results may wait for the client.
const RESULTS_MAX: usize = 64 << 20;

/// How many bytes of a refused import are taken, so that a client that sends everything before it
/// reads anything learns why.
const REFUSED_MAX: usize = 64 << 20;

/// Makes what each line says so: customers, what they hold, and their keys. The lines are CSV with
/// a first line that names the columns, or JSON documents with the same names; there is no limit
/// to their number. The answer has a line for each, in their order, and a summary at the end. To
/// repeat an import changes nothing.
#[utoipa::path(post, path = "/v1/import", tag = "customers",
    request_body(content((String = "text/csv"), (ImportLine = "application/x-ndjson"))),
    responses((status = 200, description = "A JSON document on each line.",
        content((serde_json::Value = "application/x-ndjson"))),
        (status = "4XX", body = Problem)))]
pub(super) async fn create(
    Shared(state): Shared<State>,
    request: Request,
) -> Result<Response, Problem> {
    let place = state.gates.import()?;
    let (head, body) = request.into_parts();
    let actor = Call::of(&head, &[])?.into_actor();
    let form = form(&head.headers)?;
    let (writer, answer) = pipe::pipe(RESULTS_MAX, None);
    let (given, results) = mpsc::sync_channel(IN_FLIGHT_MAX);
    let (opened, opening) = oneshot::channel();
    let upload = Upload::start(body);
    let importer = Importer {
        gateway: Arc::clone(&state.gateway),
        keeper: Arc::clone(&state.keeper),
        actor: actor.into(),
        given: Arc::default(),
    };
    tokio::task::spawn_blocking(move || match Lines::open(upload, form) {
        Ok(lines) => {
            let _ = opened.send(Ok(()));
            importer.submit_all(lines, &given);
        }
        Err((errors, upload)) => {
            let _ = opened.send(Err(Problem::fields(errors)));
            pass_by(upload);
        }
    });
    opening.await.unwrap_or_else(|_| Err(Problem::internal()))?;
    tokio::task::spawn_blocking(move || {
        let _place = place;
        tell_all(&results, Results::new(writer));
    });
    let fields = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((fields, Body::new(answer)).into_response())
}

/// Gives the form that the request says its body has.
fn form(headers: &HeaderMap) -> Result<Option<Form>, Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if text(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        let detail = "Send the import as it is, without a Content-Encoding.";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(status, "unsupported_media_type", detail));
    }
    let media = text(header::CONTENT_TYPE).and_then(|media| media.split(';').next());
    Ok(match media.unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "text/csv" => Some(Form::Csv),
        "application/json" | "application/jsonl" | "application/x-ndjson" => Some(Form::Json),
        // Such as what curl sends with `--data-binary`: the beginning tells.
        _ => None,
    })
}

fn pass_by(mut upload: Upload) {
    let mut left = REFUSED_MAX;
    loop {
        let count = upload.peek().len();
        if count == 0 || count > left {
            return;
        }
        left -= count;
        upload.consume(count);
    }
}

/// What the changes of an import share.
struct Importer {
    gateway: Arc<Gateway>,
    keeper: Arc<Keeper>,
    actor: Arc<str>,
    /// Only the store's thread has it, line after line.
    given: Arc<Mutex<Given>>,
}

impl Importer {
    /// Gives each line to the store's thread, until there are no more or nobody wants the results.
    fn submit_all(&self, mut lines: Lines, results: &SyncSender<Told>) {
        while let Some(Record { line, customer, parsed }) = lines.next() {
            let pending = match parsed {
                Ok(parsed) => self.submit(line, parsed),
                Err(error) => Pending::Bad(error),
            };
            let answer = Answer { line, customer, pending };
            if results.send(Told::Line(answer)).is_err() {
                return;
            }
        }
        // Nobody listens any more when the client has left.
        let _ = results.send(Told::End(lines.end()));
    }

    fn submit(&self, number: u64, line: ImportLine) -> Pending {
        let (gateway, actor) = (Arc::clone(&self.gateway), Arc::clone(&self.actor));
        let given = Arc::clone(&self.given);
        let work = move |records: &mut dyn Records| -> Result<_, Rejection> {
            // A panic while it was held left plain values behind.
            let mut given = given.lock().unwrap_or_else(PoisonError::into_inner);
            given.check(&line)?;
            let mut change = Change::new(records, &gateway, &actor);
            let imported: Imported = change.import(line.clone())?;
            let applied = change.finish()?;
            given.keep(number, &line);
            Ok((imported, applied))
        };
        let gateway = Arc::clone(&self.gateway);
        let after = move |(_, applied): &(_, crate::provisioning::Applied)| applied.apply(&gateway);
        Pending::Asked(self.keeper.submit(work, after))
    }
}

/// What the thread that reads says to the one that tells results.
enum Told {
    Line(Answer),
    End(End),
}

/// Tells all results. Where the reading thread ends without an end, the answer is cut.
fn tell_all(lines: &Receiver<Told>, mut results: Results) {
    for told in lines {
        match told {
            Told::Line(answer) => match results.tell(answer) {
                Ok(()) => {}
                Err(Lost::Gone) => return,
                Err(Lost::Idle) => {
                    return results.finish(End::Broken("the results were not read for 60 s"));
                }
            },
            Told::End(end) => return results.finish(end),
        }
    }
}
