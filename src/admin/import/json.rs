//! An import as a JSON document on each line.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::{
    draft::{Column, Draft, repeatable},
    lines::{LINE_MAX, Record, TOO_LONG},
    upload::{End, Upload},
};

/// The lines of such an import.
#[derive(Debug)]
pub(super) struct JsonLines {
    upload: Upload,
    number: u64,
    line: Vec<u8>,
}

impl JsonLines {
    pub(super) fn new(upload: Upload) -> Self {
        Self { upload, number: 0, line: Vec::new() }
    }

    pub(super) fn upload(&self) -> &Upload {
        &self.upload
    }

    /// Gives the next line that is not blank.
    pub(super) fn next(&mut self) -> Option<Record> {
        loop {
            let is_whole = self.read_line()?;
            if !is_whole {
                return Some(Record::bad(self.number, TOO_LONG));
            }
            let line = self.line.trim_ascii();
            if !line.is_empty() {
                return Some(parse(self.number, line));
            }
        }
    }

    /// Reads a line; tells whether it was short enough to be kept.
    fn read_line(&mut self) -> Option<bool> {
        self.line.clear();
        self.number += 1;
        let (mut is_whole, mut is_begun) = (true, false);
        loop {
            let part = self.upload.peek();
            if part.is_empty() {
                // What a body that is broken off ends with is part of a line, and perhaps of a key.
                let is_last = is_begun && self.upload.end() == Some(End::Whole);
                return is_last.then_some(is_whole);
            }
            let end = part.iter().position(|byte| *byte == b'\n');
            let text = part.get(..end.unwrap_or(part.len())).unwrap_or_default();
            is_begun = true;
            is_whole &= self.line.len() + text.len() <= LINE_MAX;
            if is_whole {
                self.line.extend_from_slice(text);
            }
            let count = text.len() + usize::from(end.is_some());
            self.upload.consume(count);
            if end.is_some() {
                return Some(is_whole);
            }
        }
    }
}

/// The members of an object, none of them lost.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

fn parse(number: u64, line: &[u8]) -> Record {
    let members = match serde_json::from_slice(line) {
        Ok(Members(members)) => members,
        // The error of other data would repeat it.
        Err(error) if error.is_data() => {
            return Record::bad(number, "a line is a JSON object, from { to }");
        }
        Err(error) => {
            let column = error.column();
            return Record::bad(number, format!("the line is not JSON at its byte {column}"));
        }
    };
    let mut draft = Draft::default();
    let mut seen = Vec::new();
    for (name, value) in members {
        let Some(column) = Column::find(&name) else {
            let shown = repeatable(&name).unwrap_or("a field");
            draft.wrong_field(
                shown,
                format!("there is no such field; there are {}", Column::names()),
            );
            continue;
        };
        if seen.contains(&column) {
            draft.wrong(column, "it stands there twice");
            continue;
        }
        seen.push(column);
        set(&mut draft, column, value);
    }
    draft.finish(number)
}

fn set(draft: &mut Draft, column: Column, value: Value) {
    match value {
        Value::Null => {}
        Value::String(text) => draft.set(column, text),
        Value::Array(items) if column == Column::Scopes => {
            let texts = items.into_iter().map(|item| match item {
                Value::String(text) => Some(text),
                _ => None,
            });
            match texts.collect() {
                Some(scopes) => draft.set_scopes(scopes),
                None => draft.wrong(column, "write a list of texts"),
            }
        }
        _ if column == Column::Scopes => draft.wrong(column, "write a text or a list of texts"),
        _ => draft.wrong(column, "write a text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &[&[u8]], end: End) -> Vec<String> {
        let mut lines = JsonLines::new(Upload::of(parts, end));
        let records = std::iter::from_fn(|| lines.next());
        let told = records.map(|Record { line, customer, parsed }| {
            let said = match parsed {
                Ok(line) => format!("{:?} {:?}", line.name, line.scopes),
                Err(error) => error,
            };
            format!("{line} {}: {said}", customer.unwrap_or_default())
        });
        told.collect()
    }

    #[test]
    fn lines_are_numbered_as_in_the_file() {
        let parts: [&[u8]; 3] = [
            b"\r\n{\"customer\": \"a\", \"scopes\": [\"x\", \"y z\"]}\r\n \t\n{\"cust",
            b"omer\":\"b\",\"scopes\":\" x  y\",\"name\":\"\",\"plan\":null}\n\n",
            b"{\"customer\":\"c\"}",
        ];
        assert_eq!(
            read(&parts, End::Whole),
            [
                "2 a: None Some([\"x\", \"y z\"])",
                "4 b: None Some([\"x\", \"y\"])",
                "6 c: None None"
            ]
        );
    }

    #[test]
    fn rest_of_a_body_that_broke_off_is_not_a_line() {
        let parts: [&[u8]; 1] = [b"{\"customer\":\"a\"}\n{\"customer\":\"b\"}"];
        assert_eq!(read(&parts, End::Broken("cut")).len(), 1);
        assert_eq!(read(&parts, End::Whole).len(), 2);
    }

    #[test]
    fn bad_lines_are_told_without_what_they_hold() {
        for (line, told) in [
            ("[\"s3cret\"]", "1 : a line is a JSON object, from { to }"),
            ("\"s3cret\"", "1 : a line is a JSON object, from { to }"),
            ("{\"customer\":\"a\",\"key\":\"s3cret}", "1 : the line is not JSON at its byte 30"),
            ("{\"customer\":\"a\"} {}", "1 : the line is not JSON at its byte 18"),
            ("{\"customer\":\"a\",\"key\":7}", "1 a: key: write a text"),
            ("{\"customer\":\"a\",\"scopes\":[1]}", "1 a: scopes: write a list of texts"),
            ("{\"customer\":\"fg_live_s3cret\"}", "1 : None None"),
            (
                "{\"key\":\"x\",\"key\":\"y\"}",
                "1 : key: it stands there twice; customer: every line needs one",
            ),
        ] {
            assert_eq!(read(&[line.as_bytes()], End::Whole), [told], "{line}");
        }
        let told = read(&[b"{\"customer\":\"a\",\"s3cret\":1,\"colour\":1}"], End::Whole);
        assert!(told[0].contains("a field: there is no such field; there are customer, "));
        assert!(told[0].contains("colour: there is no") && !told[0].contains("s3cret"), "{told:?}");
    }

    #[test]
    fn line_that_is_too_long_is_passed_by() {
        let long = format!("{{\"customer\":\"{}\"}}\n", "x".repeat(LINE_MAX));
        let (first, second) = long.as_bytes().split_at(LINE_MAX / 2);
        let parts = [first, second, b"{\"customer\":\"b\"}\n"];
        assert_eq!(
            read(&parts, End::Whole),
            [format!("1 : {TOO_LONG}"), "2 b: None None".to_owned()]
        );
    }
}
