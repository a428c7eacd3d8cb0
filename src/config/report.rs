//! Problems of a configuration file, and how they are shown.
//!
//! Invariant: a report holds the file's text with every secret blotted out, so that nothing made
//! from it can tell one.

use std::{
    fmt::Write as _,
    ops::Range,
    path::{Path, PathBuf},
};

use annotate_snippets::{
    Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
};

use crate::config::excerpt;

/// A range of the file's bytes.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last; not less than `start`.
    pub end: usize,
}

impl From<Range<usize>> for Span {
    fn from(Range { start, end }: Range<usize>) -> Self {
        Self { start, end: end.max(start) }
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// A secret is not there: the file is sound, but cannot be used on this machine, now.
    MissingSecret,
    /// The file can be used, but does something that was hardly meant.
    Warning,
}

/// Something about the file that its writer should know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line, lower case and without a full stop.
    pub message: String,
    /// Where it is.
    pub span: Span,
    /// What to do about it.
    pub help: Option<String>,
    /// Another place that has to do with it, and what that place is.
    pub related: Option<(Span, String)>,
    /// Whether the line must not be shown, because it holds a secret or may hold one.
    pub hidden: bool,
}

impl Problem {
    pub(super) fn error(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, span, message.into())
    }

    pub(super) fn missing_secret(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::MissingSecret, span, message.into())
    }

    pub(super) fn warning(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, span, message.into())
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related = Some((span, label.into()));
        self
    }

    /// Keeps the line out of the report.
    pub(super) fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    fn new(severity: Severity, span: Span, message: String) -> Self {
        Self { severity, message, span, help: None, related: None, hidden: false }
    }
}

/// Problems as they are found, and the places that must not be shown.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
    secrets: Vec<Span>,
}

impl Problems {
    pub(super) fn add(&mut self, problem: Problem) {
        if problem.hidden {
            self.secrets.push(problem.span);
        }
        self.found.push(problem);
    }

    /// Tells whether the file cannot be used.
    pub(super) fn has_errors(&self) -> bool {
        self.found.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Tells whether something was found within a place.
    pub(super) fn any_within(&self, span: Span) -> bool {
        let within = |found: &Problem| span.start <= found.span.start && found.span.end <= span.end;
        self.found.iter().any(within)
    }

    /// Notes a place that no excerpt may show.
    pub(super) fn conceal(&mut self, span: Span) {
        self.secrets.push(span);
    }

    /// Drops problems; what is concealed stays so.
    pub(super) fn retain(&mut self, keep: impl FnMut(&Problem) -> bool) {
        self.found.retain(keep);
    }

    /// Makes the report of what was found.
    pub(super) fn into_report(self, text: &str, path: &Path) -> Report {
        let Self { mut found, secrets } = self;
        let text = excerpt::blot_out(text, &secrets);
        for Problem { severity: _, message, span, help, related, hidden: _ } in &mut found {
            // A key may have been quoted as the name that it was written for.
            *message = excerpt::blot_out(message, &[]);
            *help = help.as_ref().map(|help| excerpt::blot_out(help, &[]));
            *span = within(&text, *span);
            if let Some((span, _)) = related {
                *span = within(&text, *span);
            }
        }
        found.sort_by_key(|problem| problem.span);
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(newline, _)| newline + 1))
            .collect();
        Report { path: path.to_owned(), text, line_starts, problems: found }
    }
}

/// Brings a span within the text and between its characters, since the renderer demands both.
fn within(text: &str, span: Span) -> Span {
    let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    let start = boundary(span.start).unwrap_or(0);
    Span { start, end: boundary(span.end).unwrap_or(0).max(start) }
}

/// What a report is for, which decides how bad a missing secret is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// The file is looked at, perhaps on a machine that never has the secrets.
    Check,
    /// The file is about to be used.
    Run,
}

/// Whether a report may have colours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Colour {
    /// Escape sequences of a terminal.
    Ansi,
    /// Text alone.
    Plain,
}

/// All problems of a file, by position.
#[derive(Clone, Debug)]
pub struct Report {
    path: PathBuf,
    text: String,
    line_starts: Vec<usize>,
    problems: Vec<Problem>,
}

impl Report {
    /// Gives the problems, by position.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Tells whether any problem has this severity.
    pub fn has(&self, severity: Severity) -> bool {
        self.problems.iter().any(|problem| problem.severity == severity)
    }

