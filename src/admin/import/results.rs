//! The answers to the lines of an import, in their order.

use serde::Serialize;
use tokio::sync::oneshot;

use super::{draft::listed, upload::End};
use crate::{
    admin::pipe::{Lost, Writer},
    provisioning::{Applied, Imported, Rejection},
};

/// How a line goes on its way to its result.
#[derive(Debug)]
pub(super) enum Pending {
    /// The store's thread has it.
    Asked(oneshot::Receiver<Result<(Imported, Applied), Rejection>>),
    /// It could not be read.
    Bad(String),
}

/// A line whose result is to be told.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) line: u64,
    pub(super) customer: Option<String>,
    pub(super) pending: Pending,
}

/// A result as it is written.
#[derive(Debug, Serialize)]
struct ResultLine<'a> {
    line: u64,
    customer: Option<&'a str>,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The last line of the answer.
#[derive(Debug, Default, Serialize)]
struct Summary {
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    lines: u64,
    created: u64,
    updated: u64,
    unchanged: u64,
    errors: u64,
}

/// Tells results as they come, and what they were together.
#[derive(Debug)]
pub(super) struct Results {
    summary: Summary,
    writer: Writer,
}

impl Results {
    pub(super) fn new(writer: Writer) -> Self {
        Self { summary: Summary::default(), writer }
    }

    /// Waits for the result of a line and tells it.
    pub(super) fn tell(&mut self, answer: Answer) -> Result<(), Lost> {
        let Answer { line, customer, pending } = answer;
        let outcome = match pending {
            Pending::Bad(error) => Err(error),
            Pending::Asked(asked) => match asked.blocking_recv() {
                Ok(Ok((imported, _))) => Ok(imported),
                Ok(Err(rejection)) => Err(told(&rejection)),
                Err(_) => Err("the store's thread has ended".to_owned()),
            },
        };
        let Summary { lines, created, updated, unchanged, errors, .. } = &mut self.summary;
        let (count, result, error) = match outcome {
            Ok(Imported::Created) => (created, "created", None),
            Ok(Imported::Updated) => (updated, "updated", None),
            Ok(Imported::Unchanged) => (unchanged, "unchanged", None),
            Err(error) => (errors, "error", Some(error)),
        };
        *count += 1;
        *lines += 1;
        let result = ResultLine { line, customer: customer.as_deref(), result, error };
        self.writer.write(&text(&result))
    }

    /// Ends the answer with what it was all together.
    pub(super) fn finish(mut self, end: End) {
        match end {
            End::Whole => self.summary.done = true,
            End::Broken(reason) => self.summary.error = Some(reason),
        }
        let Summary { done: _, error, lines, created, updated, unchanged, errors } = self.summary;
        tracing::info!(lines, created, updated, unchanged, errors, broken = error, "import ended");
        // Also to a client that has not taken what is before it: there is no more to come.
        if self.writer.write_beyond(&text(&self.summary)).is_ok() {
            self.writer.finish();
        }
    }
}

fn text(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text
}

fn told(rejection: &Rejection) -> String {
    match rejection {
        Rejection::Invalid(errors) => listed(errors),
        other => other.to_string(),
    }
}
