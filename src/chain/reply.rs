//! An answer as it goes down: its fields are written already, in the form of HTTP/1.1.

use bytes::Bytes;
use http::{Response, StatusCode, header};

use crate::{
    answer::problem::Problem, chain::settle::AnswerBody, http1::Fields, upstream::http1::Head,
};

/// An answer as it goes down.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its fields, but for those that frame the body or are about the connection.
    pub fields: Fields,
    /// The connection must end with it.
    pub closes: bool,
    /// Its body.
    pub body: AnswerBody,
}

impl Reply {
    /// Begins with what an upstream answered.
    pub(super) fn passing(head: Head, body: AnswerBody) -> Self {
        Self { status: head.status, fields: head.fields, closes: false, body }
    }

    /// Takes a refusal.
    pub fn refusal(problem: Problem, closes: bool) -> Self {
        let Problem { status, fields, body } = problem;
        Self { status, fields, closes, body: AnswerBody::own(body) }
    }

    /// Takes a page of the gateway's own.
    pub(super) fn page(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        let mut fields = Fields::default();
        let mut closes = false;
        for (name, value) in &parts.headers {
            match *name {
                header::CONNECTION => closes = true,
                header::CONTENT_LENGTH => {}
                _ => fields.push(name, value),
            }
        }
        Self { status: parts.status, fields, closes, body: AnswerBody::own(body) }
    }
}
