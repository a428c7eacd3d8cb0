//! A path segment in its normal form, the one that patterns and requests are compared in.

/// Why a segment has no normal form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SegmentError {
    /// A percent sign without two hexadecimal digits.
    Percent,
    /// A slash, a backslash or a NUL, encoded or bare: what servers read in different ways.
    Separator,
}

/// Brings a segment into its normal form (RFC 3986 sections 3.3 and 6.2.2): unreserved characters
/// plain, delimiters as they were given, everything else encoded with upper-case digits.
pub fn normal_segment(raw: &str) -> Result<String, SegmentError> {
    let mut segment = String::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        let (byte, plain) = if byte == b'%' {
            let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
            let pair = digit().zip(digit());
            let decoded = pair.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
            let decoded = decoded.ok_or(SegmentError::Percent)?;
            (decoded, is_unreserved(decoded))
        } else {
            (byte, is_segment_byte(byte))
        };
        match byte {
            b'/' | b'\\' | 0 => return Err(SegmentError::Separator),
            _ if plain => segment.push(char::from(byte)),
            _ => segment.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(segment)
}

/// Tells whether a byte may stand bare in a segment.
pub fn is_segment_byte(byte: u8) -> bool {
    /// Looked up, because each byte of each path is asked about.
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let bytes =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@";
        let mut index = 0;
        while index < bytes.len() {
            #[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
            let byte = bytes[index] as usize;
            #[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
            {
                table[byte] = true;
            }
            index += 1;
        }
        table
    };
    TABLE.get(usize::from(byte)).copied().unwrap_or_default()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_have_one_form() {
        for (raw, expected) in [
            ("", Ok("")),
            ("%61%2D%7e", Ok("a-~")),
            ("%c3%a9", Ok("%C3%A9")),
            ("é", Ok("%C3%A9")),
            ("a b|", Ok("a%20b%7C")),
            ("a;b=c,d@e:f!$&'()*+", Ok("a;b=c,d@e:f!$&'()*+")),
            ("%3b", Ok("%3B")),
            ("%252e", Ok("%252e")),
            ("a%2fb", Err(SegmentError::Separator)),
            ("a%5Cb", Err(SegmentError::Separator)),
            ("a\\b", Err(SegmentError::Separator)),
            ("%00", Err(SegmentError::Separator)),
            ("%", Err(SegmentError::Percent)),
            ("%4", Err(SegmentError::Percent)),
            ("%+1", Err(SegmentError::Percent)),
        ] {
            assert_eq!(
                normal_segment(raw).as_deref(),
                expected.as_ref().map(|text| *text),
                "{raw}"
            );
        }
    }
}
