//! `[server.limits]`: what one request and one connection may take, and all of them.

use std::{num::NonZeroU64, time::Duration};

use super::{
    number::{integer, positive, within},
    server::check_timeout,
};
use crate::config::{
    MemoryLimit, ServerLimits,
    file::{Field, LimitsTable, OptionalSize, Size, Spanned},
    report::{Problem, Problems},
};

/// Checks it.
pub(super) fn check(table: &LimitsTable, problems: &mut Problems) -> ServerLimits {
    let LimitsTable {
        connections,
        connections_per_address,
        handshakes,
        streams,
        header_bytes,
        headers,
        body_bytes,
        header_timeout,
        idle_timeout,
        request_timeout,
        minimum_rate,
        memory,
    } = table;
    let connections = integer(connections, 1..=1_000_000, 10_000, problems);
    ServerLimits {
        connections,
        connections_per_address: connections_per_address
            .given()
            .and_then(|connections| within(connections, 1..=1_000_000, problems)),
        // With fewer, those who do not go on with theirs would hold up all others until their time is over.
        handshakes: integer(handshakes, 1..=1_000_000, connections, problems),
        streams: integer(streams, 1..=1000, 100, problems),
        header_bytes: check_header_bytes(header_bytes, problems),
        headers: integer(headers, 1..=1000, 100, problems),
        body_bytes: body_bytes.value().map_or(10 << 20, |size| size.0),
        header_timeout: positive(header_timeout, Duration::from_secs(10), problems),
        idle_timeout: positive(idle_timeout, Duration::from_secs(60), problems),
        request_timeout: check_timeout(request_timeout, problems)
            .unwrap_or(Some(Duration::from_secs(300))),
        minimum_rate: match minimum_rate.value() {
            None => NonZeroU64::new(240),
            Some(OptionalSize(rate)) => rate.and_then(NonZeroU64::new),
        },
        memory: check_memory(memory, problems),
    }
}

/// The gateway alone takes some ten megabytes, and some more with each thousand customers.
fn check_memory(field: &Field<OptionalSize>, problems: &mut Problems) -> MemoryLimit {
    const LEAST: u64 = 64 << 20;
    let Some(Spanned { value: OptionalSize(limit), span }) = field.given() else {
        return MemoryLimit::OfGroup;
    };
    if limit.is_some_and(|limit| limit < LEAST) {
        let help = "write at least \"64MiB\", or \"none\" for no ceiling";
        problems.add(Problem::error(*span, "the gateway needs more memory").help(help));
    }
    limit.map_or(MemoryLimit::None, MemoryLimit::Bytes)
}

/// The HTTP library needs 8 KiB to begin with; a megabyte is more than any caller has to say.
fn check_header_bytes(field: &Field<Size>, problems: &mut Problems) -> usize {
    const DEFAULT: usize = 32 << 10;
    let Some(Spanned { value, span }) = field.given() else { return DEFAULT };
    let bytes = usize::try_from(value.0).ok();
    let bytes = bytes.filter(|bytes| (8 << 10..=1 << 20).contains(bytes));
    if bytes.is_none() {
        let help = "the size is from 8KiB to 1MiB";
        problems.add(Problem::error(*span, "the size is out of range").help(help));
    }
    bytes.unwrap_or(DEFAULT)
}
