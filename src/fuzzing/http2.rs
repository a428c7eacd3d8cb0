//! What is read of HTTP/2 beside h2.

use super::input::pieces;
use crate::server::http2::frames::{COST_OF_OTHERS, COST_OF_RESET, COST_OF_UPDATE, Read, Reader};

/// What frames cost, and whether a head is open, is the same however bytes come, and what their lengths say.
pub(super) fn frames(data: &[u8]) {
    let (data, parts) = pieces(data);
    let (mut reader, mut sum) = (reader(), Read::default());
    for part in parts {
        let Read { cost, heads } = reader.follow(part);
        sum.cost = sum.cost.saturating_add(cost);
        sum.heads = sum.heads.saturating_add(heads);
    }
    let (found, is_in_head) = by_lengths(data);
    assert_eq!((sum, reader.is_in_head()), (found, is_in_head));
}

fn reader() -> Reader {
    let mut reader = Reader::new();
    let preface = reader.follow(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(preface, Read::default());
    reader
}

/// Finds the same frame by frame (RFC 9113 section 4.1).
fn by_lengths(mut data: &[u8]) -> (Read, bool) {
    let (mut read, mut is_in_head) = (Read::default(), false);
    while let Some((&[high, middle, low, kind, flags, _, _, _, _], rest)) = data.split_first_chunk()
    {
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        let is_whole = length <= rest.len();
        read.cost = read.cost.saturating_add(match kind {
            0 | 1 | 9 => 0,
            3 => COST_OF_RESET,
            8 => COST_OF_UPDATE,
            _ => COST_OF_OTHERS,
        });
        if matches!(kind, 1 | 9) {
            is_in_head = !(is_whole && flags & 4 != 0);
            read.heads += u32::from(!is_in_head);
        }
        data = rest.get(length..).unwrap_or_default();
    }
    (read, is_in_head)
}
