//! The lines of an import, in the form in which they came.

use super::{
    csv::CsvLines,
    json::JsonLines,
    upload::{End, Upload},
};
use crate::provisioning::{FieldError, ImportLine};

/// The longest line.
pub(super) const LINE_MAX: usize = 64 * 1024;

/// What is said of a longer one.
pub(super) const TOO_LONG: &str = "the line is longer than 64 KiB";

/// The form of an import.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Csv,
    Json,
}

/// A line that was read, good or bad.
#[derive(Debug)]
pub(super) struct Record {
    /// Its number in the whole file, counted from 1.
    pub(super) line: u64,
    /// Whom it is about, as far as that may be repeated.
    pub(super) customer: Option<String>,
    /// What it says, or what is wrong with it.
    pub(super) parsed: Result<ImportLine, String>,
}

impl Record {
    /// Makes a line that cannot be understood.
    pub(super) fn bad(line: u64, error: impl Into<String>) -> Self {
        Self { line, customer: None, parsed: Err(error.into()) }
    }
}

/// The lines of an import.
#[derive(Debug)]
pub(super) enum Lines {
    /// Its parser has tables.
    Csv(Box<CsvLines>),
    Json(JsonLines),
}

impl Lines {
    /// Reads the beginning. Where the form was not told, the first character tells it.
    pub(super) fn open(
        mut upload: Upload,
        form: Option<Form>,
    ) -> Result<Self, (Vec<FieldError>, Upload)> {
        let first = upload.begin();
        let seen = || if first.is_none_or(|first| first == b'{') { Form::Json } else { Form::Csv };
        match form.unwrap_or_else(seen) {
            Form::Csv => CsvLines::open(upload).map(|lines| Self::Csv(Box::new(lines))),
            Form::Json => Ok(Self::Json(JsonLines::new(upload))),
        }
    }

    /// Gives the next line; blocks until it is there.
    pub(super) fn next(&mut self) -> Option<Record> {
        match self {
            Self::Csv(lines) => lines.next(),
            Self::Json(lines) => lines.next(),
        }
    }

    /// Tells how the body ended, once there is no next line.
    pub(super) fn end(&self) -> End {
        let upload = match self {
            Self::Csv(lines) => lines.upload(),
            Self::Json(lines) => lines.upload(),
        };
        upload.end().unwrap_or(End::Whole)
    }
}
