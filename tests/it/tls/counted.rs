//! What the metrics tell of TLS: handshakes that were made, why others were not, and the end of certificates.

use rcgen::date_time_ymd;

use super::*;
use crate::support::{client::head, wait_for};

/// Gives the series of a metric that are not zero, as labels and value.
fn counted(gateway: &Gateway, name: &str) -> Vec<String> {
    let page = gateway.admin("GET", "/metrics");
    let series = page.text().lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    series.filter(|line| !line.ends_with(" 0")).map(ToOwned::to_owned).collect()
}

#[test]
fn handshakes_are_counted_by_version_and_kind() {
    use rustls::version::{TLS12, TLS13};
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let gateway = start(ONE, &[("tls.pem", &ours.leaf(&["api.test"]).pem())], &upstream);
    for (version, times) in [(&TLS12, 2), (&TLS13, 4)] {
        let config = Arc::new(ours.client_speaking(&[version], None));
        for _ in 0..times {
            assert_eq!(open(&gateway, &config, "api.test").get("/x", KEY).status(), 200);
        }
    }
    assert_eq!(
        counted(&gateway, "faregate_tls_handshakes_total"),
        [
            "version=\"1.2\",kind=\"full\"} 1",
            "version=\"1.2\",kind=\"resumed\"} 1",
            "version=\"1.3\",kind=\"full\"} 1",
            "version=\"1.3\",kind=\"resumed\"} 3",
        ]
    );
    assert_eq!(counted(&gateway, "faregate_tls_handshake_failures_total"), [] as [String; 0]);
}

/// Each reason by a client that gives it; none of them is a request.
#[test]
fn handshakes_that_fail_are_counted_by_reason() {
    let (ours, theirs, upstream) =
        (Authority::new("ours"), Authority::new("theirs"), Upstream::ok());
    let files = [("tls.pem", &*ours.leaf(&["api.test"]).pem()), ("ca.pem", &*theirs.pem())];
    let lines = "limits = { header_timeout = \"300ms\" }\n\
                 tls = { cert = \"tls.pem\", key = \"tls.pem\", client_ca = \"ca.pem\", min_version = \"1.3\" }";
    let gateway = start(lines, &files, &upstream);
    let good = theirs.leaf(&["caller.test"]);
    let secure = |config: ClientConfig| {
        let mut client = try_open(&gateway, &Arc::new(config), "api.test")?;
        client.try_send(head("GET", "/x", &[]))?;
        client.try_read()
    };
    let of = |authority: &Authority, shown: Option<&Leaf>| {
        authority.client_speaking(rustls::DEFAULT_VERSIONS, shown)
    };
    let say = |bytes: &[u8]| {
        let mut client = gateway.client();
        client.send(bytes);
        client.drain();
    };
    let cases: [(&str, &dyn Fn()); 7] = [
        ("certificate", &|| assert!(secure(of(&ours, None)).is_err())),
        ("clear", &|| say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")),
        ("closed", &|| {
            let mut client = gateway.client();
            client.finish();
            client.drain();
        }),
        ("incompatible", &|| {
            let older = ours.client_speaking(&[&rustls::version::TLS12], Some(&good));
            assert!(secure(older).is_err());
        }),
        ("late", &|| say(&[22, 3, 1, 2, 0, 1])),
        ("malformed", &|| say(&[22, 3, 1, 0, 4, 9, 9, 9, 9])),
        ("refused", &|| assert!(secure(of(&theirs, Some(&good))).is_err())),
    ];
    let mut expected = Vec::new();
    for (reason, happen) in cases {
        happen();
        expected.push(format!("reason=\"{reason}\"}} 1"));
        wait_for(reason, || {
            let now = counted(&gateway, "faregate_tls_handshake_failures_total");
            (now == expected).then_some(())
        });
    }
    assert_eq!(counted(&gateway, "faregate_tls_handshakes_total"), [] as [String; 0]);
    assert_eq!(upstream.count(), 0);
    assert!(secure(of(&ours, Some(&good))).is_ok());
}

#[test]
fn end_of_each_certificate_is_told() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let ending = |name: &str, year: i32| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        ours.leaf_of(&params)
    };
    let lines = r#"tls.certificates = [
        { cert = "b.pem", key = "b.pem" },
        { cert = "a.pem", key = "a.pem" },
        { cert = "a.pem", key = "a.pem" },
    ]"#;
    let (a, b) = (ending("a.test", 2040), ending("b.test", 2041));
    let gateway = start(lines, &[("a.pem", &a.pem()), ("b.pem", &b.pem())], &upstream);
    let path = |name: &str| gateway.directory().join(name).display().to_string();
    let told = |name: &str, file: &str, end: &str| {
        let end = end.parse::<jiff::Timestamp>().unwrap().as_second();
        format!("shown_to=\"clients\",name=\"{name}\",file=\"{}\"}} {end}", path(file))
    };
    let shown = || {
        let all = counted(&gateway, "faregate_tls_certificate_expiry_timestamp_seconds");
        all.iter().map(|line| line.trim_end_matches(".0").to_owned()).collect::<Vec<_>>()
    };
    let b_told = told("b.test", "b.pem", "2041-01-01T00:00:00Z");
    assert_eq!(shown(), [told("a.test", "a.pem", "2040-01-01T00:00:00Z"), b_told.clone()]);
    std::fs::write(gateway.directory().join("a.pem"), ending("a.test", 2050).pem()).unwrap();
    gateway.running().reload().unwrap();
    assert_eq!(shown(), [b_told, told("a.test", "a.pem", "2050-01-01T00:00:00Z")]);
}
