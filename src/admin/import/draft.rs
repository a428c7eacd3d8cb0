//! A line of an import while it is put together from its cells. Nothing that stands in a cell is
//! ever repeated in a message: it may be a key in the wrong column.

use crate::{
    admin::import::lines::Record,
    model::{StatusName, is_id, looks_like_a_key},
    provisioning::{FieldError, ImportLine, InputDate},
};

/// What a column is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Column {
    Anchor,
    Application,
    Customer,
    Expires,
    Key,
    KeyDigest,
    KeyId,
    Name,
    Plan,
    Scopes,
    Status,
}

/// Every column with its name, in the order in which they are told.
const COLUMNS: [(&str, Column); 11] = [
    ("customer", Column::Customer),
    ("name", Column::Name),
    ("plan", Column::Plan),
    ("status", Column::Status),
    ("anchor", Column::Anchor),
    ("key", Column::Key),
    ("key_digest", Column::KeyDigest),
    ("key_id", Column::KeyId),
    ("application", Column::Application),
    ("expires", Column::Expires),
    ("scopes", Column::Scopes),
];

impl Column {
    pub(super) fn find(name: &str) -> Option<Self> {
        COLUMNS.iter().find(|(known, _)| *known == name).map(|(_, column)| *column)
    }

    pub(super) fn name(self) -> &'static str {
        COLUMNS.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    pub(super) fn names() -> String {
        COLUMNS.map(|(name, _)| name).join(", ")
    }
}

/// A name that somebody wrote, as far as it may be repeated: keys have digits in them, or are longer
/// than names are.
pub(super) fn repeatable(name: &str) -> Option<&str> {
    const NAME_MAX: usize = 24;
    let is_plain = |c: char| c.is_ascii_alphabetic() || "_- ".contains(c);
    let may = !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(is_plain);
    may.then_some(name)
}

/// A line that is put together.
#[derive(Debug, Default)]
pub(super) struct Draft {
    line: ImportLine,
    errors: Vec<FieldError>,
}

impl Draft {
    /// Takes a text; an empty one is left out.
    pub(super) fn set(&mut self, column: Column, text: String) {
        if text.is_empty() {
            return;
        }
        let line = &mut self.line;
        match column {
            Column::Anchor => self.line.anchor = self.date(column, &text),
            Column::Application => line.application = Some(text),
            Column::Customer => line.customer = text,
            Column::Expires => self.line.expires = self.date(column, &text),
            Column::Key => {
                // Such a key would never match: what a caller sends is trimmed or refused.
                if text.trim() != text || text.chars().any(char::is_control) {
                    self.wrong(column, "blanks around it, or a line break in it");
                }
                self.line.key = Some(text);
            }
            Column::KeyDigest => line.key_digest = Some(text),
            Column::KeyId => line.key_id = Some(text),
            Column::Name => line.name = Some(text),
            Column::Plan => line.plan = Some(text),
            Column::Scopes => {
                line.scopes = Some(text.split_whitespace().map(ToOwned::to_owned).collect());
            }
            Column::Status => match StatusName::find(&text) {
                Some(status) => line.status = Some(status),
                None => {
                    let names = StatusName::ALL.map(|(name, _)| name).join(", ");
                    self.wrong(column, format!("write one of {names}"));
                }
            },
        }
    }

    /// Takes scopes that were told apart already.
    pub(super) fn set_scopes(&mut self, scopes: Vec<String>) {
        self.line.scopes = Some(scopes);
    }

    /// Notes what is wrong with a column.
    pub(super) fn wrong(&mut self, column: Column, message: impl Into<String>) {
        self.wrong_field(column.name(), message);
    }

    pub(super) fn wrong_field(&mut self, field: &str, message: impl Into<String>) {
        self.errors.push(FieldError { field: field.to_owned(), message: message.into() });
    }

    /// Gives the line, or everything that is wrong with it.
    pub(super) fn finish(mut self, number: u64) -> Record {
        if self.line.customer.is_empty() && !self.errors.iter().any(|e| e.field == "customer") {
            self.wrong(Column::Customer, "every line needs one");
        }
        let Self { line, errors } = self;
        let customer = Some(line.customer.clone()).filter(|id| is_id(id) && !looks_like_a_key(id));
        let parsed = if errors.is_empty() { Ok(line) } else { Err(listed(&errors)) };
        Record { line: number, customer, parsed }
    }

    fn date(&mut self, column: Column, text: &str) -> Option<InputDate> {
        let date = InputDate::parse(text);
        if date.is_none() {
            let message = "write a date with a time and a zone, such as 2026-01-31T10:00:00Z";
            self.wrong(column, message);
        }
        date
    }
}

/// Writes everything that is wrong with a line into one text.
pub(super) fn listed(errors: &[FieldError]) -> String {
    let texts = errors.iter().map(|FieldError { field, message }| format!("{field}: {message}"));
    texts.collect::<Vec<_>>().join("; ")
}
