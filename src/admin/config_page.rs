//! The call that shows the configuration in force.

use axum::{Json, extract::State as Shared};
use serde_json::{Value, json};

use super::State;

/// Shows the configuration in force, with every default and without any secret.
#[utoipa::path(get, path = "/v1/config", tag = "operation",
    responses((status = 200, body = serde_json::Value)))]
pub(super) async fn show(Shared(state): Shared<State>) -> Json<Value> {
    let mut page = state.gateway.snapshot().described.clone();
    let file = state.gateway.file().map(|file| file.display().to_string());
    let stored = state.gateway.live().customer_count();
    if let Some(page) = page.as_object_mut() {
        page.insert("file".to_owned(), json!(file));
        if let Some(customers) = page.get_mut("customers").and_then(Value::as_object_mut) {
            customers.insert("stored".to_owned(), json!(stored));
        }
    }
    Json(page)
}
