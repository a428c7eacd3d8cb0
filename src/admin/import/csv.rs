//! An import as a table (RFC 4180), whose first line names the columns.

use csv_core::ReadRecordResult;

use super::{
    draft::{Column, Draft, repeatable},
    lines::{LINE_MAX, Record, TOO_LONG},
    upload::{End, Upload},
};
use crate::provisioning::FieldError;

/// How many cells of a line are told apart; there are fewer columns.
const CELLS_MAX: usize = 64;

/// The lines of such an import.
#[derive(Debug)]
pub(super) struct CsvLines {
    upload: Upload,
    parser: csv_core::Reader,
    columns: Vec<Column>,
    /// The number of the line that is read next.
    line: u64,
    /// The byte before that.
    last: u8,
    /// The cells of the record that was read last, one behind the other, and where they end.
    text: Vec<u8>,
    ends: Vec<usize>,
}

/// A record whose cells are in the buffers, and its place.
#[derive(Clone, Copy, Debug)]
struct Place {
    first: u64,
    last: u64,
    cells: usize,
    is_whole: bool,
}

impl CsvLines {
    /// Reads the line that names the columns. A wrong one refuses the whole: nobody knows what the
    /// cells are.
    pub(super) fn open(upload: Upload) -> Result<Self, (Vec<FieldError>, Upload)> {
        let mut lines = Self {
            upload,
            parser: begun(),
            columns: Vec::new(),
            line: 1,
            last: b'\n',
            // One more than may be used: a buffer that is full is taken for too small.
            text: vec![0; LINE_MAX + 1],
            ends: vec![0; CELLS_MAX + 1],
        };
        let header = match lines.read() {
            Some(place) if place.is_whole => columns(&lines.cells(place)),
            Some(_) => Err(vec![error("", TOO_LONG)]),
            None => columns(&[]),
        };
        match header {
            Ok(columns) => Ok(Self { columns, ..lines }),
            Err(errors) => Err((errors, lines.upload)),
        }
    }

    pub(super) fn upload(&self) -> &Upload {
        &self.upload
    }

    /// Gives the next line that is not blank.
    pub(super) fn next(&mut self) -> Option<Record> {
        let place = self.read()?;
        let mut record = self.record(place);
        if let Err(error) = &mut record.parsed
            && place.last > place.first
        {
            let last = place.last;
            error.push_str(&format!(
                " (the line goes on to line {last}; is a quotation mark not closed?)"
            ));
        }
        Some(record)
    }

    fn record(&self, place: Place) -> Record {
        let Place { first, last: _, cells: count, is_whole } = place;
        if !is_whole {
            return Record::bad(first, TOO_LONG);
        }
        let expected = self.columns.len();
        if count != expected {
            let message =
                format!("the line has {count} cells, and the first line names {expected}");
            return Record::bad(first, message);
        }
        let mut draft = Draft::default();
        for (column, cell) in self.columns.iter().zip(self.cells(place)) {
            match str::from_utf8(cell) {
                Ok(text) => draft.set(*column, text.to_owned()),
                Err(_) => draft.wrong(*column, "it is not UTF-8; save the file as UTF-8"),
            }
        }
        draft.finish(first)
    }

