//! The call that tells who shares the store.

use axum::{Json, extract::State as Shared};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{State, documents::Page, problem::Problem};
use crate::store::NodeId;

/// A process that counts into the store.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct NodeDocument {
    /// Its identifier, which stands in its journal directory.
    id: String,
    /// Whether it is the one that answers.
    this: bool,
    /// The version of its program.
    #[schema(examples("0.1.0"))]
    version: &'static str,
    /// Since when it runs.
    started_at: Timestamp,
}

/// What a gateway knows of itself.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// The owner of the journal directory.
    pub id: NodeId,
    /// When it started.
    pub started_at: Timestamp,
}

/// Lists the nodes that share the store. On SQLite there is one, which answers.
#[utoipa::path(get, path = "/v1/nodes", tag = "operation",
    responses((status = 200, body = Page<NodeDocument>), (status = "4XX", body = Problem)))]
pub(super) async fn list(Shared(state): Shared<State>) -> Json<Page<NodeDocument>> {
    let Node { id, started_at } = state.node;
    let version = env!("CARGO_PKG_VERSION");
    let this = NodeDocument { id: id.to_string(), this: true, version, started_at };
    Json(Page { items: vec![this], next: None })
}
