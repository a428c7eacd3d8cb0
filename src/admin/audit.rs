//! The call that tells who changed what.

use axum::{Json, extract::State as Shared};

use super::{
    State,
    documents::{AuditDocument, Page},
    page::{self, NewestFirst, Parameters},
    problem::Problem,
};

/// Lists changes, the newest first.
#[utoipa::path(get, path = "/v1/audit", tag = "operation", params(NewestFirst),
    responses((status = 200, body = Page<AuditDocument>), (status = "4XX", body = Problem)))]
pub(super) async fn list(
    Shared(state): Shared<State>,
    Parameters(paging): Parameters<NewestFirst>,
) -> Result<Json<Page<AuditDocument>>, Problem> {
    let NewestFirst { customer, before, limit } = paging;
    let limit = page::limit(limit)?;
    state
        .read(move |reads, _| {
            let found = reads.audit(customer.as_deref(), before, limit.saturating_add(1))?;
            let found = found.into_iter().map(AuditDocument::from).collect();
            Ok(Json(Page::of(found, limit, |entry: &AuditDocument| entry.sequence.to_string())))
        })
        .await
}
