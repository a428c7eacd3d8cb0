//! The page that monitoring reads.

use axum::{
    extract::State as Shared,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{State, problem::Problem};
use crate::telemetry::metrics::{
    exposition::{self, Format},
    page,
};

/// Shows all metrics. It needs no token, and nothing in it is a customer's.
pub(super) async fn show(Shared(state): Shared<State>, fields: HeaderMap) -> Response {
    let accept = fields.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept);
    let (reading, is_healthy) = (state.keeper.figures(), state.keeper.is_healthy());
    let families = page::gather(&state.gateway, &reading, is_healthy);
    let Ok(text) = exposition::write(families, format) else {
        return Problem::internal().into_response();
    };
    let fields = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.media_type())),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::VARY, HeaderValue::from_static("accept")),
    ];
    (StatusCode::OK, fields, text).into_response()
}
