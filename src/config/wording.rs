//! The words of messages: quoting what the user wrote, and naming what could have been meant.

/// The most characters of the user's text that a message repeats.
const QUOTED_MAX: usize = 60;

/// Puts a text between backticks, cut when long and without control characters.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("`");
    for (count, character) in text.chars().enumerate() {
        if count == QUOTED_MAX {
            quoted.push('…');
            break;
        }
        if character.is_control() {
            quoted.extend(character.escape_default());
        } else {
            quoted.push(character);
        }
    }
    quoted.push('`');
    quoted
}

/// Names the candidate that was likely meant, else all of them.
pub(super) fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match nearest(word, &candidates) {
        Some(meant) => format!("did you mean {}?", quote(meant)),
        None => format!("allowed here: {}", list(&candidates)),
    }
}

/// The most names that a help lists.
const LISTED_MAX: usize = 24;

/// Writes names as a list.
pub(super) fn list(names: &[&str]) -> String {
    let mut list: Vec<String> = names.iter().take(LISTED_MAX).map(|name| quote(name)).collect();
    if names.len() > LISTED_MAX {
        list.push(format!("and {} more", names.len() - LISTED_MAX));
    }
    list.join(", ")
}

/// Finds the candidate that differs least, if it differs little.
pub(super) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance <= allowed.min(candidate.chars().count() - 1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Counts the letters to insert, take out, replace or swap with their neighbour (the restricted
/// distance of Damerau and Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut previous = None;
    for (row, letter) in from.chars().enumerate() {
        let mut current = vec![row + 1];
        let mut previous_to = None;
        for (column, other) in to.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let replaced = at(&last, column) + usize::from(letter != *other);
            let inserted = at(&current, column) + 1;
            let taken_out = at(&last, column + 1) + 1;
            let mut least = replaced.min(inserted).min(taken_out);
            if column > 0 && previous == Some(*other) && previous_to == Some(letter) {
                least = least.min(at(&before, column - 1) + 1);
            }
            current.push(least);
            previous_to = Some(*other);
        }
        before = std::mem::replace(&mut last, current);
        previous = Some(letter);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (from, to, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("listen", "listen", 0),
            ("lisen", "listen", 1),
            ("lisetn", "listen", 1),
            ("listenn", "listen", 1),
            ("kitten", "sitting", 3),
            ("ca", "abc", 3),
        ] {
            assert_eq!(distance(from, to), edits, "{from} {to}");
        }
    }

    #[test]
    fn nearest_is_near() {
        let names = ["listen", "public_url", "limits"];
        assert_eq!(nearest("lisetn", &names), Some("listen"));
        assert_eq!(nearest("Listen", &names), Some("listen"));
        assert_eq!(nearest("publicurl", &names), Some("public_url"));
        assert_eq!(nearest("workers", &names), None);
        assert_eq!(nearest("x", &["y", "z"]), None);
        assert_eq!(nearest("", &names), None);
    }

    #[test]
    fn quote_cuts_and_escapes() {
        assert_eq!(quote("a\u{1b}[31m"), "`a\\u{1b}[31m`");
        assert_eq!(quote(&"é".repeat(100)), format!("`{}…`", "é".repeat(60)));
    }
}