    /// Reads a record into the buffers. A record that is too long is passed by.
    fn read(&mut self) -> Option<Place> {
        self.skip_line_breaks();
        let (first, mut filled, mut cells, mut is_whole) = (self.line, 0, 0, true);
        loop {
            let input = self.upload.peek();
            let is_end = input.is_empty();
            // What a body that is broken off ends with is part of a line, and perhaps of a key.
            if is_end && self.upload.end() != Some(End::Whole) {
                return None;
            }
            let input = self.upload.peek();
            let text = self.text.get_mut(filled..).unwrap_or_default();
            let ends = self.ends.get_mut(cells..).unwrap_or_default();
            let (result, read, written, ended) = self.parser.read_record(input, text, ends);
            self.line += line_breaks(input.get(..read).unwrap_or_default(), &mut self.last);
            self.upload.consume(read);
            filled += written;
            cells += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    (filled, cells, is_whole) = (0, 0, false);
                }
                ReadRecordResult::Record => {
                    // The break that ends the record is not in it.
                    let last = self.line.saturating_sub(u64::from(!is_end)).max(first);
                    return Some(Place { first, last, cells, is_whole });
                }
                ReadRecordResult::End => return None,
            }
        }
    }

    /// Gives the cells of the record that was read last.
    fn cells(&self, place: Place) -> Vec<&[u8]> {
        let ends = self.ends.get(..place.cells).unwrap_or_default();
        let starts = std::iter::once(&0).chain(ends);
        let cell = |(start, end): (&usize, &usize)| self.text.get(*start..*end);
        starts.zip(ends).map(|range| cell(range).unwrap_or_default()).collect()
    }

    /// Passes by blank lines, so that a record's number is that of its own first line.
    fn skip_line_breaks(&mut self) {
        loop {
            let input = self.upload.peek();
            let is_break = |byte: &&u8| **byte == b'\n' || **byte == b'\r';
            let count = input.iter().take_while(is_break).count();
            self.line += line_breaks(input.get(..count).unwrap_or_default(), &mut self.last);
            self.upload.consume(count);
            if count == 0 {
                return;
            }
        }
    }
}

/// Gives a parser that has begun. A new one passes by a byte order mark, which is done here already: of two
/// the second would be passed by or not, by how the body is cut.
fn begun() -> csv_core::Reader {
    let mut parser = csv_core::Reader::new();
    // A blank line, of which nothing is written.
    let _ = parser.read_record(b"\n", &mut [0], &mut [0]);
    parser
}

/// Counts the lines that end in the bytes, behind a last one: with a line feed, with a carriage return, or
/// with both together. The parser takes each for an end.
fn line_breaks(bytes: &[u8], last: &mut u8) -> u64 {
    let is_end = |byte: &u8| {
        let before = std::mem::replace(last, *byte);
        *byte == b'\r' || *byte == b'\n' && before != b'\r'
    };
    bytes.iter().copied().filter(is_end).map(|_| 1).sum()
}

fn error(field: &str, message: impl Into<String>) -> FieldError {
    FieldError { field: field.to_owned(), message: message.into() }
}

