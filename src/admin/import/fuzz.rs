//! What fuzzing sees of an import.

use super::{
    draft::listed,
    lines::{Form, Lines, Record},
    upload::{End, Upload},
};

/// A line's number, and what it says or what is wrong with it.
pub(crate) type Line = (u64, Result<String, String>);

/// Reads an import that comes in pieces, in a form that a number says. What refuses the whole stands for its
/// line 0.
pub(crate) fn read(parts: &[&[u8]], form: u8) -> Vec<Line> {
    let form = match form % 3 {
        0 => None,
        1 => Some(Form::Csv),
        _ => Some(Form::Json),
    };
    match Lines::open(Upload::of(parts, End::Whole), form) {
        Ok(mut lines) => {
            let records = std::iter::from_fn(|| lines.next());
            let said = records.map(|Record { line, customer, parsed }| {
                (line, parsed.map(|parsed| format!("{customer:?} {parsed:?}")))
            });
            said.collect()
        }
        Err((errors, _)) => vec![(0, Err(listed(&errors)))],
    }
}
