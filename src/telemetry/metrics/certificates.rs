//! When the certificates end that the gateway shows.

use jiff::Timestamp;

use super::family::{Family, Labels, Series, labels};
use crate::{snapshot::Snapshot, tls::Validity};

/// How many certificates are shown: those that end first.
const CERTIFICATES_MAX: usize = 100;

/// Gives what is shown of the certificates of a configuration.
pub(super) fn family(snapshot: &Snapshot) -> Family {
    let mut ends: Vec<(Timestamp, Labels)> = Vec::new();
    for (shown_to, Validity { file, name, not_after }) in snapshot.certificates() {
        let Some(not_after) = *not_after else { continue };
        let (name, file) = (name.as_deref().unwrap_or_default(), file.display().to_string());
        let which = labels([("shown_to", shown_to), ("name", name), ("file", &file)]);
        // A file may be named twice.
        if !ends.iter().any(|(_, known)| *known == which) {
            ends.push((not_after, which));
        }
    }
    ends.sort_unstable();
    ends.truncate(CERTIFICATES_MAX);
    let series = ends.into_iter().map(|(not_after, which)| (which, not_after.as_second() as f64));
    Family {
        name: "faregate_tls_certificate_expiry_timestamp_seconds",
        help: "The end of a certificate that is shown, since 1970; shown_to is clients, or the id of an \
               upstream.",
        series: Series::Gauges(series.collect()),
    }
}
