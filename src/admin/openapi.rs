//! The description of the calls, made from the types that they take and give.

use axum::response::Response;
use http::StatusCode;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use super::{
    adjustments, applications, audit, backup, config_page, credits, customers, enforcement, events,
    explanations, import, keys, ledger, live, log, nodes, operation, report, subscriptions,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Faregate admin API",
        description = "Customers, keys, subscriptions and limits of a running gateway. Errors are \
                       problem documents (RFC 9457). A call is in force on the next request.",
    ),
    paths(
        adjustments::create,
        adjustments::list,
        applications::delete,
        applications::list,
        applications::put,
        applications::show,
        audit::list,
        backup::create,
        config_page::show,
        credits::create,
        credits::list,
        customers::create,
        customers::delete,
        customers::list,
        customers::patch,
        customers::show,
        customers::show_usage,
        enforcement::put,
        enforcement::show,
        events::list,
        events::retry,
        explanations::foresee,
        explanations::show,
        import::create,
        keys::create,
        keys::list,
        keys::patch,
        keys::revoke,
        keys::rotate,
        keys::show,
        ledger::list,
        ledger::verify,
        live::show,
        log::put,
        log::show,
        nodes::forget,
        nodes::list,
        operation::reload,
        report::show,
        subscriptions::cancel,
        subscriptions::put,
        subscriptions::show,
    ),
    modifiers(&Token),
    security(("token" = [])),
)]
struct Description;

/// Says how a caller is known.
struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

/// Gives the description.
pub(super) async fn show() -> Response {
    super::json(StatusCode::OK, &Description::openapi())
}
