//! What went wrong between us and the server, in words that say what to do.

use std::{error::Error, sync::Arc, time::Duration};

use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::store::{StoreError, postgres::server::Server};

/// Why a statement gave no answer, or none that helps.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection ended: nobody knows what became of the statement.
    Ended(Option<tokio_postgres::Error>),
    /// There was no connection, and none could be made. Nothing was sent.
    NotConnected(ConnectError),
    /// The server said no.
    Refused(tokio_postgres::Error),
    /// No answer came in time; the connection was given up. Nobody knows what became of the statement.
    Slow(Duration),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// A thread's runtime.
    #[error("a runtime cannot be started: {0}")]
    Runtime(#[source] std::io::Error),
    /// The server, or what is between us and it.
    #[error("{}", in_words(.0))]
    Server(#[source] tokio_postgres::Error),
    /// It takes too long.
    #[error("it does not answer within {} s", .0.as_secs())]
    Slow(Duration),
    /// Whom to believe.
    #[error(transparent)]
    Trust(#[from] super::tls::TrustError),
}

/// A failure, with the server's name.
#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL at {server}: {what}")]
pub(super) struct ServerError {
    server: String,
    what: String,
}

impl Failure {
    /// Tells whether the statement may have been carried out although no answer says so.
    pub(super) fn is_in_doubt(&self) -> bool {
        match self {
            Self::Ended(_) | Self::Slow(_) => true,
            Self::NotConnected(_) | Self::Refused(_) => false,
        }
    }

    /// Names the server and what to do; `action` completes the sentence "cannot … the store".
    pub(super) fn named(self, server: &Arc<Server>, action: &'static str) -> StoreError {
        let mut what = String::new();
        match self {
            Self::Ended(error) => {
                what += "the connection ended";
                what += &error.map(|error| format!(": {}", in_words(&error))).unwrap_or_default();
                what += "; it is made anew with the next attempt";
            }
            Self::NotConnected(error) => {
                what += &format!("{error}; see that it runs and that `url` in [store] is right");
            }
            Self::Refused(error) => what += &in_words(&error),
            Self::Slow(limit) => {
                let seconds = limit.as_secs();
                what += &format!("no answer within {seconds} s; see what keeps it busy");
            }
        }
        let server = server.to_string();
        StoreError::new(action, ServerError { server, what })
    }
}

/// Tells whether the server said no, and goes on to serve the connection.
pub(super) fn is_refusal(error: &tokio_postgres::Error) -> bool {
    let severity = error.as_db_error().and_then(DbError::parsed_severity);
    !matches!(severity, None | Some(Severity::Fatal | Severity::Panic))
}

/// Tells an error with its causes. What the server says of details is left out: there may be values in it.
pub(super) fn in_words(error: &tokio_postgres::Error) -> String {
    if let Some(refusal) = error.as_db_error() {
        let advice = match refusal.code() {
            &SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                "; see user and password in [store]"
            }
            &SqlState::INSUFFICIENT_PRIVILEGE => {
                "; the user must be allowed to make tables in the schema and to write them"
            }
            &SqlState::UNDEFINED_DATABASE => "; make it with `createdb`",
            &SqlState::DISK_FULL => "; make room on the server's disk",
            &SqlState::TOO_MANY_CONNECTIONS => "; raise `max_connections` there",
            &SqlState::READ_ONLY_SQL_TRANSACTION => "; it is a standby, or set to be read only",
            _ => "",
        };
        return format!("{} ({}){advice}", refusal.message(), refusal.code().code());
    }
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words += &format!(": {error}");
        cause = error.source();
    }
    words
}
