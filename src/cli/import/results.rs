//! The results of an import, line by line: what was done, what was bad, and the summary at the end.
#![expect(clippy::indexing_slicing, reason = "a JSON value gives null for what it does not have")]

use anyhow::{Context, bail};
use serde_json::Value;

use crate::cli::print::{cell, plain};

/// The longest line of an answer.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Puts the lines of an answer together from its pieces.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Hands on the lines that a piece completes.
    pub(super) fn push(
        &mut self,
        piece: &[u8],
        take: &mut impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.begun.len().saturating_add(part.len()) > LINE_BYTES_MAX {
                bail!("the gateway sent a line of more than {LINE_BYTES_MAX} bytes");
            }
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") {
                take(self.begun.trim_ascii())?;
                self.begun.clear();
            }
        }
        Ok(())
    }

    /// Hands on what stands behind the last line break.
    pub(super) fn finish(
        self,
        take: &mut impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        take(self.begun.trim_ascii())
    }
}

/// What was answered so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    lines: u64,
    errors: u64,
    summary: Option<Value>,
}

impl Tally {
    /// Counts a line; a bad one gives its number and what is wrong with it.
    pub(super) fn take(&mut self, line: &[u8]) -> anyhow::Result<Option<String>> {
        if line.is_empty() {
            return Ok(None);
        }
        let result: Value =
            serde_json::from_slice(line).context("the gateway sent a result that is no JSON")?;
        if result["done"] == Value::Bool(true) {
            self.summary = Some(result);
            return Ok(None);
        }
        self.lines = self.lines.saturating_add(1);
        if result["result"] != "error" {
            return Ok(None);
        }
        self.errors = self.errors.saturating_add(1);
        let message = result["error"].as_str().unwrap_or("no reason was given");
        Ok(Some(format!("{}: {}", cell(&result["line"]), plain(message))))
    }

    /// Gives the last line of the answer; without it the import was cut.
    pub(super) fn summary(&self) -> Option<&Value> {
        self.summary.as_ref()
    }

    /// Counts the lines that were answered.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Counts those that were bad, as they were seen or as they were summed up.
    pub(super) fn errors(&self) -> u64 {
        let told = self.summary.as_ref().and_then(|summary| summary["errors"].as_u64());
        self.errors.max(told.unwrap_or(0))
    }

    /// Writes the summary for people.
    pub(super) fn text(&self, name: &str) -> String {
        let summary = self.summary.as_ref().unwrap_or(&Value::Null);
        let number = |field: &str| cell(&summary[field]);
        format!(
            "{name}: {} lines, {} created, {} updated, {} unchanged, {} bad\n",
            number("lines"),
            number("created"),
            number("updated"),
            number("unchanged"),
            self.errors(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = concat!(
        "{\"line\":2,\"customer\":\"a\",\"result\":\"created\"}\n",
        "{\"line\":3,\"customer\":\"b\",\"result\":\"error\",\"error\":\"no plan \u{1b}x\"}\r\n",
        "\n",
        "{\"line\":5,\"result\":\"unchanged\"}\n",
        "{\"done\":true,\"lines\":3,\"created\":1,\"updated\":0,\"unchanged\":1,\"errors\":1}",
    );

    /// However the answer is cut into pieces, the same is counted.
    #[test]
    fn pieces_do_not_matter() {
        let answer = ANSWER.replace('\u{1b}', "\\u001b");
        for size in 1..answer.len() {
            let (mut lines, mut tally) = (Lines::default(), Tally::default());
            let mut told = Vec::new();
            let mut take = |line: &[u8]| {
                told.extend(tally.take(line)?);
                Ok(())
            };
            for piece in answer.as_bytes().chunks(size) {
                lines.push(piece, &mut take).unwrap();
            }
            lines.finish(&mut take).unwrap();
            assert_eq!(told, ["3: no plan \\u{1b}x"]);
            assert_eq!((tally.lines(), tally.errors()), (3, 1));
            let text = "f.csv: 3 lines, 1 created, 0 updated, 1 unchanged, 1 bad\n";
            assert_eq!(tally.text("f.csv"), text);
        }
    }

    #[test]
    fn errors_of_the_summary_count_too() {
        let mut tally = Tally::default();
        tally.take(br#"{"done":true,"lines":9,"errors":4}"#).unwrap();
        assert_eq!(tally.errors(), 4);
        assert!(tally.summary().is_some());
    }

    #[test]
    fn endless_line_is_not_kept() {
        let mut lines = Lines::default();
        let piece = vec![b'x'; 64 * 1024];
        let mut take = |_: &[u8]| Ok(());
        let refused = (0..64).find_map(|_| lines.push(&piece, &mut take).err());
        assert!(refused.unwrap().to_string().contains("a line of more than"));
        assert!(lines.begun.len() <= LINE_BYTES_MAX);
    }

    #[test]
    fn what_is_no_result_is_told() {
        assert!(Tally::default().take(b"<html>").is_err());
    }
}
