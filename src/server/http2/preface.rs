//! The bytes that a connection of HTTP/2 begins with (RFC 9113 section 3.4).

/// What begins a connection.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much of it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::server) enum Preface {
    /// Its beginning.
    Begun,
    /// What came is something else.
    None,
    /// All of it, and perhaps more behind it.
    Whole,
}

impl Preface {
    /// Looks for it at the beginning of what came. Where nothing came there is none yet.
    pub(in crate::server) fn find(received: &[u8]) -> Self {
        let length = received.len().min(PREFACE.len());
        match (received.get(..length), PREFACE.get(..length)) {
            (Some(given), Some(wanted)) if given == wanted => {
                if length == PREFACE.len() {
                    Self::Whole
                } else {
                    Self::Begun
                }
            }
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preface_is_told_from_requests_byte_by_byte() {
        for length in 0..PREFACE.len() {
            assert_eq!(Preface::find(&PREFACE[..length]), Preface::Begun, "{length}");
            let mut other = PREFACE[..=length].to_vec();
            other[length] ^= 1;
            assert_eq!(Preface::find(&other), Preface::None, "{length}");
        }
        assert_eq!(Preface::find(PREFACE), Preface::Whole);
        assert_eq!(Preface::find(&[PREFACE, b"\0\0"].concat()), Preface::Whole);
        assert_eq!(Preface::find(b"POST / HTTP/1.1\r\n"), Preface::None);
    }
}
