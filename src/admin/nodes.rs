//! The calls about who shares the store.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State as Shared},
    http::StatusCode,
    response::Response,
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    State,
    call::{Call, change},
    documents::Page,
    problem::Problem,
};
use crate::{
    gateway::Gateway,
    nodes::Membership,
    store::records::{NodeHolds, NodeRecord, NodeState, Reads},
};

/// A process that counts into the store.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct NodeDocument {
    /// Its identifier, which stands in its journal directory.
    id: String,
    /// Whether it is the one that answers.
    this: bool,
    /// Whether it is there: `silent` is a node that did not say that it stops and was not seen for 5 s.
    state: NodeState,
    /// The version of its program.
    #[schema(examples("0.1.0"))]
    version: String,
    /// Since when it runs, or ran.
    started_at: Timestamp,
    /// When it last said that it is there.
    seen_at: Timestamp,
    /// What it has of accounts that all nodes share.
    holds: NodeHolds,
    /// Whether it is the one that does what is done once for all nodes: it sends webhooks, tells what time brings, and keeps
    /// the ledger.
    leads: bool,
}

/// What a gateway knows of itself.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is among those that share the store.
    pub membership: Arc<Membership>,
    /// When it started.
    pub started_at: Timestamp,
}

impl Node {
    fn document(&self, record: NodeRecord) -> NodeDocument {
        let NodeRecord { id, run: _, version, started_at, seen_at, state, holds, leads } = record;
        let this = id == self.membership.node.to_string();
        NodeDocument { id, this, state, version, started_at, seen_at, holds, leads }
    }

    /// Of a store that one process has for itself.
    fn alone(&self, now: Timestamp) -> NodeDocument {
        NodeDocument {
            id: self.membership.node.to_string(),
            this: true,
            state: NodeState::Live,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            seen_at: now,
            holds: NodeHolds::default(),
            leads: true,
        }
    }
}

/// Lists the nodes that share the store. On SQLite there is one, which answers.
#[utoipa::path(get, path = "/v1/nodes", tag = "operation",
    responses((status = 200, body = Page<NodeDocument>), (status = "4XX", body = Problem)))]
pub(super) async fn list(
    Shared(state): Shared<State>,
) -> Result<Json<Page<NodeDocument>>, Problem> {
    let node = state.node.clone();
    let read = move |reads: &dyn Reads, gateway: &Gateway| {
        let mut items: Vec<_> =
            reads.nodes()?.into_iter().map(|record| node.document(record)).collect();
        if items.is_empty() {
            items.push(node.alone(gateway.clock().now()));
        }
        Ok(Page { items, next: None })
    };
    state.read(read).await.map(Json)
}

/// Removes a node that is not live and will not come back. What it held counts as used, for good; what
/// it left in its journal is not counted any more, unless it does come back.
#[utoipa::path(delete, path = "/v1/nodes/{id}", tag = "operation",
    params(("id" = String, Path, description = "the node's identifier")),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(super) async fn forget(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    call: Call,
) -> Response {
    let this = state.node.membership.node.to_string();
    change(&state, call, StatusCode::NO_CONTENT, move |change| change.forget_node(&id, &this)).await
}
