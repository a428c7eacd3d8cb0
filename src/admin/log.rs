//! The level of the gateway's own messages.

use axum::{Json, extract::State as Shared, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{State, body::Body, call::change, problem::Problem};

/// Which of the gateway's own messages are written.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Log {
    /// The level in force.
    #[schema(examples("info,faregate::journal=debug"))]
    level: String,
    /// The level that the configuration file has.
    configured: String,
}

/// The level, to be set.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogInput {
    /// A level, or levels by module.
    #[schema(examples("debug"))]
    level: String,
    /// Why; it stands in the audit.
    reason: Option<String>,
}

/// Tells the level of the gateway's own messages.
#[utoipa::path(get, path = "/v1/log", tag = "operation",
    responses((status = 200, body = Log), (status = "4XX", body = Problem)))]
pub(super) async fn show(Shared(state): Shared<State>) -> Json<Log> {
    let handle = state.gateway.level();
    Json(Log { level: handle.current().to_string(), configured: handle.configured().to_string() })
}

/// Sets the level of the gateway's own messages at once, until a restart or until the file has another
/// level.
#[utoipa::path(put, path = "/v1/log", tag = "operation", request_body = LogInput,
    responses((status = 200, body = Log), (status = "4XX", body = Problem)))]
pub(super) async fn put(
    Shared(state): Shared<State>,
    Body { call, value }: Body<LogInput>,
) -> Response {
    change(&state, call, StatusCode::OK, move |change| {
        let LogInput { level, reason } = value;
        let level = change.set_level(&level, reason.as_deref())?;
        let configured = change.gateway().level().configured();
        Ok(Log { level: level.to_string(), configured: configured.to_string() })
    })
    .await
}
