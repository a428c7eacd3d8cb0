//! Path patterns, and the one form that literal segments are compared in.
//!
//! A request's path is brought into this form before it is matched (RFC 3986 section 6.2.2), so a
//! pattern in another form would never match; it is refused with the form that would.

use crate::{
    config::wording::quote,
    model::{SegmentError, normal_segment},
};

/// A path pattern in its checked form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Pattern {
    segments: Vec<Segment>,
}

/// A piece of a pattern between slashes.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Segment {
    Literal(String),
    One(String),
    Rest(String),
}

/// What is wrong with a pattern, and what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct BadPath {
    pub(super) message: String,
    pub(super) help: String,
}

impl BadPath {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

impl Pattern {
    /// Reads a pattern; the first mistake in it is the answer.
    pub(super) fn parse(text: &str) -> Result<Self, BadPath> {
        let Some(path) = text.strip_prefix('/') else {
            let help = format!("write {}", quote(&format!("/{text}")));
            return Err(BadPath::new("a path begins with a slash", help));
        };
        let pieces: Vec<&str> = path.split('/').collect();
        let last = pieces.len() - 1;
        let mut segments = Vec::new();
        for (at, piece) in pieces.into_iter().enumerate() {
            if piece.is_empty() && at < last {
                let help = "requests have `//` collapsed to `/` before they are matched; write one";
                return Err(BadPath::new("the path has an empty segment", help));
            }
            let segment = parse_segment(piece)?;
            if matches!(segment, Segment::Rest(_)) && at < last {
                let help = format!("for one segment write {}", quote(&piece.replace('*', "")));
                return Err(BadPath::new(
                    format!("{} can only be the last segment", quote(piece)),
                    help,
                ));
            }
            if segments.iter().any(|other| same_name(other, &segment)) {
                let message = format!("two segments are called {}", quote(piece));
                return Err(BadPath::new(message, "give each its own name"));
            }
            segments.push(segment);
        }
        Ok(Self { segments })
    }

    /// Gives the pattern without the names in it: two patterns with one shape match the same paths.
    pub(super) fn shape(&self) -> String {
        let mut shape = String::new();
        for segment in &self.segments {
            shape.push('/');
            shape.push_str(match segment {
                Segment::Literal(literal) => literal,
                Segment::One(_) => "{}",
                Segment::Rest(_) => "{*}",
            });
        }
        shape
    }

    /// Tells whether every path that matches begins with the literal segments of the prefix.
    pub(super) fn begins_with(&self, prefix: &Self) -> bool {
        let mut segments = self.segments.iter();
        prefix
            .segments
            .iter()
            .all(|wanted| matches!(wanted, Segment::Literal(_)) && segments.next() == Some(wanted))
    }

    /// Reads a prefix: literal segments, at least one, without a slash at the end.
    pub(super) fn parse_prefix(text: &str) -> Result<Self, BadPath> {
        let trimmed = text.trim_end_matches('/');
        if trimmed.is_empty() {
            return Err(BadPath::new(
                format!("{} is not a prefix", quote(text)),
                "write a slash and a name, such as `/v1`",
            ));
        }
        if trimmed != text {
            let help = format!("write {}", quote(trimmed));
            return Err(BadPath::new("a prefix does not end with a slash", help));
        }
        let pattern = Self::parse(text)?;
        if pattern.segments.iter().all(|segment| matches!(segment, Segment::Literal(_))) {
            return Ok(pattern);
        }
        Err(BadPath::new("a prefix has no parameters", "leave out the segments in braces"))
    }
}

fn same_name(a: &Segment, b: &Segment) -> bool {
    match (a, b) {
        (Segment::Literal(_), _) | (_, Segment::Literal(_)) => false,
        (Segment::One(a) | Segment::Rest(a), Segment::One(b) | Segment::Rest(b)) => a == b,
    }
}

fn parse_segment(piece: &str) -> Result<Segment, BadPath> {
    if !piece.contains(['{', '}']) {
        return parse_literal(piece).map(Segment::Literal);
    }
    let inner = piece.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let Some(inner) = inner.filter(|inner| !inner.contains(['{', '}'])) else {
        let message = format!("a parameter is a whole segment, and {} is not", quote(piece));
        let help = "write `{name}` or `{*name}` between slashes; a brace itself is `%7B` or `%7D`";
        return Err(BadPath::new(message, help));
    };
    let (name, segment): (_, fn(String) -> Segment) = match inner.strip_prefix('*') {
        Some(name) => (name, Segment::Rest),
        None => (inner, Segment::One),
    };
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        let message = format!("{} is not a parameter", quote(piece));
        let help = "the name in the braces is letters, digits and `_`";
        return Err(BadPath::new(message, help));
    }
    Ok(segment(name.to_owned()))
}

