//! The calls about events: which were told by webhook, and those that could not be.

use axum::{
    Json,
    extract::{Path, State as Shared},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    State,
    call::{Call, change},
    documents::{EventDocument, Page},
    page::{self, Parameters},
    problem::Problem,
};
use crate::store::records::DeliveryState;

/// Which events are asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Selection {
    /// Only those in this state: pending, delivered or failed.
    #[param(value_type = Option<String>)]
    state: Option<DeliveryState>,
    /// The `next` of the page before.
    before: Option<u64>,
    /// How many items at most; from 1 to 1000, default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Lists events, the newest first; those that were delivered or given up for 30 days.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(Selection),
    responses((status = 200, body = Page<EventDocument>), (status = "4XX", body = Problem)))]
pub(super) async fn list(
    Shared(state): Shared<State>,
    Parameters(selection): Parameters<Selection>,
) -> Result<Json<Page<EventDocument>>, Problem> {
    let Selection { state: wanted, before, limit } = selection;
    let limit = page::limit(limit)?;
    state
        .read(move |reads, _| {
            let found = reads.deliveries(wanted, before, limit.saturating_add(1))?;
            let found = found.into_iter().map(EventDocument::from).collect();
            Ok(Json(Page::of(found, limit, |event: &EventDocument| event.sequence.to_string())))
        })
        .await
}

/// Sends an event once more that was given up.
#[utoipa::path(post, path = "/v1/events/{id}/retry", tag = "events",
    params(("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe.")),
    responses((status = 200, body = EventDocument), (status = "4XX", body = Problem)))]
pub(super) async fn retry(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    call: Call,
) -> Response {
    change(&state, call, StatusCode::OK, move |change| {
        Ok(EventDocument::from(change.retry_event(&id)?))
    })
    .await
}
