//! Names: which are allowed, and that none stands twice.

use std::{collections::HashMap, sync::Arc};

use crate::{
    config::{
        file::Spanned,
        report::{Problem, Problems, Span},
        wording::quote,
    },
    model::{ID_MAX, NAME_MAX, is_id, is_name, is_name_char},
};

/// Checks a name of the operator's: lower-case letters, digits, `-`, `_`.
pub(super) fn check_id(name: &Spanned<String>, noun: &str, problems: &mut Problems) {
    let Spanned { value, span } = name;
    if is_name(value) {
        return;
    }
    let message = format!("{} cannot be the name of {noun}", quote(value));
    let help = format!(
        "a name is 1 to {NAME_MAX} lower-case letters, digits, `-` and `_`{}",
        or_else(value, is_name_char, NAME_MAX)
    );
    problems.add(Problem::error(*span, message).help(help));
}

/// Checks an identifier that may come from another system, such as a mail address.
pub(super) fn check_foreign_id(id: &Spanned<String>, noun: &str, problems: &mut Problems) {
    let Spanned { value, span } = id;
    if is_id(value) {
        return;
    }
    let message = format!("{} cannot be the id of {noun}", quote(value));
    let help = format!("an id is 1 to {ID_MAX} letters, digits, `-`, `_`, `.`, `:` and `@`");
    problems.add(Problem::error(*span, message).help(help));
}

/// Offers the name with what is not allowed replaced, if anything is left.
fn or_else(name: &str, is_allowed: impl Fn(char) -> bool, longest: usize) -> String {
    let repaired: String = name
        .to_lowercase()
        .chars()
        .map(|c| if is_allowed(c) { c } else { '-' })
        .take(longest)
        .collect();
    let repaired = repaired.trim_matches('-');
    if repaired.is_empty() { String::new() } else { format!(", such as {}", quote(repaired)) }
}

/// Names that were met, with their first places.
#[derive(Debug)]
pub(super) struct Unique {
    /// What has the names, in the plural.
    nouns: &'static str,
    /// What to do about a name that is taken.
    help: &'static str,
    first: HashMap<Arc<str>, Span>,
}

impl Unique {
    /// Begins without names.
    pub(super) fn new(nouns: &'static str, help: &'static str) -> Self {
        Self { nouns, help, first: HashMap::new() }
    }

    /// Takes a name, or reports where it was taken before.
    pub(super) fn claim(&mut self, name: &Arc<str>, span: Span, problems: &mut Problems) -> bool {
        match self.first.get(name) {
            Some(first) => {
                let message = format!("two {} are called {}", self.nouns, quote(name));
                let problem = Problem::error(span, message).related(*first, "first here");
                problems.add(problem.help(self.help));
                false
            }
            None => {
                self.first.insert(name.clone(), span);
                true
            }
        }
    }

    /// Tells whether a name is taken.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.first.contains_key(name)
    }
}
