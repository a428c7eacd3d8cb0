//! Which part of a list a call asks for.

use axum::{
    extract::{FromRequestParts, Query},
    http::{StatusCode, request::Parts},
};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

use super::{State, problem::Problem};

/// How many items a page has, unless the call says otherwise; and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;

/// The page of a list that is asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many items at most; from 1 to 1000, default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// The page of a list, of which the newest items come first.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct NewestFirst {
    /// Of this customer alone.
    pub(super) customer: Option<String>,
    /// The `next` of the page before.
    pub(super) before: Option<u64>,
    /// How many items at most; from 1 to 1000, default 100.
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<usize>,
}

impl Paging {
    pub(super) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    pub(super) fn limit(&self) -> Result<usize, Problem> {
        limit(self.limit)
    }
}

/// Checks how many items are asked for.
pub(super) fn limit(given: Option<usize>) -> Result<usize, Problem> {
    match given {
        None => Ok(LIMIT),
        Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
        Some(_) => Err(bad_query(format!("limit: from 1 to {LIMIT_MAX}"))),
    }
}

/// Makes the problem of a wrong query.
pub(super) fn bad_query(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_query", detail)
}

/// The parameters of a query.
#[derive(Clone, Debug)]
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<State> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, _: &State) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&head.uri);
        query.map(|Query(value)| Self(value)).map_err(|error| bad_query(error.body_text()))
    }
}
