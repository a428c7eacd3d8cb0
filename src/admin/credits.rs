//! The calls about customers' money.

use axum::{
    Json,
    extract::{Path, State as Shared},
    http::StatusCode,
    response::Response,
};

use super::{
    State,
    body::Body,
    call::change,
    documents::{GrantDocument, Page},
    page::{self, Paging, Parameters},
    problem::Problem,
};
use crate::provisioning::GrantInput;

/// Gives money to a customer. What the customer owes is repaid from it first.
#[utoipa::path(post, path = "/v1/customers/{id}/credits", tag = "credits",
    request_body = GrantInput,
    params(("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe.")),
    responses((status = 201, body = GrantDocument), (status = "4XX", body = Problem)))]
pub(super) async fn create(
    Shared(state): Shared<State>,
    Path(customer): Path<String>,
    Body { call, value }: Body<GrantInput>,
) -> Response {
    change(&state, call, StatusCode::CREATED, move |change| {
        Ok(GrantDocument::from(change.grant(&customer, value)?))
    })
    .await
}

/// Lists a customer's grants, the oldest first.
#[utoipa::path(get, path = "/v1/customers/{id}/credits", tag = "credits",
    params(("id" = String, Path), Paging),
    responses((status = 200, body = Page<GrantDocument>), (status = "4XX", body = Problem)))]
pub(super) async fn list(
    Shared(state): Shared<State>,
    Path(customer): Path<String>,
    Parameters(paging): Parameters<Paging>,
) -> Result<Json<Page<GrantDocument>>, Problem> {
    let limit = paging.limit()?;
    let cursor = |after: &str| {
        after.parse::<u64>().map_err(|_| page::bad_query("after: write the `next` of a page"))
    };
    let after = paging.after().map(cursor).transpose()?;
    state
        .read(move |reads, gateway| {
            let is_declared = gateway.snapshot().declared.has_customer(&customer);
            if !is_declared && reads.customer(&customer)?.is_none() {
                return Err(Problem::not_found("customer", &customer));
            }
            let found = reads.grants(&customer, after, limit.saturating_add(1))?;
            let Page { items, next } = Page::of(found, limit, |grant| grant.number.to_string());
            Ok(Json(Page { items: items.into_iter().map(GrantDocument::from).collect(), next }))
        })
        .await
}
