//! Several endpoints within TLS: one that is not believed is as good as one that is not there.

use super::*;

fn both(first: &Front, second: &Front, lines: &str) -> String {
    let urls =
        format!("urls = [\"https://{}\", \"https://{}\"]", first.address(), second.address());
    SMALL.replace("url = \"http://@UPSTREAM@\"", &format!("{urls}\n{lines}"))
}

#[test]
fn another_one_is_asked_in_the_place_of_one_that_is_not_believed() {
    let (ours, good, bad) = (Authority::new("ours"), Upstream::ok(), Upstream::ok());
    let doubted = Front::start(Authority::new("others").leaf(&["api.test"]).server(), &bad);
    let believed = Front::start(ours.leaf(&["api.test"]).server(), &good);
    let gateway = start_on(&both(&doubted, &believed, NAMED), &[("ca.pem", &ours.pem())]);
    for used in 1..=20 {
        // Each on a connection of its own, and to the upstream too.
        let answer = gateway.request(
            "POST",
            "/x",
            &[&crate::support::client::bearer(KEY), "Content-Length: 0"],
        );
        assert_eq!(answer.status(), 200);
        gateway.wait_used("acme", used);
    }
    gateway.wait_recorded("acme", &[("completed", 20, 20)]);
    assert_eq!((good.count(), bad.connections()), (20, 0));
    // After three in succession it is left alone for a while.
    let failed = doubted.seen().len();
    assert!((1..=6).contains(&failed), "{failed}");
    let endpoint = format!("endpoint=\"{}\"", doubted.address());
    let of = |name: &str| metric(&gateway, name, &endpoint);
    assert!(of("faregate_upstream_requests_total").is_some());
    assert_eq!(of("faregate_upstream_endpoint_up"), Some(0.0));
}

/// Each is verified by its own host where none is given.
#[test]
fn each_is_verified_by_its_own_host() {
    let (ours, upstream) = (Authority::new("ours"), Upstream::ok());
    let (named, numbered) = (
        Front::start(ours.leaf(&["localhost"]).server(), &upstream),
        Front::start(ours.leaf(&["127.0.0.1"]).server(), &upstream),
    );
    let urls = format!(
        "urls = [\"https://localhost:{}\", \"https://{}\"]",
        named.address().port(),
        numbered.address()
    );
    let lines = format!("{urls}\ntls = {{ ca = \"ca.pem\" }}");
    let tables = SMALL.replace("url = \"http://@UPSTREAM@\"", &lines);
    let gateway = start_on(&tables, &[("ca.pem", &ours.pem())]);
    for _ in 0..10 {
        assert_eq!(gateway.get("/x", KEY).status(), 200);
    }
    assert!(!named.handshakes().is_empty() && !numbered.handshakes().is_empty());
    assert!(named.seen().iter().chain(&numbered.seen()).all(Result::is_ok));
    gateway.wait_used("acme", 10);
}
