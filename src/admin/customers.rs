//! The calls about customers.

use axum::{
    Json,
    extract::{Path, State as Shared},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    State,
    body::Body,
    call::{Call, change},
    documents::{CustomerDocument, Page},
    page::{self, Parameters},
    problem::Problem,
};
use crate::{
    gateway::Gateway,
    model::SubscriptionTerms,
    provisioning::{CustomerPatch, NewCustomer},
    store::{
        StoreError,
        records::{CustomerRecord, Reads},
    },
    usage,
};

/// Which customers are asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many items at most; from 1 to 1000, default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Those that hold this plan.
    plan: Option<String>,
    /// Those whose id begins so.
    prefix: Option<String>,
}

/// Makes a customer.
#[utoipa::path(post, path = "/v1/customers", tag = "customers", request_body = NewCustomer,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe.")),
    responses((status = 201, body = CustomerDocument), (status = "4XX", body = Problem)))]
pub(super) async fn create(
    Shared(state): Shared<State>,
    Body { call, value }: Body<NewCustomer>,
) -> Response {
    change(&state, call, StatusCode::CREATED, move |change| {
        let record = change.create_customer(value)?;
        let secret = record.webhook.as_ref().map(|webhook| webhook.secret.clone());
        let gateway = change.gateway();
        let document = CustomerDocument::stored(change.records(), gateway, record)?;
        Ok(document.with_secret(secret))
    })
    .await
}

/// Lists customers by id, declared and stored together.
#[utoipa::path(get, path = "/v1/customers", tag = "customers", params(Filter),
    responses((status = 200, body = Page<CustomerDocument>), (status = "4XX", body = Problem)))]
pub(super) async fn list(
    Shared(state): Shared<State>,
    Parameters(filter): Parameters<Filter>,
) -> Result<Json<Page<CustomerDocument>>, Problem> {
    let limit = page::limit(filter.limit)?;
    state.read(move |reads, gateway| Ok(Json(find(reads, gateway, &filter, limit)?))).await
}

/// Gives a customer.
#[utoipa::path(get, path = "/v1/customers/{id}", tag = "customers", params(("id" = String, Path)),
    responses((status = 200, body = CustomerDocument), (status = "4XX", body = Problem)))]
pub(super) async fn show(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
) -> Result<Json<CustomerDocument>, Problem> {
    state
        .read(move |reads, gateway| {
            if let Some(terms) = gateway.snapshot().declared.terms(&id) {
                return Ok(Json(CustomerDocument::declared(gateway, &terms)));
            }
            let record = reads.customer(&id)?;
            let record = record.ok_or_else(|| Problem::not_found("customer", &id))?;
            Ok(Json(CustomerDocument::stored(reads, gateway, record)?))
        })
        .await
}

/// Changes a customer: what is left out stays, null removes (RFC 7396).
#[utoipa::path(patch, path = "/v1/customers/{id}", tag = "customers",
    params(("id" = String, Path)), request_body = CustomerPatch,
    responses((status = 200, body = CustomerDocument), (status = "4XX", body = Problem)))]
pub(super) async fn patch(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    Body { call, value }: Body<CustomerPatch>,
) -> Response {
    change(&state, call, StatusCode::OK, move |change| {
        let before = change.stored_customer(&id)?.webhook.map(|webhook| webhook.secret);
        let record = change.patch_customer(&id, value)?;
        let after = record.webhook.as_ref().map(|webhook| webhook.secret.clone());
        let gateway = change.gateway();
        let document = CustomerDocument::stored(change.records(), gateway, record)?;
        // Told once: when it is new.
        Ok(document.with_secret(after.filter(|after| before.as_ref() != Some(after))))
    })
    .await
}

/// Deletes a customer: its keys stop working at once, what it used is kept under a pseudonym.
#[utoipa::path(delete, path = "/v1/customers/{id}", tag = "customers",
    params(("id" = String, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
pub(super) async fn delete(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    call: Call,
) -> Response {
    change(&state, call, StatusCode::NO_CONTENT, move |change| change.delete_customer(&id)).await
}

/// Gives what a customer has used, has left, and when it renews: the document that callers get under
/// the reserved prefix.
#[utoipa::path(get, path = "/v1/customers/{id}/usage", tag = "usage",
    params(("id" = String, Path)),
    responses((status = 200, body = usage::Document), (status = "4XX", body = Problem)))]
