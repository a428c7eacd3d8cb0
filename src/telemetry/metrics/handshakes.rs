//! What one worker counts of the TLS handshakes of its clients.

use std::sync::Arc;

use super::{
    Worker,
    family::{Family, Series, labels},
};
use crate::telemetry::figures::Count;

/// The handshakes of a worker's clients.
#[derive(Debug, Default)]
pub struct Handshakes {
    made: [Count; MADE.len()],
    failed: [Count; Unmade::NAMES.len()],
}

/// Version and kind of those that were made, as they are shown.
const MADE: [(&str, &str); 4] =
    [("1.2", "full"), ("1.2", "resumed"), ("1.3", "full"), ("1.3", "resumed")];

/// Why a handshake was not made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub enum Unmade {
    /// The client has shown no certificate, or one that is not trusted.
    Certificate,
    /// The client speaks HTTP in clear.
    Clear,
    /// The connection ended.
    Closed,
    /// The two have no version, suite or certificate in common.
    Incompatible,
    /// It did not end in time.
    Late,
    /// What the client sends is no TLS.
    Malformed,
    /// The client breaks off, most often because it does not trust the certificate that it is shown.
    Refused,
    /// The gateway stops.
    Stop,
}

impl Unmade {
    /// Each as it is shown, in their order.
    pub const NAMES: [&'static str; 8] =
        ["certificate", "clear", "closed", "incompatible", "late", "malformed", "refused", "stop"];
}

impl Handshakes {
    /// Counts one that was made.
    pub fn made(&self, version: &'static str, is_resumed: bool) {
        let kind = if is_resumed { "resumed" } else { "full" };
        let mut all = MADE.iter().zip(&self.made);
        if let Some((_, count)) = all.find(|(which, _)| **which == (version, kind)) {
            count.add(1);
        }
    }

    /// Counts one that was not.
    pub fn unmade(&self, reason: Unmade) {
        if let Some(count) = self.failed.get(reason as usize) {
            count.add(1);
        }
    }
}

/// Gives what is shown of the handshakes of all workers. What never happened is shown as well: an alarm
/// compares with it.
pub(super) fn families(workers: &[Arc<Worker>]) -> [Family; 2] {
    let sum = |count: &dyn Fn(&Handshakes) -> Option<&Count>| -> u64 {
        let of_each = |worker: &Arc<Worker>| count(&worker.connections.handshakes).map(Count::get);
        workers.iter().filter_map(of_each).sum()
    };
    let made = MADE.iter().enumerate().map(|(index, (version, kind))| {
        (labels([("version", version), ("kind", kind)]), sum(&|of| of.made.get(index)))
    });
    let failed = Unmade::NAMES
        .iter()
        .enumerate()
        .map(|(index, reason)| (labels([("reason", reason)]), sum(&|of| of.failed.get(index))));
    [
        Family {
            name: "faregate_tls_handshakes",
            help: "TLS handshakes of clients that were made: full, or resumed from a session of before.",
            series: Series::Counters(made.collect()),
        },
        Family {
            name: "faregate_tls_handshake_failures",
            help: "TLS handshakes of clients that were not made: certificate, the client has none that is \
                   trusted; clear, it speaks HTTP in clear; closed, the connection ended; incompatible, no \
                   version, suite or certificate in common; late; malformed; refused, the client breaks \
                   off; stop, the gateway stops.",
            series: Series::Counters(failed.collect()),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_under_its_name() {
        let worker = Arc::new(Worker::default());
        let of = &worker.connections.handshakes;
        of.made("1.3", true);
        of.made("1.2", false);
        of.made("1.3", true);
        of.unmade(Unmade::Stop);
        of.unmade(Unmade::Certificate);
        let told: Vec<String> = families(&[Arc::clone(&worker), Arc::clone(&worker)])
            .iter()
            .map(|family| {
                let Series::Counters(series) = &family.series else { panic!("{family:?}") };
                let counts = series.iter().filter(|(_, count)| *count > 0);
                let told = counts.map(|(labels, count)| {
                    let values: Vec<&str> = labels.iter().map(|(_, value)| &**value).collect();
                    format!("{} {count}", values.join(" "))
                });
                told.collect::<Vec<_>>().join(", ")
            })
            .collect();
        assert_eq!(told, ["1.2 full 2, 1.3 resumed 4", "certificate 2, stop 2"]);
    }
}
