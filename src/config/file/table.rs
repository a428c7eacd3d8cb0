//! Reading one table: each key is asked for by name, and what nobody asked for is a mistake.

use toml::de::{DeTable, DeValue};

use crate::config::{
    excerpt,
    report::{Problem, Problems, Span},
    wording::{nearest, quote, suggest},
};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(in crate::config) struct Spanned<T> {
    /// The value.
    pub(in crate::config) value: T,
    /// Where it stands.
    pub(in crate::config) span: Span,
}

/// An option as it stands in the file.
///
/// `Wrong` differs from `Absent` so that a mistake is told once: what is wrong was told where it
/// stands, and is not missing too.
#[derive(Debug, Default)]
pub(in crate::config) enum Field<T> {
    /// It is not written.
    #[default]
    Absent,
    /// It is written and can be read.
    Given(Spanned<T>),
    /// It is written but cannot be read; the problem is reported.
    Wrong,
}

impl<T> Field<T> {
    /// Gives the value with its place, if it is there and good.
    pub(in crate::config) fn given(&self) -> Option<&Spanned<T>> {
        match self {
            Self::Given(given) => Some(given),
            Self::Absent | Self::Wrong => None,
        }
    }

    /// Gives the value, if it is there and good.
    pub(in crate::config) fn value(&self) -> Option<&T> {
        self.given().map(|given| &given.value)
    }

    /// Gives the place, if the value is there and good.
    pub(in crate::config) fn span(&self) -> Option<Span> {
        self.given().map(|given| given.span)
    }

    /// Tells whether nothing is written.
    pub(in crate::config) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Reports a required option that is not written.
    pub(in crate::config) fn required(
        &self,
        problems: &mut Problems,
        missing: impl FnOnce() -> Problem,
    ) -> Option<&Spanned<T>> {
        if self.is_absent() {
            problems.add(missing());
        }
        self.given()
    }
}

/// A value of the parsed document.
#[derive(Clone, Copy)]
pub(in crate::config) struct Value<'d> {
    /// What it is.
    pub(in crate::config) toml: &'d DeValue<'d>,
    /// Where it stands; for a table with a header, the header.
    pub(in crate::config) span: Span,
}

/// What can be read from a value, with a problem reported for each mistake in it.
pub(in crate::config) trait FromToml: Sized {
    /// Reads the value; `None` when it is wrong, which is reported.
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self>;
}

/// A table being read.
pub(in crate::config) struct Table<'d, 'p> {
    /// Where it begins.
    pub(super) span: Span,
    /// What the messages call it, such as "a route".
    noun: &'static str,
    entries: Vec<Entry<'d>>,
    asked: Vec<&'static str>,
    problems: &'p mut Problems,
}

/// A key and its value.
struct Entry<'d> {
    key: &'d str,
    key_span: Span,
    value: Value<'d>,
}

impl<'d, 'p> Table<'d, 'p> {
    /// Opens a value that must be a table.
    pub(in crate::config) fn open(
        value: Value<'d>,
        noun: &'static str,
        problems: &'p mut Problems,
    ) -> Option<Self> {
        let DeValue::Table(table) = value.toml else {
            super::value::expected(value, "a table", problems);
            return None;
        };
        Some(Self::new(table, value.span, noun, problems))
    }

    /// Opens a table.
    pub(super) fn new(
        table: &'d DeTable<'d>,
        span: Span,
        noun: &'static str,
        problems: &'p mut Problems,
    ) -> Self {
        Self { span, noun, entries: entries(table), asked: Vec::new(), problems }
    }

    /// Reads an option.
    pub(in crate::config) fn field<T: FromToml>(&mut self, key: &'static str) -> Field<T> {
        self.asked.push(key);
        let Some(at) = self.entries.iter().position(|entry| entry.key == key) else {
            return Field::Absent;
        };
        let Entry { value, .. } = self.entries.remove(at);
        match T::from_toml(value, self.problems) {
            Some(read) => Field::Given(Spanned { value: read, span: value.span }),
            None => {
                // A secret in the wrong form is a secret all the same.
                if excerpt::is_telling(key) {
                    conceal_strings(value, self.problems);
                }
                Field::Wrong
            }
        }
    }