pub(super) async fn show_usage(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let gateway = &state.gateway;
    let (snapshot, now) = (gateway.snapshot(), gateway.clock().now());
    let lookup = gateway.lookup(&snapshot, now);
    let found = lookup.customer(&id).zip(lookup.all_limits(&id));
    let (customer, limits) = found.ok_or_else(|| Problem::not_found("customer", &id))?;
    let accounts = gateway.ledger().customer(&customer.id);
    usage::refresh(&limits, &accounts, now).await;
    Ok(Json(usage::document(&customer, &limits, &accounts, now)).into_response())
}

/// How many stored customers a call looks at in search of those that it asks for.
const LOOKED_AT_MAX: usize = 10_000;

/// How many it looks at at a time, when only some are wanted.
const CHUNK: usize = 500;

/// Finds a page of customers: those of the file and those of the store, by id.
fn find(
    reads: &dyn Reads,
    gateway: &Gateway,
    filter: &Filter,
    limit: usize,
) -> Result<Page<CustomerDocument>, StoreError> {
    let mut found = declared(gateway, filter);
    let cut = stored(reads, gateway, filter, limit, &mut found)?;
    found.sort_by(|a, b| a.id.cmp(&b.id));
    if let Some(cut) = &cut {
        // What lies behind it in the store is not known yet, so nothing behind it is told.
        found.retain(|customer| customer.id <= *cut);
    }
    let mut page = Page::of(found, limit, |customer| customer.id.clone());
    page.next = page.next.or(cut);
    Ok(page)
}

fn declared(gateway: &Gateway, filter: &Filter) -> Vec<CustomerDocument> {
    let snapshot = gateway.snapshot();
    let ids = snapshot.declared.customer_ids().filter(|id| filter.wants_id(id));
    let terms = ids.filter_map(|id| snapshot.declared.terms(id));
    let wanted = terms
        .filter(|terms| filter.wants_plan(terms.subscription.as_deref().map(|held| &*held.plan)));
    wanted.map(|terms| CustomerDocument::declared(gateway, &terms)).collect()
}

/// Adds stored customers, one more than fits on the page. Gives the last id that was looked at when
/// there may be more behind it.
fn stored(
    reads: &dyn Reads,
    gateway: &Gateway,
    filter: &Filter,
    limit: usize,
    found: &mut Vec<CustomerDocument>,
) -> Result<Option<String>, StoreError> {
    let (mut matches, mut looked_at) = (0, 0);
    let mut cursor = filter.after.clone();
    // Ids that begin with the prefix come right behind it; it may be one itself.
    if cursor.as_deref().unwrap_or_default() < filter.prefix() {
        if let Some(record) = reads.customer(filter.prefix())? {
            let held = reads.subscription(&record.id)?;
            matches += usize::from(add(reads, gateway, filter, (record, held), found)?);
        }
        cursor = filter.prefix.clone();
    }
    let rows_max = if filter.plan.is_some() { CHUNK } else { limit.saturating_add(1) };
    while matches <= limit {
        let rows = reads.customers(cursor.as_deref(), rows_max)?;
        let Some((last, _)) = rows.last() else { return Ok(None) };
        let last = last.id.clone();
        looked_at += rows.len();
        for row in rows {
            matches += usize::from(add(reads, gateway, filter, row, found)?);
        }
        if !last.starts_with(filter.prefix()) {
            return Ok(None);
        }
        if looked_at >= LOOKED_AT_MAX {
            return Ok(Some(last));
        }
        cursor = Some(last);
    }
    Ok(None)
}

/// Adds a customer if it is one that is asked for; tells whether it is.
fn add(
    reads: &dyn Reads,
    gateway: &Gateway,
    filter: &Filter,
    (record, held): (CustomerRecord, Option<SubscriptionTerms>),
    found: &mut Vec<CustomerDocument>,
) -> Result<bool, StoreError> {
    let plan = held.as_ref().map(|held| &*held.plan);
    if !filter.wants_id(&record.id) || !filter.wants_plan(plan) {
        return Ok(false);
    }
    let applications = reads.applications(&record.id)?;
    let names = applications.into_iter().map(|one| one.name).collect();
    found.push(CustomerDocument::of(gateway, record, held, names));
    Ok(true)
}

impl Filter {
    fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or_default()
    }

    fn wants_id(&self, id: &str) -> bool {
        self.after.as_deref().is_none_or(|after| id > after) && id.starts_with(self.prefix())
    }

    fn wants_plan(&self, plan: Option<&str>) -> bool {
        self.plan.is_none() || self.plan.as_deref() == plan
    }
}