    /// Gives the line and the column, in characters, where a problem begins; both count from 1.
    pub fn position(&self, problem: &Problem) -> (usize, usize) {
        let Span { start, .. } = within(&self.text, problem.span);
        let line = self.line(start);
        let line_start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(line_start..start).unwrap_or("");
        (line, before.chars().count() + 1)
    }

    /// Shows every problem under its line; empty when there is none.
    pub fn render(&self, purpose: Purpose, colour: Colour) -> String {
        let renderer = match colour {
            Colour::Ansi => Renderer::styled(),
            Colour::Plain => Renderer::plain(),
        };
        let mut report = String::new();
        for problem in &self.problems {
            report.push_str(&renderer.render(&[self.group(problem, purpose)]));
            report.push_str("\n\n");
        }
        report
    }

    /// Counts the problems in one line, such as `faregate.toml: 2 errors, 1 warning`.
    pub fn summary(&self, purpose: Purpose) -> String {
        let is_error = |problem: &&Problem| is_error(problem.severity, purpose);
        let errors = self.problems.iter().filter(is_error).count();
        let warnings = self.problems.len() - errors;
        let mut line = format!("{}: ", self.path.display());
        let plural = |count| if count == 1 { "" } else { "s" };
        let _ = match (errors, warnings) {
            (0, 0) => write!(line, "no problems"),
            (0, n) => write!(line, "{n} warning{}", plural(n)),
            (n, 0) => write!(line, "{n} error{}", plural(n)),
            (n, m) => write!(line, "{n} error{}, {m} warning{}", plural(n), plural(m)),
        };
        line
    }

    fn group<'a>(&'a self, problem: &'a Problem, purpose: Purpose) -> Group<'a> {
        let level = if is_error(problem.severity, purpose) { Level::ERROR } else { Level::WARNING };
        let group = Group::with_title(level.primary_title(problem.message.as_str()));
        let group = if problem.hidden {
            let (line, column) = self.position(problem);
            group.element(Origin::path(self.path_text()).line(line).char_column(column))
        } else {
            group.elements(self.snippets(problem))
        };
        match &problem.help {
            Some(help) => group.element(Level::HELP.message(normalize_untrusted_str(help))),
            None => group,
        }
    }

    fn snippets<'a>(&'a self, problem: &'a Problem) -> Vec<Snippet<'a, Annotation<'a>>> {
        let primary = Mark { kind: AnnotationKind::Primary, span: problem.span, label: None };
        let Some((span, label)) = &problem.related else {
            return vec![self.window(&[primary])];
        };
        let related = Mark { kind: AnnotationKind::Context, span: *span, label: Some(label) };
        let distance = self.line(span.start).abs_diff(self.line(problem.span.start));
        if distance <= WINDOW_LINES_MAX {
            vec![self.window(&[primary, related])]
        } else {
            vec![self.window(&[primary]), self.window(&[related])]
        }
    }

    /// Cuts out the lines with the marks. The renderer reads all of what it is given, so that a
    /// report on the whole text would cost the length of the file for every problem in it.
    fn window<'a>(&'a self, marks: &[Mark<'a>]) -> Snippet<'a, Annotation<'a>> {
        let first = marks.iter().map(|mark| self.line(mark.span.start)).min().unwrap_or(1);
        let last = marks.iter().map(|mark| self.line(mark.span.end)).max().unwrap_or(1);
        let start = self.line_starts.get(first - 1).copied().unwrap_or(0);
        let end = self.line_starts.get(last).copied().unwrap_or(self.text.len());
        let annotations = marks.iter().map(|Mark { kind, span, label }| {
            kind.span(span.start - start..span.end - start).label(*label)
        });
        Snippet::source(self.text.get(start..end).unwrap_or(""))
            .path(self.path_text())
            .line_start(first)
            .annotations(annotations)
    }

    fn path_text(&self) -> String {
        self.path.display().to_string()
    }

    /// Gives the number of the line that a byte is on, from 1.
    fn line(&self, byte: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= byte).max(1)
    }
}

/// The most lines between two places that are shown as one excerpt.
const WINDOW_LINES_MAX: usize = 50;

/// A place to show.
struct Mark<'a> {
    kind: AnnotationKind,
    span: Span,
    label: Option<&'a str>,
}

fn is_error(severity: Severity, purpose: Purpose) -> bool {
    match (severity, purpose) {
        (Severity::Error, _) | (Severity::MissingSecret, Purpose::Run) => true,
        (Severity::MissingSecret, Purpose::Check) | (Severity::Warning, _) => false,
    }
}
