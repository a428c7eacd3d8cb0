//! The call that shows the gateway as it is at this moment.

use axum::{
    extract::State as Shared,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{State, problem::Problem};
use crate::live::Document;

/// Shows the gateway at this moment: what it counted since the start, of which two answers give rates,
/// and its present levels.
#[utoipa::path(get, path = "/v1/live", tag = "operation",
    responses((status = 200, body = Document), (status = "4XX", body = Problem)))]
pub(super) async fn show(Shared(state): Shared<State>) -> Response {
    let State { gateway, keeper, live, node, .. } = state;
    // It looks at many customers: on a thread that may block.
    let made = tokio::task::spawn_blocking(move || {
        live.document(&gateway, node.started_at, &keeper.figures(), keeper.is_healthy())
    });
    match made.await {
        Ok(document) => super::json(StatusCode::OK, &document),
        Err(_) => Problem::internal().into_response(),
    }
}
