//! Health, and the reload of the configuration.

use std::sync::Arc;

use axum::{
    Json,
    extract::State as Shared,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{State, problem::Problem, respond};
use crate::{
    config::{Report, Severity},
    gateway::ReloadError,
    worker::Stop,
};

/// Alive means: it answers.
pub(super) async fn alive() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

/// Ready means: it serves, and what it counts reaches the store.
pub(super) async fn ready(Shared(state): Shared<State>) -> Response {
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    if *state.stop.borrow() != Stop::No {
        return Problem::new(unavailable, "stopping", "The gateway is stopping.").into_response();
    }
    if !state.keeper.is_healthy() {
        let detail = "The store cannot be written; see the log.";
        return Problem::new(unavailable, "store_unavailable", detail).into_response();
    }
    if !state.node.membership.is_heard() {
        let detail = "The other nodes do not listen to this process; see the log.";
        return Problem::new(unavailable, "node_replaced", detail).into_response();
    }
    if state.gateway.metrics().is_journal_failing() {
        let detail = "The journal cannot be written, so counted routes are refused; see the log.";
        return Problem::new(unavailable, "store_unavailable", detail).into_response();
    }
    Json(json!({"status": "ready"})).into_response()
}

/// Reads the configuration file again, checks it whole and puts it in force; on any mistake nothing
/// changes.
#[utoipa::path(post, path = "/v1/reload", tag = "operation",
    responses((status = 200), (status = "4XX", body = Problem)))]
pub(super) async fn reload(Shared(state): Shared<State>) -> Response {
    let gateway = Arc::clone(&state.gateway);
    // On a thread that may block, so that health stays answered meanwhile.
    match tokio::task::spawn_blocking(move || gateway.reload()).await {
        Ok(Ok(())) => Json(json!({"status": "reloaded"})).into_response(),
        Ok(Err(error)) => reload_problem(&error),
        Err(_) => Problem::internal().into_response(),
    }
}

fn reload_problem(error: &ReloadError) -> Response {
    let (status, code, problems) = match error {
        ReloadError::Conflicts(_) => (StatusCode::CONFLICT, "declared_twice", json!([])),
        ReloadError::Invalid(report) => {
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid_configuration", problems_of(report))
        }
        ReloadError::Unreadable(_) => {
            (StatusCode::UNPROCESSABLE_ENTITY, "unreadable_configuration", json!([]))
        }
        ReloadError::NeedsRestart(_) => (StatusCode::CONFLICT, "needs_restart", json!([])),
        ReloadError::NoFile => (StatusCode::CONFLICT, "no_file", json!([])),
    };
    let body = json!({
        "type": "about:blank",
        "title": "Not reloaded",
        "status": status.as_u16(),
        "detail": error.to_string(),
        "code": code,
        "problems": problems,
    });
    respond(status, "application/problem+json", &body)
}

fn problems_of(report: &Report) -> serde_json::Value {
    let problems = report.problems().iter().map(|problem| {
        let (line, column) = report.position(problem);
        let severity = match problem.severity {
            Severity::Error | Severity::MissingSecret => "error",
            Severity::Warning => "warning",
        };
        json!({
            "severity": severity,
            "line": line,
            "column": column,
            "message": problem.message,
            "help": problem.help,
        })
    });
    problems.collect()
}
