//! Why a call failed, in words that say what to do.

use std::{fmt, io, time::Duration};

use http::StatusCode;
use serde_json::Value;

use crate::{cli::print::plain, model::duration_text};

/// A call that gave no document.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum CallError {
    /// The connection ended before the answer did.
    #[error("the gateway at {authority} closed the connection before its answer was complete")]
    Cut {
        /// Who was called.
        authority: String,
        /// What was noticed.
        #[source]
        cause: Option<Box<hyper::Error>>,
    },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// What answers is not the gateway, or not one of this version.
    #[error("what answers at {authority} is no admin listener of a gateway ({found}); see --admin")]
    NotOurs {
        /// Who was called.
        authority: String,
        /// What was noticed.
        found: String,
    },
    /// The gateway said no.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// Nothing came for too long.
    #[error("no answer from the gateway at {authority} for {}", duration_text(*.waited))]
    Silent {
        /// Who was called.
        authority: String,
        /// For how long nothing came.
        waited: Duration,
    },
    /// There is nobody.
    #[error("no gateway answers at {authority}; is it running?")]
    Unreachable {
        /// Who was called.
        authority: String,
        /// What was noticed.
        #[source]
        cause: io::Error,
    },
}

impl CallError {
    /// Says how to repeat a call that must not be made twice, where it may have been made or not:
    /// repeated under its key it is made once.
    pub(in crate::cli) fn about_repeating(self, key: &str) -> anyhow::Error {
        let is_known = matches!(self, Self::Refused(_) | Self::Unreachable { .. });
        let error = anyhow::Error::from(self);
        if is_known {
            return error;
        }
        error.context(format!(
            "whether it was made is not known; give the same command once more with \
             --idempotency-key {}",
            plain(key)
        ))
    }
}

/// What the gateway said.
#[derive(Debug)]
pub(in crate::cli) struct Refusal {
    /// Whom the call was about, unless the detail names it.
    about: Option<String>,
    detail: String,
    /// What each wrong field, or each wrong line of a configuration, has to say.
    parts: Vec<String>,
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(about) = &self.about {
            write!(f, "{}: ", plain(about))?;
        }
        f.write_str(&self.detail)?;
        self.parts.iter().try_for_each(|part| write!(f, "\n  {part}"))
    }
}

impl Refusal {
    /// Reads a problem document. `origin` says where the token came from, which matters when it is
    /// the token that is refused.
    pub(super) fn read(
        status: StatusCode,
        document: &Value,
        about: Option<&str>,
        origin: Option<&str>,
    ) -> Self {
        let detail = document["detail"].as_str().or(document["title"].as_str());
        let detail =
            plain(detail.unwrap_or("no reason was given")).trim_end_matches('.').to_owned();
        let origin = origin.unwrap_or("nowhere");
        let refused = |what: &str| format!("the gateway {what} the admin token from {origin}");
        let (about, detail) = match (status, document["code"].as_str()) {
            (StatusCode::UNAUTHORIZED, _) => {
                let does = refused("refuses");
                (None, format!("{does}; give the right one with --token-file"))
            }
            (_, Some("read_only_token")) => (
                None,
                format!("{}, which may only read", refused("does not let this be done with")),
            ),
            _ => (about.map(str::to_owned), detail),
        };
        let about = about.filter(|about| !detail.contains(&format!("`{}`", plain(about))));
        let fields = items(&document["errors"]).map(field);
        let parts = fields.chain(items(&document["problems"]).map(problem));
        // A single field is the detail already.
        let parts = parts.filter(|part| *part != detail).collect();
        Self { about, detail, parts }
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().map(plain).unwrap_or_default()
}

/// Writes what is wrong with one field of a body.
fn field(error: &Value) -> String {
    let (field, message) = (text(&error["field"]), text(&error["message"]));
    // What is about the whole has no field.
    if field.is_empty() { message } else { format!("{field}: {message}") }
}

/// Writes what is wrong with one place of a configuration.
fn problem(problem: &Value) -> String {
    let place = format!("line {}, column {}", problem["line"], problem["column"]);
    let help = problem["help"].as_str().map(|help| format!("; {}", plain(help)));
    let (severity, message) = (text(&problem["severity"]), text(&problem["message"]));
    format!("{place}: {severity}: {message}{}", help.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(status: u16, document: &Value) -> String {
        let status = StatusCode::from_u16(status).unwrap();
        Refusal::read(status, document, Some("acme"), Some("the file /t")).to_string()
    }

    #[test]
    fn refusals_say_what_to_do() {
        let told = [
            read(404, &json!({"code": "customer_not_found", "detail": "There is no customer."})),
            read(409, &json!({"code": "already_exists", "detail": "There is a customer `acme`."})),
            read(
                422,
                &json!({"code": "invalid_request_body", "detail": "plan: there is no such plan.",
                        "errors": [{"field": "plan", "message": "there is no such plan"}]}),
            ),
            read(401, &json!({"code": "invalid_token", "detail": "Send the token."})),
            read(403, &json!({"code": "read_only_token", "detail": "No."})),
            read(
                422,
                &json!({
                    "code": "invalid_request_body", "detail": "Two fields are wrong.",
                    "errors": [
                        {"field": "quotas[0].limit", "message": "must be a whole number"},
                        {"field": "name", "message": "is too long: \u{1b}[2J"},
                    ],
                }),
            ),
            read(
                422,
                &json!({
                    "code": "invalid_configuration", "detail": "1 error",
                    "problems": [{"severity": "error", "line": 3, "column": 8,
                                  "message": "there is no plan `x`", "help": "write one"}],
                }),
            ),
            read(500, &json!({})),
        ];
        insta::assert_snapshot!(told.join("\n"));
    }
}
