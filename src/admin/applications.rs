//! The calls about applications.

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
    documents::{ApplicationDocument, Page},
    problem::Problem,
};
use crate::{gateway::Gateway, provisioning::ApplicationInput, store::records::Reads};

/// Lists a customer's applications by name; all on one page.
#[utoipa::path(get, path = "/v1/customers/{id}/applications", tag = "applications",
    params(("id" = String, Path)),
    responses((status = 200, body = Page<ApplicationDocument>), (status = "4XX", body = Problem)))]
pub(super) async fn list(
    Shared(state): Shared<State>,
    Path(customer): Path<String>,
) -> Result<Json<Page<ApplicationDocument>>, Problem> {
    state
        .read(move |reads, gateway| {
            Ok(Json(Page { items: all(reads, gateway, &customer)?, next: None }))
        })
        .await
}

/// Gives an application.
#[utoipa::path(get, path = "/v1/customers/{id}/applications/{name}", tag = "applications",
    params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = ApplicationDocument), (status = "4XX", body = Problem)))]
pub(super) async fn show(
    Shared(state): Shared<State>,
    Path((customer, name)): Path<(String, String)>,
) -> Result<Json<ApplicationDocument>, Problem> {
    state
        .read(move |reads, gateway| {
            let found = all(reads, gateway, &customer)?.into_iter().find(|one| one.name == name);
            found.map(Json).ok_or_else(|| Problem::not_found("application", &name))
        })
        .await
}

/// Makes an application, or replaces its limits.
#[utoipa::path(put, path = "/v1/customers/{id}/applications/{name}", tag = "applications",
    params(("id" = String, Path), ("name" = String, Path)), request_body = ApplicationInput,
    responses((status = 200, body = ApplicationDocument),
        (status = 201, body = ApplicationDocument), (status = "4XX", body = Problem)))]
pub(super) async fn put(
    Shared(state): Shared<State>,
    Path((customer, name)): Path<(String, String)>,
    Body { call, value }: Body<ApplicationInput>,
) -> Response {
    change_as(&state, call, move |change| {
        let (record, is_new) = change.put_application(&customer, &name, value)?;
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        Ok((status, ApplicationDocument::from(record)))
    })
    .await
}

/// Removes an application that no key in use belongs to.
#[utoipa::path(delete, path = "/v1/customers/{id}/applications/{name}", tag = "applications",
    params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(super) async fn delete(
    Shared(state): Shared<State>,
    Path((customer, name)): Path<(String, String)>,
    call: Call,
) -> Response {
    change(&state, call, StatusCode::NO_CONTENT, move |change| {
        change.delete_application(&customer, &name)
    })
    .await
}

fn all(
    reads: &dyn Reads,
    gateway: &Gateway,
    customer: &str,
) -> Result<Vec<ApplicationDocument>, Problem> {
    if let Some(terms) = gateway.snapshot().declared.terms(customer) {
        let declared = terms
            .applications
            .iter()
            .map(|(name, limits)| ApplicationDocument::declared(customer, name, limits.clone()));
        return Ok(declared.collect());
    }
    if reads.customer(customer)?.is_none() {
        return Err(Problem::not_found("customer", customer));
    }
    Ok(reads.applications(customer)?.into_iter().map(Into::into).collect())
}