    /// Refuses options that only a later version acts on.
    pub(super) fn later(&mut self, keys: &[&str]) {
        let problems = &mut *self.problems;
        self.entries.retain(|Entry { key, key_span, value }| {
            let is_later = keys.contains(key);
            if is_later {
                conceal_telling(key, *value, problems);
                problems.add(not_available(*key_span, key));
            }
            !is_later
        });
    }

    /// Refuses the options that nobody asked for.
    pub(in crate::config) fn finish(self) {
        let Self { noun, entries, asked, problems, .. } = self;
        for Entry { key, key_span, value } in entries {
            let meant = nearest(key, &asked).unwrap_or("a secret, perhaps");
            conceal_unless_plain(meant, value, problems);
            let message = format!("unknown key {} in {noun}", quote(key));
            let help = suggest(key, asked.iter().copied());
            problems.add(Problem::error(key_span, message).help(help));
        }
    }
}

/// Makes the problem of an option or value that this version does not act on.
pub(in crate::config) fn not_available(span: Span, what: &str) -> Problem {
    Problem::error(span, format!("{} is not available in this version", quote(what)))
}

/// A table whose keys are the user's own names.
#[derive(Debug)]
pub(in crate::config) struct Named<T> {
    /// The key.
    pub(in crate::config) name: Spanned<String>,
    /// What stands under it; `None` when it is wrong, which is reported.
    pub(in crate::config) value: Option<Spanned<T>>,
}

impl<T: FromToml> FromToml for Vec<Named<T>> {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let DeValue::Table(table) = value.toml else {
            super::value::expected(value, "a table", problems);
            return None;
        };
        let read = |Entry { key, key_span, value }: Entry<'_>| Named {
            name: Spanned { value: key.to_owned(), span: key_span },
            value: T::from_toml(value, problems)
                .map(|read| Spanned { value: read, span: value.span }),
        };
        Some(entries(table).into_iter().map(read).collect())
    }
}

/// Lists a table's entries in the file's order; the parser sorts them by name.
fn entries<'d>(table: &'d DeTable<'d>) -> Vec<Entry<'d>> {
    let mut entries: Vec<Entry<'d>> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref(),
            key_span: key.span().into(),
            value: Value { toml: value.get_ref(), span: value.span().into() },
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span);
    entries
}

/// Keeps what stands under an unknown name out of the report, but for a single value that was meant
/// for a name without secrets.
fn conceal_unless_plain(meant: &str, value: Value<'_>, problems: &mut Problems) {
    let is_single = !matches!(value.toml, DeValue::Array(_) | DeValue::Table(_));
    if !is_single || excerpt::is_telling(meant) {
        conceal_strings(value, problems);
    }
}

/// Keeps what stands under names of secrets out of the report.
fn conceal_telling(name: &str, value: Value<'_>, problems: &mut Problems) {
    match value.toml {
        _ if excerpt::is_telling(name) => conceal_strings(value, problems),
        DeValue::Table(table) => {
            for Entry { key, value, .. } in entries(table) {
                conceal_telling(key, value, problems);
            }
        }
        DeValue::Array(array) => {
            for item in array {
                let value = Value { toml: item.get_ref(), span: item.span().into() };
                conceal_telling(name, value, problems);
            }
        }
        _ => {}
    }
}

/// Keeps every text within a value out of the report.
pub(in crate::config) fn conceal_strings(value: Value<'_>, problems: &mut Problems) {
    let inner = |inner: &toml::Spanned<DeValue<'_>>, problems: &mut Problems| {
        conceal_strings(Value { toml: inner.get_ref(), span: inner.span().into() }, problems);
    };
    match value.toml {
        DeValue::Array(array) => array.iter().for_each(|item| inner(item, problems)),
        DeValue::Table(table) => table.values().for_each(|item| inner(item, problems)),
        DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        DeValue::Float(_) | DeValue::Integer(_) | DeValue::String(_) => {
            problems.conceal(value.span);
        }
    }
}
