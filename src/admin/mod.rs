//! The admin listener: health, and everything that the operator reads and changes.
//!
//! Reading goes to a connection of its own and changes go to the store's thread, so that neither is
//! on the path of a request.

mod access;
mod adjustments;
mod applications;
mod audit;
mod backup;
mod body;
mod call;
mod config_page;
mod credits;
mod customers;
mod documents;
mod enforcement;
mod events;
mod explanations;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod gate;
mod import;
mod keys;
mod ledger;
mod live;
mod log;
mod metrics;
mod nodes;
mod openapi;
mod operation;
mod page;
mod pipe;
mod problem;
mod report;
mod subscriptions;
pub mod token;

use std::{
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{delete, get, patch, post, put},
};
use serde::Serialize;
use tokio::sync::watch;

pub use self::nodes::Node;
use self::{access::Tokens, call::Recent, gate::Gates, problem::Problem};
use crate::{
    config::Secret,
    gateway::Gateway,
    keeper::Keeper,
    live::Live,
    requests::Archive,
    store::{Database, Reader, StoreError, records::Reads},
    worker::Stop,
};

/// What the admin calls share.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "it holds tokens and a connection")]
pub struct State {
    gateway: Arc<Gateway>,
    tokens: Tokens,
    /// Names beside addresses and `localhost` by which the listener may be called.
    hosts: Arc<[String]>,
    keeper: Arc<Keeper>,
    /// One is enough for people and their scripts; what takes long has one of its own.
    reader: Arc<Mutex<Box<dyn Reader>>>,
    recent: Arc<Recent>,
    gates: Gates,
    live: Arc<Live>,
    /// Where the database is: a copy of it is made beside it.
    database: Arc<Database>,
    requests: Arc<Archive>,
    node: Node,
    stop: watch::Receiver<Stop>,
}

/// What the calls are made with.
#[expect(missing_debug_implementations, reason = "it holds tokens and a connection")]
pub struct Parts<'a> {
    /// What all threads share.
    pub gateway: Arc<Gateway>,
    /// The token that permits everything.
    pub token: &'a Secret,
    /// The token that permits reading.
    pub read_token: Option<&'a Secret>,
    /// Further names of the listener.
    pub hosts: &'a [String],
    /// The store's thread.
    pub keeper: Arc<Keeper>,
    /// A connection for reading.
    pub reader: Box<dyn Reader>,
    /// Where the database is.
    pub database: &'a Database,
    /// The records of recent requests.
    pub requests: Archive,
    /// What this gateway is among those that share the store.
    pub node: Node,
    /// The signal to stop.
    pub stop: watch::Receiver<Stop>,
}

impl State {
    /// Joins what the calls need.
    pub fn new(parts: Parts<'_>) -> Self {
        let Parts {
            gateway,
            token,
            read_token,
            hosts,
            keeper,
            reader,
            database,
            requests,
            node,
            stop,
        } = parts;
        Self {
            gateway,
            tokens: Tokens::new(token, read_token),
            hosts: hosts.into(),
            keeper,
            reader: Arc::new(Mutex::new(reader)),
            recent: Arc::default(),
            gates: Gates::default(),
            live: Arc::default(),
            database: Arc::new(database.clone()),
            requests: Arc::new(requests),
            node,
            stop,
        }
    }

    /// Reads from the store on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Reads, &Gateway) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (reader, gateway) = (Arc::clone(&self.reader), Arc::clone(&self.gateway));
        let reading = tokio::task::spawn_blocking(move || {
            // A panic while it was held left a connection that is in no transaction.
            let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            let reads: &dyn Reads = &**reader;
            work(reads, &gateway)
        });
        reading.await.unwrap_or_else(|_| Err(Problem::internal()))
    }

    /// Opens a connection for a reading that takes long. It blocks.
    fn another_reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).another()
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
    Router::new()
        .route("/healthz", get(operation::alive))
        .route("/readyz", get(operation::ready))
        .route("/metrics", get(metrics::show))
        .merge(guarded(&state))
        .fallback(|| async {
            Problem::new(StatusCode::NOT_FOUND, "not_found", "There is no such call.")
        })
        .method_not_allowed_fallback(|| async {
            let detail = "The call does not answer this method.";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        })
        // The bodies are bounded where they are read, with a better answer.
        .layer(DefaultBodyLimit::disable())
        .with_state(state)
}

/// The calls that need a token.
fn guarded(state: &State) -> Router<State> {
    let customer = get(customers::show).patch(customers::patch).delete(customers::delete);
    let subscription = put(subscriptions::put).get(subscriptions::show);
    let application = put(applications::put).get(applications::show).delete(applications::delete);
    Router::new()
        .route("/v1/customers", post(customers::create).get(customers::list))
        .route("/v1/customers/{id}", customer)
        .route("/v1/customers/{id}/usage", get(customers::show_usage))
        .route("/v1/customers/{id}/keys", post(keys::create).get(keys::list))
        .route("/v1/customers/{id}/applications", get(applications::list))
        .route("/v1/customers/{id}/applications/{name}", application)
        .route("/v1/customers/{id}/subscription", subscription.delete(subscriptions::cancel))
        .route("/v1/customers/{id}/adjustments", post(adjustments::create).get(adjustments::list))
        .route("/v1/customers/{id}/credits", post(credits::create).get(credits::list))
        .route("/v1/customers/{id}/ledger", get(ledger::list))
        .route("/v1/verify", post(ledger::verify))
        .route("/v1/keys/{id}", patch(keys::patch).get(keys::show).delete(keys::revoke))
        .route("/v1/keys/{id}/rotate", post(keys::rotate))
        .route("/v1/audit", get(audit::list))
        .route("/v1/events", get(events::list))
        .route("/v1/events/{id}/retry", post(events::retry))
        .route("/v1/requests/{id}", get(explanations::show))
        .route("/v1/explain", post(explanations::foresee))
        .route("/v1/live", get(live::show))
        .route("/v1/nodes", get(nodes::list))
        .route("/v1/nodes/{id}", delete(nodes::forget))
        .route("/v1/enforcement", put(enforcement::put).get(enforcement::show))
        .route("/v1/log", put(log::put).get(log::show))
        .route("/v1/backup", post(backup::create))
        .route("/v1/config", get(config_page::show))
        .route("/v1/import", post(import::create))
        .route("/v1/usage", get(report::show))
        .route("/v1/reload", post(operation::reload))
        .route("/openapi.json", get(openapi::show))
        .route_layer(middleware::from_fn_with_state(state.clone(), access::authorise))
}

/// Answers with a JSON document.
fn json(status: StatusCode, body: &impl Serialize) -> Response {
    respond(status, "application/json", body)
}

fn respond(status: StatusCode, media: &'static str, body: &impl Serialize) -> Response {
    let Ok(body) = serde_json::to_vec(body) else { return Problem::internal().into_response() };
    let fields = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, fields, body).into_response()
}
