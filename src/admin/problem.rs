//! What goes wrong in a call, as a problem document (RFC 9457).

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    provisioning::{FieldError, Rejection},
    store::StoreError,
};

/// A problem document.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// What kind of problem it is; the code tells more.
    #[schema(examples("about:blank"))]
    r#type: &'static str,
    /// The status in words.
    title: String,
    /// The status.
    status: u16,
    /// What happened, and what to do about it.
    detail: String,
    /// The kind of problem in a word that programs can rely on.
    #[schema(examples("customer_not_found"))]
    code: &'static str,
    /// The fields that are wrong, each with what to write.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
}

impl Problem {
    /// Makes a problem.
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            errors: Vec::new(),
        }
    }

    /// Makes the problem of fields that are wrong.
    pub(super) fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [error] => format!("{error}."),
            _ => format!("{} fields are not valid; see `errors`.", errors.len()),
        };
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self { errors, ..Self::new(status, "invalid_request_body", detail) }
    }

    /// Makes the problem of something that is not there.
    pub(super) fn not_found(noun: &'static str, id: &str) -> Self {
        Rejection::NotFound { noun, id: id.to_owned() }.into()
    }

    /// Makes the problem of a failure of ours that is in the log.
    pub(super) fn internal() -> Self {
        let detail = "The call failed; the log tells why. Nothing was changed.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail)
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let sentence = |text: String| {
            let mut chars = text.chars();
            let first = chars.next().map(|c| c.to_ascii_uppercase());
            format!("{}{}.", first.into_iter().collect::<String>(), chars.as_str())
        };
        let detail = sentence(rejection.to_string());
        match rejection {
            Rejection::AlreadyExists(_) => {
                Self::new(StatusCode::CONFLICT, "already_exists", detail)
            }
            Rejection::DeclaredInFile(_) => {
                Self::new(StatusCode::CONFLICT, "declared_in_file", detail)
            }
            Rejection::Invalid(errors) => Self::fields(errors),
            Rejection::NodeIsLive(_) => Self::new(StatusCode::CONFLICT, "node_live", detail),
            Rejection::NodeHolds(_) => Self::new(StatusCode::CONFLICT, "node_holds", detail),
            Rejection::NotFailed(_) => Self::new(StatusCode::CONFLICT, "not_failed", detail),
            Rejection::NotFound { noun, .. } => {
                let code = match noun {
                    "application" => "application_not_found",
                    "customer" => "customer_not_found",
                    "event" => "event_not_found",
                    "key" => "key_not_found",
                    "node" => "node_not_found",
                    "subscription" => "subscription_not_found",
                    _ => "not_found",
                };
                Self::new(StatusCode::NOT_FOUND, code, detail)
            }
            Rejection::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(%error, cause, "an admin call failed");
        let detail = "The store cannot be read or written now; nothing was changed. Try again.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let fields = [
            (header::CONTENT_TYPE, "application/problem+json"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, fields, body).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let soon = header::HeaderValue::from_static("5");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
        response
    }
}
