//! Certificates that the gateway shows.

use rcgen::{CertificateParams, date_time_ymd};

use super::*;

const SHOWING: &str =
    r#"tls = { ca = "ca.pem", server_name = "api.test", cert = "us.crt", key = "us.key" }"#;

#[test]
fn certificate_is_shown_to_who_asks_for_it() {
    let (ours, gateways, upstream) = (Authority::new("ours"), Authority::new("us"), Upstream::ok());
    let mut params = CertificateParams::new(vec!["gateway.test".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2040, 1, 1);
    let us = gateways.leaf_of(&params);
    let files = [("ca.pem", &*ours.pem()), ("us.crt", &us.cert_pem()), ("us.key", &us.key_pem())];
    let leaf = ours.leaf(&["api.test"]);
    for (config, is_shown) in [(leaf.server_for(&gateways), true), (leaf.server(), false)] {
        let front = Front::start(config, &upstream);
        let gateway = start(&front, SHOWING, &files);
        assert_eq!(gateway.get("/x", KEY).status(), 200);
        let made = front.handshakes();
        assert_eq!(made[0].shown, is_shown.then(|| us.cert.der().to_vec()));
        gateway.wait_used("acme", 1);
        let label = "shown_to=\"api\",name=\"gateway.test\"";
        let ends = metric(&gateway, "faregate_tls_certificate_expiry_timestamp_seconds", label);
        let end: jiff::Timestamp = "2040-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(ends, Some(end.as_second() as f64));
    }
}

/// In TLS 1.3 a refused certificate is told only when the request is on its way, so it counts as sent; it is
/// not charged in either case.
#[test]
fn certificate_that_is_not_taken_is_a_502_that_costs_nothing() {
    use rustls::version::{TLS12, TLS13};
    let (ours, gateways, upstream) = (Authority::new("ours"), Authority::new("us"), Upstream::ok());
    let us = Authority::new("strangers").leaf(&["gateway.test"]);
    let files = [("ca.pem", &*ours.pem()), ("us.crt", &us.cert_pem()), ("us.key", &us.key_pem())];
    for (lines, version, ending) in [
        (NAMED, &TLS13, "failed"),
        (SHOWING, &TLS13, "failed"),
        (NAMED, &TLS12, "unsent"),
        (SHOWING, &TLS12, "unsent"),
    ] {
        let leaf = ours.leaf(&["api.test"]);
        let front = Front::start(leaf.server_for_speaking(&gateways, &[version]), &upstream);
        let gateway = start(&front, lines, &files);
        let refused = gateway.get("/x", KEY);
        assert_eq!(refused.verdict(), "502 upstream_error", "{version:?} {lines}");
        gateway.wait_recorded("acme", &[(ending, 1, 0)]);
        assert_eq!(front.handshakes().len(), 0);
    }
    assert_eq!(upstream.count(), 0);
}
