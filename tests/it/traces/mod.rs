//! Traces: the caller's context, the upstream's, and the spans that a collector gets.

mod context;
mod export;
mod spans;

use std::sync::atomic::Ordering;

use crate::support::{Gateway, SMALL, Upstream, collector::Collector};

/// A trace of a caller's.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// The tables of a gateway that traces, with an access log and more lines in `[traces]`.
fn tables(collector: &Collector, more: &str) -> String {
    let public = "[[routes]]\nname = \"free\"\npath = \"/free/{*rest}\"\nupstream = \"api\"\n\
                  access = \"public\"\n";
    format!(
        "[log]\naccess = \"./access.log\"\nlevel = \"error\"\n\
         [traces]\nendpoint = \"http://{}\"\n{more}\n{SMALL}{public}",
        collector.address()
    )
}

fn start(upstream: &Upstream, collector: &Collector, more: &str) -> Gateway {
    Gateway::start(&tables(collector, more), upstream)
}

/// Gives how many spans were sent, refused and dropped.
fn counts(gateway: &Gateway) -> [u64; 3] {
    let counters = gateway.running().gateway().span_counters();
    [&counters.sent, &counters.refused, &*counters.dropped]
        .map(|count| count.load(Ordering::Relaxed))
}
