//! `charge_on`: which statuses of an upstream are charged.

use crate::{
    config::{
        file::{Field, Spanned, StatusSet},
        report::{Problem, Problems},
        wording::quote,
    },
    model::ChargeOn,
};

/// Reads the list: each item puts statuses in or, with a `!` before it, takes them out.
pub(super) fn check(field: &Field<Vec<Spanned<StatusSet>>>, problems: &mut Problems) -> ChargeOn {
    let Some(Spanned { value: items, .. }) = field.given() else { return ChargeOn::default() };
    let mut set = ChargeOn::none();
    for (at, Spanned { value: StatusSet(text), span }) in items.iter().enumerate() {
        let (range, charged) = match text.strip_prefix('!') {
            Some(range) => (range, false),
            None => (text.as_str(), true),
        };
        let Some((first, last)) = parse_range(range) else {
            let message = format!("{} is not a status or a range of them", quote(text));
            let help = "write a status from 100 to 599, a range \"200-299\" or a class \"2xx\"; \
                        a `!` before it takes it out";
            problems.add(Problem::error(*span, message).help(help));
            continue;
        };
        if at == 0 && !charged {
            let message = "the list begins empty, so there is nothing to take out";
            let help = format!("write what is charged first, such as [\"100-499\", {text:?}]");
            problems.add(Problem::warning(*span, message).help(help));
        }
        set.set(first, last, charged);
    }
    set
}

/// Reads a status, a range or a class of them.
pub(super) fn parse_range(text: &str) -> Option<(u16, u16)> {
    let status = |text: &str| {
        let is_status = text.len() == 3 && text.bytes().all(|c| c.is_ascii_digit());
        let status = text.parse().ok().filter(|_| is_status);
        status.filter(|status| (100..=599).contains(status))
    };
    let (first, last) = match (text.split_once('-'), text.strip_suffix("xx")) {
        (Some((first, last)), _) => (status(first)?, status(last)?),
        (None, Some(class)) => {
            let first = status(&format!("{class}00"))?;
            (first, first + 99)
        }
        (None, None) => (status(text)?, status(text)?),
    };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, range) in [
            ("200", Some((200, 200))),
            ("100-499", Some((100, 499))),
            ("2xx", Some((200, 299))),
            ("5xx", Some((500, 599))),
            ("404-404", Some((404, 404))),
            ("", None),
            ("99", None),
            ("600", None),
            ("0200", None),
            ("+20", None),
            ("499-100", None),
            ("100-600", None),
            ("100-", None),
            ("-100", None),
            ("1-2-3", None),
            ("6xx", None),
            ("xx", None),
            ("20xx", None),
            ("2XX", None),
            ("!200", None),
        ] {
            assert_eq!(parse_range(text), range, "{text}");
        }
    }
}
