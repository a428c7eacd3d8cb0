//! Refusals that are the gateway's or the upstream's doing.

use super::{assert_is_refusal, shown};
use crate::support::{Gateway, KEY, SMALL, Then, Upstream};

#[test]
fn faults_of_the_upstream_say_so() {
    let mut text = String::new();
    for (name, answer, then, verdict) in [
        ("reset", "", Then::Reset, "502 upstream_error"),
        ("silent", "", Then::Silence, "504 upstream_timeout"),
        (
            "asks for payment",
            "HTTP/1.1 402 Pay\r\nContent-Length: 0\r\n\r\n",
            Then::KeepAlive,
            "502 upstream_payment_required",
        ),
    ] {
        let upstream = Upstream::answering(answer, then);
        let tables = SMALL.replace("@UPSTREAM@\"", "@UPSTREAM@\"\nresponse_timeout = \"100ms\"");
        let server = "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n\
                      public_url = \"https://api.example.com\"\n";
        let gateway = Gateway::start(&format!("{server}{tables}"), &upstream);
        let response = gateway.get("/x", KEY);
        assert_eq!(response.verdict(), verdict, "{name}");
        let fields = assert_is_refusal(name, &response);
        assert_eq!(fields, [], "{name}");
        let inside = upstream.address().port().to_string();
        assert!(!response.text().contains(&inside), "{name} names an internal address");
        gateway.wait_used("acme", 0);
        text.push_str(&shown(name, &response, &fields));
    }
    insta::assert_snapshot!("faults", text);
}

/// Without a place for the journal nothing that is counted is served; it heals by itself.
#[test]
fn journal_that_cannot_be_written_refuses_paid_routes_only() {
    let upstream = Upstream::ok();
    let public = "\n[[routes]]\npath = \"/status\"\nupstream = \"api\"\naccess = \"public\"\n";
    let gateway = Gateway::start(&format!("{SMALL}{public}"), &upstream);
    // The first reservation opens a segment, which needs the directory.
    let journal = gateway.directory().join("faregate.db.journal");
    let away = gateway.directory().join("away");
    std::fs::rename(&journal, &away).unwrap();

    let response = gateway.get("/x", KEY);
    assert_eq!(response.verdict(), "503 quota_unavailable");
    let fields = assert_is_refusal("journal", &response);
    assert_eq!(fields, [("retry-after".to_owned(), "1".to_owned())]);
    assert_eq!(upstream.count(), 0);
    assert_eq!(gateway.get("/status", KEY).status(), 200);
    assert_eq!(upstream.count(), 1);

    std::fs::rename(&away, &journal).unwrap();
    gateway.wait_used("acme", 0);
    assert_eq!(gateway.get("/x", KEY).status(), 200);
    gateway.wait_used("acme", 1);
}
