//! Mistakes of syntax, without those that follow from another.

use std::collections::HashSet;

use toml::{
    Spanned,
    de::{DeTable, DeValue, Error},
};

use crate::config::{
    excerpt,
    report::{Problem, Problems, Span},
};

/// Reports mistakes of syntax. What the values on their lines are blamed for is dropped: the parser
/// made something up for them.
pub(super) fn report(
    text: &str,
    document: &Spanned<DeTable<'_>>,
    errors: &[Error],
    problems: &mut Problems,
) {
    let newlines: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line = |span: Span| newlines.partition_point(|newline| *newline < span.start);
    let mut mistakes: Vec<Problem> = errors.iter().map(mistake).collect();
    mistakes.sort_by_key(|mistake| mistake.span);

    if let Some(opening) = find_unclosed(text, document.get_ref(), &mistakes) {
        let is_after = |problem: &Problem| problem.span.start > opening.start;
        let noticed = mistakes.iter().find(|mistake| is_after(mistake));
        let noticed = noticed.map_or(opening, |mistake| mistake.span);
        mistakes.retain(|mistake| !is_after(mistake));
        problems.retain(|problem| !is_after(problem));
        mistakes.push(
            Problem::error(opening, "a bracket that opens here is never closed")
                .related(noticed, "noticed here")
                .help("what follows was read as a part of it, and is not checked"),
        );
    }
    // On one line the first is the cause of the others.
    let mut lines = HashSet::new();
    mistakes.retain(|mistake| lines.insert(line(mistake.span)));
    problems.retain(|problem| !lines.contains(&line(problem.span)));
    for mistake in mistakes {
        let noticed = mistake.related.as_ref().map(|(span, _)| *span);
        let hides = excerpt::may_hold_secret(text, mistake.span)
            || noticed.is_some_and(|span| excerpt::may_hold_secret(text, span));
        problems.add(if hides { mistake.hidden() } else { mistake });
    }
}

fn mistake(error: &Error) -> Problem {
    let problem = Problem::error(error.span().unwrap_or(0..0).into(), error.message());
    let help = HELP.iter().find(|(part, _)| error.message().contains(part));
    match help {
        Some((_, help)) => problem.help(*help),
        None => problem,
    }
}

const QUOTES: &str = "put a text, an address or a duration between double quotes";

/// What to do, where the parser's own words leave it open.
const HELP: [(&str, &str); 6] = [
    ("must be quoted", QUOTES),
    ("invalid float", QUOTES),
    ("invalid integer", QUOTES),
    ("invalid date", QUOTES),
    ("invalid basic string", "a text ends on its line, with a double quote"),
    (
        "duplicate key",
        "a name stands once; put what belongs to it in one place, and write each route with a \
         `[[routes]]` of its own",
    ),
];

/// Finds the outermost bracket that is never closed, if there is one: the parser reads the rest of
/// the file as a part of it, and finds a mistake in every line of that.
fn find_unclosed(text: &str, document: &DeTable<'_>, mistakes: &[Problem]) -> Option<Span> {
    let is_unclosed = |mistake: &&Problem| {
        ["unclosed array", "unclosed inline table"]
            .iter()
            .any(|start| mistake.message.starts_with(start))
    };
    let end = mistakes.iter().rfind(is_unclosed)?.span.start;
    let is_broken = |span: &Span| {
        span.end >= end
            || mistakes
                .iter()
                .any(|other| span.start < other.span.start && other.span.start <= span.end)
    };
    let mut inline = Vec::new();
    document.values().for_each(|value| find_inline(text, value, &mut inline));
    let opening = inline.into_iter().filter(|span| span.start < end && is_broken(span)).max()?;
    Some(Span { start: opening.start, end: opening.start + 1 })
}

/// Collects the places of values in brackets that are not within others.
fn find_inline(text: &str, value: &Spanned<DeValue<'_>>, inline: &mut Vec<Span>) {
    let span = value.span();
    let opens_with = |bracket| text.get(span.clone()).is_some_and(|it| it.starts_with(bracket));
    match value.get_ref() {
        // Tables with headers are not inline; their place is the header, which they share with the
        // array that holds them.
        DeValue::Array(array) if array.first().is_some_and(|item| item.span() == span) => {
            array.iter().for_each(|item| find_inline(text, item, inline));
        }
        DeValue::Table(table) if !opens_with('{') => {
            table.values().for_each(|value| find_inline(text, value, inline));
        }
        DeValue::Array(_) | DeValue::Table(_) => inline.push(span.into()),
        _ => {}
    }
}
