//! The calls that explain: a request that was made, or one that is not.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State as Shared},
    http::{Method, StatusCode},
};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{State, body::Body, problem::Problem};
use crate::{
    chain::forecast::{Question, forecast},
    config::Retention,
    explain::{ExplanationDocument, ForecastDocument},
    gateway::Gateway,
    model::{Methods, Route, duration_text},
    provisioning::FieldError,
    requests::{Archive, Record},
    snapshot::Snapshot,
    store::records::Reads,
};

/// How long to wait for a record that may be on its way to its file, again and again: who has read an
/// answer is told about it, also by a machine that is busy.
const ON_ITS_WAY: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(600),
];

/// A request that came longer ago has its record, or will not have one by waiting.
const ON_ITS_WAY_MAX: Duration = Duration::from_secs(60);

/// How many routes are listed to who names one that there is not.
const LISTED_MAX: usize = 50;

/// Explains a request of the recent past: what was checked in which order, by which numbers it was
/// decided, how it ended and what it was charged.
#[utoipa::path(get, path = "/v1/requests/{id}", tag = "explanations",
    params(("id" = String, Path, description = "The `X-Request-Id` of its answer.")),
    responses((status = 200, body = ExplanationDocument), (status = "4XX", body = Problem)))]
pub(super) async fn show(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
) -> Result<Json<ExplanationDocument>, Problem> {
    let id = Uuid::parse_str(&id).map_err(|_| {
        let detail = "This is no request id. One is a UUID, such as \
                      01a1f967-b540-79ff-9e34-f76908c361dc; answers have it in `X-Request-Id`.";
        Problem::new(StatusCode::BAD_REQUEST, "invalid_request_id", detail)
    })?;
    let mut found = find(&state, id).await?;
    for wait in ON_ITS_WAY {
        if found.is_some() || !is_recent(id, state.gateway.clock().now()) {
            break;
        }
        tokio::time::sleep(wait).await;
        found = find(&state, id).await?;
    }
    match found {
        Some(record) => {
            let id = id.to_string();
            let payment = move |reads: &dyn Reads, _: &Gateway| Ok(reads.payment_by_request(&id)?);
            // Without the store the rest is told all the same.
            let payment = state.read(payment).await.ok().flatten();
            Ok(Json(ExplanationDocument::of(&record).with(payment)))
        }
        None => {
            let (now, retention) =
                (state.gateway.clock().now(), state.gateway.snapshot().retention);
            Err(not_found(id, now, &retention))
        }
    }
}

/// Tells whether a request came in the last minute, by the time that its id begins with.
fn is_recent(id: Uuid, now: Timestamp) -> bool {
    let seconds = id.get_timestamp().map(|at| at.to_unix().0);
    let now = u64::try_from(now.as_second()).unwrap_or(0);
    seconds.is_some_and(|at| now.abs_diff(at) <= ON_ITS_WAY_MAX.as_secs())
}

async fn find(state: &State, id: Uuid) -> Result<Option<Record>, Problem> {
    let archive = Arc::clone(&state.requests);
    match tokio::task::spawn_blocking(move || archive.find(id)).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            tracing::error!(%error, "the records of recent requests cannot be read");
            Err(Problem::internal())
        }
        Err(_) => Err(Problem::internal()),
    }
}

/// Says why there may be nothing about a request.
fn not_found(id: Uuid, now: Timestamp, retention: &Retention) -> Problem {
    let Retention { requests, requests_size: _, entries: _, answers: _ } = retention;
    let kept = duration_text(*requests);
    let since = now.checked_sub(*requests).unwrap_or(Timestamp::MIN);
    let why = match Archive::made_at(id) {
        _ if requests.is_zero() => {
            "Requests are not kept: `retention` in [store] has requests = \"0s\".".to_owned()
        }
        None => "This is no id that a gateway gives to a request.".to_owned(),
        Some(at) if at < since => {
            format!(
                "It came at {at}; requests are kept for {kept}, as `retention` in [store] says."
            )
        }
        Some(_) => format!(
            "Requests are kept for {kept}, and the oldest for less where there are many. It may be in \
             flight still; or its record was lost with a crash, and what it was charged is in the \
             usage all the same."
        ),
    };
    let detail = format!("There is no record of the request `{id}`. {why}");
    Problem::new(StatusCode::NOT_FOUND, "request_not_found", detail)
}

/// A request that is not made.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainInput {
    /// Whose request it would be.
    key_id: String,
    /// The name of the route that would take it.
    route: String,
    /// Its method; left out: GET, or the first that the route answers.
    method: Option<String>,
    /// The address that it would come from; left out, the networks of the key are not looked at.
    #[schema(value_type = Option<String>)]
    address: Option<IpAddr>,
}

/// Tells what would be decided about a request that is not made, now. It takes nothing.
#[utoipa::path(post, path = "/v1/explain", tag = "explanations", request_body = ExplainInput,
    responses((status = 200, body = ForecastDocument), (status = "4XX", body = Problem)))]
pub(super) async fn foresee(
    Shared(state): Shared<State>,
    Body { call: _, value }: Body<ExplainInput>,
) -> Result<Json<ForecastDocument>, Problem> {
    let ExplainInput { key_id, route, method, address } = value;
    let gateway = &state.gateway;
    let snapshot = gateway.snapshot();
    let lookup = gateway.lookup(&snapshot, gateway.clock().now());
    let entry = snapshot.routes.iter().find(|entry| *entry.route.name == *route);
    let entry = entry.ok_or_else(|| no_route(&route, &snapshot))?;
    let method = match method {
        Some(text) => parse_method(&text)?,
        None => usual_method(&entry.route),
    };
    let caller = lookup.caller_by_id(&key_id).ok_or_else(|| Problem::not_found("key", &key_id))?;
    let question = Question {
        route: &entry.route,
        method: &method,
        caller: &caller,
        address,
        enforcing: gateway.enforcing(),
        lookup,
    };
    Ok(Json(ForecastDocument::of(&question, &forecast(&question))))
}

fn no_route(name: &str, snapshot: &Snapshot) -> Problem {
    let mut names: Vec<&str> = snapshot.routes.iter().map(|entry| &*entry.route.name).collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(LISTED_MAX);
    names.truncate(LISTED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let detail = format!("There is no route `{name}`. There are: {}{more}.", names.join(", "));
    Problem::new(StatusCode::NOT_FOUND, "route_not_found", detail)
}

fn parse_method(text: &str) -> Result<Method, Problem> {
    Method::from_bytes(text.as_bytes()).map_err(|_| {
        let message = "a method is a word such as GET or POST".to_owned();
        Problem::fields(vec![FieldError { field: "method".to_owned(), message }])
    })
}

fn usual_method(route: &Route) -> Method {
    match &route.methods {
        Methods::Only(methods) if !methods.contains(&Method::GET) => {
            methods.first().cloned().unwrap_or(Method::GET)
        }
        Methods::Any | Methods::Only(_) => Method::GET,
    }
}
