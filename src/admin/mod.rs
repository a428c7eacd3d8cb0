//! The admin listener: health, usage and reload, for the operator alone.

use std::{net::TcpListener, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Request, State as Shared},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use tokio::sync::watch;

use crate::{
    config::{Report, Secret, Severity},
    gateway::{Gateway, ReloadError},
    journal::Folder,
    model::KeyDigest,
    usage,
    worker::Stop,
};

/// What the admin calls share.
#[derive(Clone, Debug)]
pub struct State {
    gateway: Arc<Gateway>,
    /// Compared as digests, in constant time.
    token: KeyDigest,
    folder: Arc<Folder>,
    stop: watch::Receiver<Stop>,
}

impl State {
    /// Joins what the calls need.
    pub fn new(
        gateway: Arc<Gateway>,
        token: &Secret,
        folder: Arc<Folder>,
        stop: watch::Receiver<Stop>,
    ) -> Self {
        Self { gateway, token: KeyDigest::of(token.expose().as_bytes()), folder, stop }
    }
}

/// Serves the admin listener until its task is ended.
pub async fn serve(listener: TcpListener, state: State) {
    let serving = async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        axum::serve(listener, router(state)).await
    };
    if let Err(error) = serving.await {
        tracing::error!(%error, "the admin listener failed");
    }
}

fn router(state: State) -> Router {
    let guarded = Router::new()
        .route("/v1/customers/{id}/usage", get(customer_usage))
        .route("/v1/reload", post(reload))
        .route_layer(middleware::from_fn_with_state(state.clone(), authorise));
    Router::new()
        .route("/healthz", get(|| async { Json(json!({"status": "ok"})) }))
        .route("/readyz", get(ready))
        .merge(guarded)
        .fallback(|| async {
            problem(StatusCode::NOT_FOUND, "not_found", "There is no such call.")
        })
        .method_not_allowed_fallback(|| async {
            let detail = "The call does not answer this method.";
            problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        })
        .with_state(state)
}

/// Lets through who brings the token.
async fn authorise(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let given = bearer(request.headers());
    if given.is_some_and(|token| KeyDigest::of(token).matches(&state.token)) {
        return next.run(request).await;
    }
    let (code, challenge) = match given {
        None => ("missing_token", "Bearer realm=\"faregate-admin\""),
        Some(_) => ("invalid_token", "Bearer realm=\"faregate-admin\", error=\"invalid_token\""),
    };
    let detail = "Send the admin token as `Authorization: Bearer TOKEN`.";
    let mut response = problem(StatusCode::UNAUTHORIZED, code, detail);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Ready means: it serves, and what it counts reaches the store.
async fn ready(Shared(state): Shared<State>) -> Response {
    if *state.stop.borrow() != Stop::No {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "stopping", "The gateway is stopping.");
    }
    if !state.folder.is_healthy() {
        let detail = "The store cannot be written; see the log.";
        return problem(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail);
    }
    Json(json!({"status": "ready"})).into_response()
}

async fn customer_usage(Shared(state): Shared<State>, Path(id): Path<String>) -> Response {
    let snapshot = state.gateway.snapshot();
    let Some(customer) = snapshot.customer(&id) else {
        let detail = "There is no customer of this id.";
        return problem(StatusCode::NOT_FOUND, "customer_not_found", detail);
    };
    let accounts = state.gateway.ledger().customer(&customer.id);
    let now = state.gateway.clock().now();
    let document = usage::document(customer, &customer.limits, &accounts, now);
    let mut response = Json(document).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Reads the file on a thread that may block, so that health stays answered meanwhile.
async fn reload(Shared(state): Shared<State>) -> Response {
    let gateway = Arc::clone(&state.gateway);
    match tokio::task::spawn_blocking(move || gateway.reload()).await {
        Ok(Ok(())) => Json(json!({"status": "reloaded"})).into_response(),
        Ok(Err(error)) => reload_problem(&error),
        Err(_) => {
            let detail = "The reload failed; the configuration before stays in force.";
            problem(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail)
        }
    }
}

fn reload_problem(error: &ReloadError) -> Response {
    let (status, code, problems) = match error {
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
    respond(status, &body)
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

fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
        "code": code,
    });
    respond(status, &body)
}

fn respond(status: StatusCode, body: &serde_json::Value) -> Response {
    let fields =
        [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
    (status, fields, body.to_string()).into_response()
}
