//! How the rows of a report are written: one document, a table, or a document on each line.

use std::fmt::Write as _;

use axum::http::{HeaderMap, StatusCode, header};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::question::{Column, Report};
use crate::{
    admin::{pipe::Writer, problem::Problem},
    store::records::ReportRow,
};

/// How a report is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Format {
    Csv,
    Json,
    Lines,
}

/// In the order in which they are preferred.
const FORMATS: [Format; 3] = [Format::Json, Format::Csv, Format::Lines];

impl Format {
    /// Gives the format that the client likes best of those there are.
    pub(super) fn accepted(headers: &HeaderMap) -> Result<Self, Problem> {
        let fields = headers.get_all(header::ACCEPT).iter();
        let text: Vec<&str> = fields.map(|field| field.to_str().unwrap_or_default()).collect();
        let text = text.join(",");
        if text.trim().is_empty() {
            return Ok(Self::Json);
        }
        let weigh = |format: &Self| text.split(',').map(|range| format.weight(range)).max();
        let mut best = (0, Self::Json);
        for format in FORMATS {
            let weight = weigh(&format).unwrap_or(0);
            if weight > best.0 {
                best = (weight, format);
            }
        }
        if best.0 > 0 {
            return Ok(best.1);
        }
        let detail = "A report is application/json, text/csv or application/x-ndjson; name one of \
                      them in Accept.";
        Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail))
    }

    /// Gives how much a range of Accept wants this format, in thousandths.
    fn weight(self, range: &str) -> u16 {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let group = self.media().split('/').next().unwrap_or_default();
        let is_meant = media == self.media()
            || media == "*/*"
            || media.strip_suffix("/*").is_some_and(|given| given == group);
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        match quality.map_or(Some(1000), thousandths) {
            Some(weight) if is_meant => weight,
            _ => 0,
        }
    }

    pub(super) fn media(self) -> &'static str {
        match self {
            Self::Csv => "text/csv",
            Self::Json => "application/json",
            Self::Lines => "application/x-ndjson",
        }
    }
}

/// Reads a quality from 0 to 1 with up to three digits.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let whole: u16 = whole.parse().ok().filter(|whole| *whole <= 1)?;
    let rest: u16 = format!("{rest:0<3}").parse().ok().filter(|rest| *rest <= 999)?;
    Some((whole * 1000 + rest).min(1000))
}

/// Writes rows. Each method answers whether somebody still takes them.
#[derive(Debug)]
pub(super) struct Sheet {
    format: Format,
    columns: Vec<Column>,
    head: String,
    is_empty: bool,
    writer: Writer,
}

impl Sheet {
    pub(super) fn new(format: Format, report: &Report, writer: Writer) -> Self {
        let names = report.by.iter().map(|column| column.name());
        let head = match format {
            Format::Csv => {
                let mut names: Vec<&str> = names.collect();
                names.extend(["requests", "units"]);
                names.extend(report.by.contains(&Column::Currency).then_some("credit"));
                format!("{}\r\n", names.join(","))
            }
            Format::Json => {
                let by: Vec<&str> = names.collect();
                let mut head = json!({"from": report.from, "to": report.to, "by": by}).to_string();
                head.pop();
                head + ",\"rows\":["
            }
            Format::Lines => String::new(),
        };
        Self { format, columns: report.by.clone(), head, is_empty: true, writer }
    }

    pub(super) fn begin(&mut self) -> bool {
        let head = std::mem::take(&mut self.head);
        self.put(&head)
    }

    pub(super) fn row(&mut self, row: &ReportRow) -> bool {
        let text = match self.format {
            Format::Csv => self.cells(row),
            Format::Json if self.is_empty => self.document(row),
            Format::Json => format!(",{}", self.document(row)),
            Format::Lines => self.document(row) + "\n",
        };
        self.is_empty = false;
        self.put(&text)
    }

    pub(super) fn end(self) {
        if self.format != Format::Json || self.put("]}\n") {
            self.writer.finish();
        }
    }

    fn put(&self, text: &str) -> bool {
        self.writer.write(text.as_bytes()).is_ok()
    }

    fn document(&self, row: &ReportRow) -> String {
        let value = |column| Value::from(value_of(row, column));
        let named = self.columns.iter().map(|column| (column.name().to_owned(), value(*column)));
        let mut document: Map<String, Value> = named.collect();
        document.insert("requests".to_owned(), row.requests.into());
        document.insert("units".to_owned(), row.units.into());
        document.extend(row.credit.map(|nanos| ("credit".to_owned(), nanos.to_string().into())));
        Value::Object(document).to_string()
    }

    fn cells(&self, row: &ReportRow) -> String {
        let mut line = String::new();
        for column in &self.columns {
            cell(&mut line, &value_of(row, *column));
            line.push(',');
        }
        // Writing to a string does not fail.
        let _ = write!(line, "{},{}", row.requests, row.units);
        if let Some(nanos) = row.credit {
            let _ = write!(line, ",{nanos}");
        }
        line.push_str("\r\n");
        line
    }
}

fn value_of(row: &ReportRow, column: Column) -> String {
    let ReportRow {
        customer,
        key_id,
        route,
        ending,
        currency,
        start,
        requests: _,
        units: _,
        credit: _,
    } = row;
    let text = match column {
        Column::Customer => customer.clone(),
        Column::Key => key_id.clone(),
        Column::Route => route.clone(),
        Column::Ending => ending.clone(),
        Column::Currency => currency.clone(),
        Column::Hour => start.map(|start| start.to_string()),
        Column::Day => start.map(day),
    };
    text.unwrap_or_default()
}

fn day(start: Timestamp) -> String {
    start.to_zoned(TimeZone::UTC).date().to_string()
}

/// Writes a cell. A name that a spreadsheet would take for a formula is written as a text: names
/// are the operator's, but customers' ids may come from whoever signs up.
fn cell(line: &mut String, text: &str) {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if text.contains(['"', ',', '\r', '\n']) {
        let doubled = text.replace('"', "\"\"");
        line.push_str(&format!("\"{guard}{doubled}\""));
    } else {
        line.push_str(guard);
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn best_liked_format_is_taken() {
        let accepted = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(text));
            Format::accepted(&headers).ok()
        };
        for (text, format) in [
            ("", Some(Format::Json)),
            ("*/*", Some(Format::Json)),
            ("text/*", Some(Format::Csv)),
            ("Text/CSV; charset=utf-8", Some(Format::Csv)),
            ("text/html, text/csv;q=0.9, */*;q=0.1", Some(Format::Csv)),
            ("application/json;q=0.5, application/x-ndjson", Some(Format::Lines)),
            ("application/*;q=0.2, text/csv;q=0.25", Some(Format::Csv)),
            ("text/html", None),
            ("text/csv;q=0", None),
        ] {
            assert_eq!(accepted(text), format, "{text}");
        }
        assert_eq!(Format::accepted(&HeaderMap::new()).ok(), Some(Format::Json));
    }

    #[test]
    fn cells_are_quoted_and_no_formulas() {
        let written = |text: &str| {
            let mut line = String::new();
            cell(&mut line, text);
            line
        };
        for (text, expected) in [
            ("acme", "acme"),
            ("a@b.example", "a@b.example"),
            ("=1+1", "'=1+1"),
            ("-acme", "'-acme"),
            ("@sum", "'@sum"),
            ("/a,b", "\"/a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=\"a\"", "\"'=\"\"a\"\"\""),
        ] {
            assert_eq!(written(text), expected);
        }
    }
}
