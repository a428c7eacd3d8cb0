//! The operator's switch: whether refusals are enforced.

use axum::{Json, extract::State as Shared, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{State, body::Body, call::change, problem::Problem};

/// Whether refusals are enforced.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(super) struct Enforcement {
    /// False: every request is decided, logged and counted as it would be, and forwarded anyway.
    enforce: bool,
}

/// The switch, to be set.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EnforcementInput {
    /// False: every request is forwarded.
    enforce: bool,
    /// Why; it stands in the audit.
    reason: Option<String>,
}

/// Tells whether refusals are enforced.
#[utoipa::path(get, path = "/v1/enforcement", tag = "operation",
    responses((status = 200, body = Enforcement), (status = "4XX", body = Problem)))]
pub(super) async fn show(Shared(state): Shared<State>) -> Json<Enforcement> {
    Json(Enforcement { enforce: state.gateway.enforcing() })
}

/// Turns enforcement on or off for all routes, at once; it stays so over a restart.
#[utoipa::path(put, path = "/v1/enforcement", tag = "operation", request_body = EnforcementInput,
    responses((status = 200, body = Enforcement), (status = "4XX", body = Problem)))]
pub(super) async fn put(
    Shared(state): Shared<State>,
    Body { call, value }: Body<EnforcementInput>,
) -> Response {
    change(&state, call, StatusCode::OK, move |change| {
        let EnforcementInput { enforce, reason } = value;
        change.set_enforcement(enforce, reason.as_deref())?;
        Ok(Enforcement { enforce })
    })
    .await
}
