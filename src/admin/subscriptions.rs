//! The calls about what a customer holds.

use axum::{
    Json,
    extract::{Path, State as Shared},
    http::StatusCode,
    response::Response,
};

use super::{
    State,
    body::Body,
    call::{Call, change, change_as},
    documents::SubscriptionDocument,
    problem::Problem,
};
use crate::provisioning::SubscriptionInput;

/// Sets what a customer holds. A customer has one subscription: another plan is a change of it. What
/// is left out keeps its stored value, null removes.
#[utoipa::path(put, path = "/v1/customers/{id}/subscription", tag = "subscriptions",
    params(("id" = String, Path)), request_body = SubscriptionInput,
    responses((status = 200, body = SubscriptionDocument),
        (status = 201, body = SubscriptionDocument), (status = "4XX", body = Problem)))]
pub(super) async fn put(
    Shared(state): Shared<State>,
    Path(customer): Path<String>,
    Body { call, value }: Body<SubscriptionInput>,
) -> Response {
    change_as(&state, call, move |change| {
        let (terms, is_new) = change.put_subscription(&customer, &value)?;
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        Ok((status, SubscriptionDocument::of(change.gateway(), &customer, terms)))
    })
    .await
}

/// Gives what a customer holds.
#[utoipa::path(get, path = "/v1/customers/{id}/subscription", tag = "subscriptions",
    params(("id" = String, Path)),
    responses((status = 200, body = SubscriptionDocument), (status = "4XX", body = Problem)))]
pub(super) async fn show(
    Shared(state): Shared<State>,
    Path(customer): Path<String>,
) -> Result<Json<SubscriptionDocument>, Problem> {
    state
        .read(move |reads, gateway| {
            let declared = gateway.snapshot().declared.terms(&customer);
            let held = match &declared {
                Some(terms) => terms.subscription.as_deref().cloned(),
                None => {
                    if reads.customer(&customer)?.is_none() {
                        return Err(Problem::not_found("customer", &customer));
                    }
                    reads.subscription(&customer)?
                }
            };
            let held = held.ok_or_else(|| Problem::not_found("subscription", &customer))?;
            Ok(Json(SubscriptionDocument::of(gateway, &customer, held)))
        })
        .await
}

/// Cancels a subscription at once. To cancel it at a date set `cancel_at`.
#[utoipa::path(delete, path = "/v1/customers/{id}/subscription", tag = "subscriptions",
    params(("id" = String, Path)),
    responses((status = 200, body = SubscriptionDocument), (status = "4XX", body = Problem)))]
pub(super) async fn cancel(
    Shared(state): Shared<State>,
    Path(customer): Path<String>,
    call: Call,
) -> Response {
    change(&state, call, StatusCode::OK, move |change| {
        let terms = change.cancel_subscription(&customer)?;
        Ok(SubscriptionDocument::of(change.gateway(), &customer, terms))
    })
    .await
}