fn parse_literal(piece: &str) -> Result<String, BadPath> {
    if matches!(piece, "." | "..") {
        let message = format!("the path has a {} segment", quote(piece));
        let help = "requests have it resolved before they are matched; write the path it leads to";
        return Err(BadPath::new(message, help));
    }
    if piece.contains(['?', '#']) {
        let message = format!("{} has a query or a fragment", quote(piece));
        return Err(BadPath::new(message, "routes are chosen by path alone; leave it out"));
    }
    let normal = normalize(piece)?;
    if matches!(normal.as_str(), "." | "..") {
        let message = "the path has an encoded dot segment";
        return Err(BadPath::new(message, "requests with it are refused; leave it out"));
    }
    if normal == piece {
        return Ok(normal);
    }
    let message = format!("{} is not in the form that requests are compared in", quote(piece));
    Err(BadPath::new(message, format!("write {}", quote(&normal))))
}

/// Brings a literal segment into its normal form, the one that requests are brought into.
fn normalize(piece: &str) -> Result<String, BadPath> {
    normal_segment(piece).map_err(|error| match error {
        SegmentError::Percent => {
            let message = format!("{} has a `%` without two digits", quote(piece));
            BadPath::new(message, "a percent sign itself is `%25`")
        }
        SegmentError::Separator => {
            let message = "the path has a slash, a backslash or a NUL in a segment";
            BadPath::new(message, "requests with it are refused; leave it out")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_patterns() {
        for (text, shape) in [
            ("/", "/"),
            ("/v1", "/v1"),
            ("/v1/", "/v1/"),
            ("/{*path}", "/{*}"),
            ("/a/{id}/b/{*rest}", "/a/{}/b/{*}"),
            ("/a%20b/caf%C3%A9", "/a%20b/caf%C3%A9"),
            ("/a;b=c,d@e:f!$&'()*+", "/a;b=c,d@e:f!$&'()*+"),
            ("/...", "/..."),
            ("/%7Bid%7D", "/%7Bid%7D"),
        ] {
            assert_eq!(Pattern::parse(text).unwrap().shape(), shape);
        }
    }

    #[test]
    fn bad_patterns() {
        for (text, told) in [
            ("", "begins with a slash"),
            ("v1", "begins with a slash"),
            ("//", "empty segment"),
            ("/a//b", "empty segment"),
            ("/./a", "`.` segment"),
            ("/a/..", "`..` segment"),
            ("/%2e%2E", "encoded dot segment"),
            ("/a%2Fb", "a slash"),
            ("/a%5cb", "a slash"),
            ("/a\\b", "a slash"),
            ("/a%00", "a slash"),
            ("/%", "without two digits"),
            ("/%4", "without two digits"),
            ("/%zz", "without two digits"),
            ("/a?b", "query"),
            ("/%61", "not in the form"),
            ("/caf%c3%a9", "not in the form"),
            ("/café", "not in the form"),
            ("/a b", "not in the form"),
            ("/a{id}", "whole segment"),
            ("/{id}.json", "whole segment"),
            ("/{a{b}}", "whole segment"),
            ("/}{", "whole segment"),
            ("/{", "whole segment"),
            ("/{}", "not a parameter"),
            ("/{*}", "not a parameter"),
            ("/{**a}", "not a parameter"),
            ("/{a-b}", "not a parameter"),
            ("/{*rest}/a", "last segment"),
            ("/{*rest}/", "last segment"),
            ("/{id}/{id}", "two segments"),
            ("/{id}/{*id}", "two segments"),
        ] {
            let bad = Pattern::parse(text).unwrap_err();
            assert!(bad.message.contains(told), "{text}: {}", bad.message);
        }
    }

    #[test]
    fn normal_form_is_told() {
        for (text, normal) in
            [("/%61", "`a`"), ("/caf%c3%a9", "`caf%C3%A9`"), ("/a b|", "`a%20b%7C`")]
        {
            assert_eq!(Pattern::parse(text).unwrap_err().help, format!("write {normal}"));
        }
    }

    #[test]
    fn prefixes_are_whole_segments() {
        let begins = |path: &str, prefix: &str| {
            Pattern::parse(path).unwrap().begins_with(&Pattern::parse_prefix(prefix).unwrap())
        };
        assert!(begins("/v1/{*rest}", "/v1"));
        assert!(begins("/v1", "/v1"));
        assert!(begins("/v1/a/b", "/v1/a"));
        assert!(!begins("/v10", "/v1"));
        assert!(!begins("/{version}/a", "/v1"));
        assert!(!begins("/v1", "/v1/a"));
        for bad in ["", "/", "v1", "/v1/", "/{a}", "/{*a}", "//"] {
            assert!(Pattern::parse_prefix(bad).is_err(), "{bad}");
        }
    }
}
