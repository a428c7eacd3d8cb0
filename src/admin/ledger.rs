//! The calls about the ledger: a customer's movements, and whether everything adds up.

use axum::{
    Json,
    extract::{Path, State as Shared},
};

use super::{
    State,
    documents::{EntryDocument, Page, VerifiedDocument},
    page::{self, Paging, Parameters},
    problem::Problem,
    report::{SETTLED, fold},
};
use crate::store::{
    instant,
    records::{EntryRecord, LedgerPlace},
};

/// How many differences are told one by one.
const DIFFERENCES_MAX: usize = 100;

/// Lists every movement of a customer's quotas and money, the oldest first. It includes everything that
/// was counted before the call; what is not entered yet comes last.
#[utoipa::path(get, path = "/v1/customers/{id}/ledger", tag = "ledger",
    params(("id" = String, Path), Paging),
    responses((status = 200, body = Page<EntryDocument>), (status = "4XX", body = Problem)))]
pub(super) async fn list(
    Shared(state): Shared<State>,
    Path(customer): Path<String>,
    Parameters(paging): Parameters<Paging>,
) -> Result<Json<Page<EntryDocument>>, Problem> {
    let limit = paging.limit()?;
    let after = paging.after().map(place).transpose()?;
    tokio::time::sleep(SETTLED).await;
    let keeper = state.keeper.clone();
    state
        .read(move |reads, gateway| {
            let is_declared = gateway.snapshot().declared.has_customer(&customer);
            // A wallet that paid without a key is no customer, and has a ledger all the same.
            let is_known = is_declared || reads.customer(&customer)?.is_some();
            if !is_known && !reads.has_payments(&customer)? {
                return Err(Problem::not_found("customer", &customer));
            }
            fold(&keeper)?;
            let (entries, is_more) = reads.ledger(&customer, after, limit)?;
            let next = entries.last().filter(|_| is_more).map(cursor);
            let items = entries.into_iter().map(EntryDocument::from).collect();
            Ok(Json(Page { items, next }))
        })
        .await
}

/// Adds up the whole ledger and compares it with every balance.
#[utoipa::path(post, path = "/v1/verify", tag = "ledger",
    responses((status = 200, body = VerifiedDocument), (status = "4XX", body = Problem)))]
pub(super) async fn verify(
    Shared(state): Shared<State>,
) -> Result<Json<VerifiedDocument>, Problem> {
    let place = state.gates.report()?;
    tokio::time::sleep(SETTLED).await;
    let verifying = tokio::task::spawn_blocking(move || {
        let _place = place;
        fold(&state.keeper)?;
        let reader = state.another_reader()?;
        let mut first = Vec::new();
        let found = reader.verify(&mut |difference| {
            if first.len() < DIFFERENCES_MAX {
                first.push(difference);
            }
        })?;
        Ok(Json(VerifiedDocument::new(found, first)))
    });
    verifying.await.unwrap_or_else(|_| Err(Problem::internal()))
}

fn cursor(entry: &EntryRecord) -> String {
    format!("{}-{}", entry.entered.as_millisecond(), entry.number)
}

fn place(after: &str) -> Result<LedgerPlace, Problem> {
    let read = || {
        let (entered, number) = after.rsplit_once('-')?;
        Some(LedgerPlace { entered: instant(entered.parse().ok()?), number: number.parse().ok()? })
    };
    read().ok_or_else(|| page::bad_query("after: write the `next` of a page"))
}