/// Reads the names of the columns.
fn columns(names: &[&[u8]]) -> Result<Vec<Column>, Vec<FieldError>> {
    let (mut columns, mut errors) = (Vec::new(), Vec::new());
    for (number, name) in (1..).zip(names) {
        let name = str::from_utf8(name).unwrap_or_default().trim();
        match Column::find(name) {
            Some(column) if columns.contains(&column) => {
                errors.push(error(name, "the column stands there twice"));
            }
            Some(column) => columns.push(column),
            None => {
                // In a file without the line of names it may be a key.
                let shown = repeatable(name).map_or(format!("column {number}"), ToOwned::to_owned);
                let names = Column::names();
                errors.push(error(&shown, format!("there is no such column; there are {names}")));
            }
        }
    }
    if !columns.contains(&Column::Customer) {
        let help = "the first line names the columns, with commas between, and one is `customer`";
        errors.push(error("customer", format!("the column is missing: {help}")));
    }
    if errors.is_empty() { Ok(columns) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &[&[u8]], end: End) -> Vec<String> {
        let mut upload = Upload::of(parts, end);
        upload.begin();
        let mut lines = CsvLines::open(upload).unwrap();
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

    fn refused(header: &str) -> String {
        let (errors, _) = CsvLines::open(Upload::of(&[header.as_bytes()], End::Whole)).unwrap_err();
        super::super::draft::listed(&errors)
    }

    #[test]
    fn lines_are_numbered_as_in_the_file_however_the_body_is_cut() {
        let text = "\u{feff}customer, name ,scopes\r\n\r\na,\"An\"\"n\nof B\",x y\r\n\n\nb,5\" nails,\r\n\
                    ,,\nc,\"\",\"z\"";
        let expected = [
            "3 a: Some(\"An\\\"n\\nof B\") Some([\"x\", \"y\"])",
            "7 b: Some(\"5\\\" nails\") None",
            "8 : customer: every line needs one",
            "9 c: None Some([\"z\"])",
        ];
        for size in 1..text.len() {
            let parts: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            assert_eq!(read(&parts, End::Whole), expected, "in parts of {size}");
        }
    }

    #[test]
    fn second_byte_order_mark_is_text_however_the_body_is_cut() {
        let text = "\u{feff}\u{feff}customer\na\n".as_bytes();
        for size in 1..text.len() {
            let parts: Vec<&[u8]> = text.chunks(size).collect();
            let mut upload = Upload::of(&parts, End::Whole);
            upload.begin();
            let (errors, _) = CsvLines::open(upload).unwrap_err();
            assert_eq!(errors[0].field, "column 1", "in parts of {size}");
        }
    }

    #[test]
    fn carriage_returns_alone_end_lines_too() {
        let text = b"customer,name\ra,x\r\rb,\"y\rz\"\rc,d";
        for size in 1..text.len() {
            let parts: Vec<&[u8]> = text.chunks(size).collect();
            let expected =
                ["2 a: Some(\"x\") None", "4 b: Some(\"y\\rz\") None", "6 c: Some(\"d\") None"];
            assert_eq!(read(&parts, End::Whole), expected, "in parts of {size}");
        }
    }

    #[test]
    fn rest_of_a_body_that_broke_off_is_not_a_line() {
        let parts: [&[u8]; 1] = [b"customer,name\na,x\nb,y"];
        assert_eq!(read(&parts, End::Whole), ["2 a: Some(\"x\") None", "3 b: Some(\"y\") None"]);
        assert_eq!(read(&parts, End::Broken("cut")), ["2 a: Some(\"x\") None"]);
    }

    #[test]
    fn bad_lines_are_told_and_others_read() {
        let long = "x".repeat(LINE_MAX);
        let parts: [&[u8]; 4] =
            [b"customer,name\na\na,b,c\n", long.as_bytes(), b", \nb,\xff\n", b"c,d\n"];
        assert_eq!(
            read(&parts, End::Whole),
            [
                "2 : the line has 1 cells, and the first line names 2".to_owned(),
                "3 : the line has 3 cells, and the first line names 2".to_owned(),
                format!("4 : {TOO_LONG}"),
                "5 b: name: it is not UTF-8; save the file as UTF-8".to_owned(),
                "6 c: Some(\"d\") None".to_owned(),
            ]
        );
        let cells = ",".repeat(500);
        let told = read(&[format!("customer\n{cells}\na\n").as_bytes()], End::Whole);
        assert_eq!(told, [format!("2 : {TOO_LONG}"), "3 a: None None".to_owned()]);
    }

    #[test]
    fn quotation_mark_that_is_not_closed_is_told() {
        let told = read(&[b"customer,name\na,\"x\nb,y\nc,z\n"], End::Whole);
        assert_eq!(told.len(), 1);
        let told = read(&[b"customer,name,plan\na,\"x\nb,y\nc,z\n"], End::Whole);
        assert!(
            told[0].starts_with(
                "2 : the line has 2 cells, and the first line names 3 (the line goes on to line "
            ),
            "{told:?}"
        );
    }

    #[test]
    fn wrong_names_of_columns_are_all_told_and_no_keys() {
        let there_are = format!("there are {}", Column::names());
        let missing = "customer: the column is missing: the first line names the columns, with commas \
                       between, and one is `customer`";
        assert_eq!(refused(""), missing);
        assert_eq!(
            refused("colour,plan,plan\n"),
            format!(
                "colour: there is no such column; {there_are}; plan: the column stands there twice; \
                 {missing}"
            )
        );
        assert_eq!(
            refused("customer,fg_live_s3cret\n"),
            format!("column 2: there is no such column; {there_are}")
        );
    }
}
