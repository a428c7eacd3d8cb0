//! The calls about corrections of what was used.

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
    documents::{AdjustmentDocument, AdjustmentMade, Page},
    page::{self, Paging, Parameters},
    problem::Problem,
};
use crate::provisioning::AdjustmentInput;

/// Corrects what a customer has used of a quota in its present window, or the money that it has: a positive
/// amount gives, a negative one charges.
#[utoipa::path(post, path = "/v1/customers/{id}/adjustments", tag = "usage",
    request_body = AdjustmentInput,
    params(("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe.")),
    responses((status = 201, body = AdjustmentMade), (status = "4XX", body = Problem)))]
pub(super) async fn create(
    Shared(state): Shared<State>,
    Path(customer): Path<String>,
    Body { call, value }: Body<AdjustmentInput>,
) -> Response {
    change(&state, call, StatusCode::CREATED, move |change| {
        Ok(AdjustmentMade::from(change.adjust(&customer, value)?))
    })
    .await
}

/// Lists the corrections of a customer's quotas, the oldest first; those of money stand in the ledger.
#[utoipa::path(get, path = "/v1/customers/{id}/adjustments", tag = "usage",
    params(("id" = String, Path), Paging),
    responses((status = 200, body = Page<AdjustmentDocument>), (status = "4XX", body = Problem)))]
pub(super) async fn list(
    Shared(state): Shared<State>,
    Path(customer): Path<String>,
    Parameters(paging): Parameters<Paging>,
) -> Result<Json<Page<AdjustmentDocument>>, Problem> {
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
            let found = reads.adjustments(&customer, after, limit.saturating_add(1))?;
            let page = Page::of(found, limit, |(sequence, _)| sequence.to_string());
            let Page { items, next } = page;
            let items = items.into_iter().map(|(_, entry)| entry.into()).collect();
            Ok(Json(Page { items, next }))
        })
        .await
}
