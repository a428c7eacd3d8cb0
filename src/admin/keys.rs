//! The calls about keys.

use axum::{
    Json,
    extract::{Path, State as Shared},
    http::StatusCode,
    response::Response,
};

use super::{
    State,
    body::Body,
    call::{Call, change},
    documents::{KeyDocument, Page},
    page::{Paging, Parameters},
    problem::Problem,
};
use crate::provisioning::{KeyPatch, NewKey, RotateInput};

/// Makes a key, and tells it this once.
#[utoipa::path(post, path = "/v1/customers/{id}/keys", tag = "keys", request_body = NewKey,
    params(("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe.")),
    responses((status = 201, body = KeyDocument), (status = "4XX", body = Problem)))]
pub(super) async fn create(
    Shared(state): Shared<State>,
    Path(customer): Path<String>,
    Body { call, value }: Body<NewKey>,
) -> Response {
    change(&state, call, StatusCode::CREATED, move |change| {
        Ok(KeyDocument::from(change.create_key(&customer, value)?))
    })
    .await
}

/// Lists a customer's keys by id.
#[utoipa::path(get, path = "/v1/customers/{id}/keys", tag = "keys",
    params(("id" = String, Path), Paging),
    responses((status = 200, body = Page<KeyDocument>), (status = "4XX", body = Problem)))]
pub(super) async fn list(
    Shared(state): Shared<State>,
    Path(customer): Path<String>,
    Parameters(paging): Parameters<Paging>,
) -> Result<Json<Page<KeyDocument>>, Problem> {
    let limit = paging.limit()?;
    state
        .read(move |reads, gateway| {
            let snapshot = gateway.snapshot();
            let mut found = Vec::new();
            if snapshot.declared.has_customer(&customer) {
                for key in snapshot.declared.api_keys_of(&customer) {
                    if paging.after().is_none_or(|after| &*key.id > after) {
                        found.push(KeyDocument::declared(
                            key,
                            reads.last_used(&key.customer, &key.id)?,
                        ));
                    }
                }
            } else {
                if reads.customer(&customer)?.is_none() {
                    return Err(Problem::not_found("customer", &customer));
                }
                let keys = reads.keys_of(&customer, paging.after(), limit.saturating_add(1))?;
                found.extend(keys.into_iter().map(KeyDocument::from));
            }
            found.sort_by(|a, b| a.id.cmp(&b.id));
            Ok(Json(Page::of(found, limit, |key| key.id.clone())))
        })
        .await
}

/// Gives a key.
#[utoipa::path(get, path = "/v1/keys/{id}", tag = "keys", params(("id" = String, Path)),
    responses((status = 200, body = KeyDocument), (status = "4XX", body = Problem)))]
pub(super) async fn show(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
) -> Result<Json<KeyDocument>, Problem> {
    state
        .read(move |reads, gateway| {
            if let Some(key) = gateway.snapshot().declared.api_key(&id) {
                return Ok(Json(KeyDocument::declared(key, reads.last_used(&key.customer, &id)?)));
            }
            let record = reads.key(&id)?.ok_or_else(|| Problem::not_found("key", &id))?;
            Ok(Json(record.into()))
        })
        .await
}

/// Changes a key: what is left out stays, null removes (RFC 7396).
#[utoipa::path(patch, path = "/v1/keys/{id}", tag = "keys", params(("id" = String, Path)),
    request_body = KeyPatch,
    responses((status = 200, body = KeyDocument), (status = "4XX", body = Problem)))]
pub(super) async fn patch(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Body { call, value }: Body<KeyPatch>,
) -> Response {
    change(&state, call, StatusCode::OK, move |change| {
        Ok(KeyDocument::from(change.patch_key(&id, value)?))
    })
    .await
}

/// Makes the successor of a key and tells it this once. The key before stays good for the grace.
#[utoipa::path(post, path = "/v1/keys/{id}/rotate", tag = "keys", request_body = RotateInput,
    params(("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe.")),
    responses((status = 201, body = KeyDocument), (status = "4XX", body = Problem)))]
pub(super) async fn rotate(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Body { call, value }: Body<RotateInput>,
) -> Response {
    change(&state, call, StatusCode::CREATED, move |change| {
        Ok(KeyDocument::from(change.rotate_key(&id, &value)?))
    })
    .await
}

/// Revokes a key for good; the next request by it is refused.
#[utoipa::path(delete, path = "/v1/keys/{id}", tag = "keys", params(("id" = String, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(super) async fn revoke(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    call: Call,
) -> Response {
    change(&state, call, StatusCode::NO_CONTENT, move |change| change.revoke_key(&id)).await
}
