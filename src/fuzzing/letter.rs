//! HTTP/1.1 by the letter of its grammar (RFC 9112), read slowly and by other means than the gateway's own
//! readers: whatever those take must be read here too, and say the same.

/// A head, with the line that ends it.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Head<'a> {
    /// The parts of its first line.
    pub(super) start: Vec<&'a [u8]>,
    /// Names in lower case, and values without the blanks around them.
    pub(super) fields: Vec<(String, &'a [u8])>,
    /// How many bytes it takes.
    pub(super) length: usize,
}

/// Where a body ends.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Body {
    Chunked,
    Length(u64),
    Untold,
}

impl<'a> Head<'a> {
    /// Reads the head of a request: `METHOD TARGET VERSION`. Bytes beyond ASCII are taken in the
    /// target, which some clients do not encode.
    pub(super) fn of_request(bytes: &'a [u8]) -> Option<Self> {
        let head = Self::read(bytes)?;
        let is_visible = |byte: &u8| byte.is_ascii_graphic() || !byte.is_ascii();
        let is_target = |target: &&[u8]| !target.is_empty() && target.iter().all(is_visible);
        match head.start.as_slice() {
            [method, target, version]
                if is_token(method) && is_target(target) && is_version(version) =>
            {
                Some(head)
            }
            _ => None,
        }
    }

    /// Reads the head of an answer: `VERSION STATUS`, and words for people that may be missing.
    pub(super) fn of_answer(bytes: &'a [u8]) -> Option<Self> {
        let head = Self::read(bytes)?;
        match head.start.as_slice() {
            [version, status, ..]
                if is_version(version)
                    && status.len() == 3
                    && status.iter().all(u8::is_ascii_digit) =>
            {
                Some(head)
            }
            _ => None,
        }
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (mut rest, mut start) = (bytes, &b""[..]);
        // Empty lines may come first (section 2.2).
        while start.is_empty() {
            (start, rest) = line(rest)?;
        }
        let mut fields = Vec::new();
        loop {
            let (text, behind) = line(rest)?;
            rest = behind;
            if text.is_empty() {
                break;
            }
            fields.push(field(text)?);
        }
        let start = start.split(|byte| *byte == b' ').collect();
        Some(Self { start, fields, length: bytes.len() - rest.len() })
    }

    /// Gives the values of a field.
    pub(super) fn values(&self, name: &str) -> Vec<&'a [u8]> {
        let named = self.fields.iter().filter(|(found, _)| found == name);
        named.map(|(_, value)| *value).collect()
    }

    /// Finds where the body ends, if that is said in one way (section 6).
    pub(super) fn body(&self) -> Option<Body> {
        let lengths = self.values("content-length");
        match (self.values("transfer-encoding").as_slice(), lengths.as_slice()) {
            ([], []) => Some(Body::Untold),
            ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Some(Body::Chunked),
            ([], lengths) => {
                let mut digits = lengths
                    .iter()
                    .flat_map(|value| value.split(|byte| *byte == b','))
                    .map(<[u8]>::trim_ascii);
                let length = number(digits.next()?, 10)?;
                digits
                    .all(|other| number(other, 10) == Some(length))
                    .then_some(Body::Length(length))
            }
            _ => None,
        }
    }
}

/// Reads a body in chunks; gives the data, and how many bytes all of it takes.
pub(super) fn chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut rest, mut data) = (bytes, Vec::new());
    loop {
        let (text, behind) = line(rest)?;
        let digits = text.split(|byte| *byte == b';').next()?;
        let size = usize::try_from(number(digits.trim_ascii_end(), 16)?).ok()?;
        rest = behind;
        if size == 0 {
            break;
        }
        data.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
    loop {
        let (text, behind) = line(rest)?;
        rest = behind;
        if text.is_empty() {
            return Some((data, bytes.len() - rest.len()));
        }
        field(text)?;
    }
}

/// Takes a line that ends in both bytes and has neither of them within.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (text, rest) = (bytes.get(..end)?.strip_suffix(b"\r")?, bytes.get(end + 1..)?);
    let is_text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    text.iter().all(is_text).then_some((text, rest))
}

fn field(line: &[u8]) -> Option<(String, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
    let name = is_token(name).then(|| String::from_utf8_lossy(name).to_ascii_lowercase())?;
    Some((name, trim(value)))
}

/// Takes the blanks off that may stand around a value (section 5).
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn is_token(text: &[u8]) -> bool {
    let is_char = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_char)
}

fn is_version(text: &[u8]) -> bool {
    matches!(text, b"HTTP/1.0" | b"HTTP/1.1")
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let is_number =
        !digits.is_empty() && digits.iter().all(|digit| char::from(*digit).is_digit(radix));
    is_number.then(|| u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok())?
}
