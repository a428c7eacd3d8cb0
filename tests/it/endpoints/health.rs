//! Checks of endpoints: who fails them gets no requests, and nobody pays for them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{metric, start, tables};
use crate::support::{Exchange, Gateway, KEY, Then, Upstream, upstream::OK, wait_for};

/// An upstream whose check passes while it is told so, and that serves all else in any case.
fn checked(is_well: bool) -> (Upstream, Arc<AtomicBool>) {
    let is_well = Arc::new(AtomicBool::new(is_well));
    let told = Arc::clone(&is_well);
    let upstream = Upstream::start(move |exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        let is_check = exchange.request().target() == "/healthz";
        if is_check && !told.load(Ordering::SeqCst) {
            exchange.send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")?;
        } else {
            exchange.send(OK)?;
        }
        Ok(Then::KeepAlive)
    });
    (upstream, is_well)
}

fn calls(upstream: &Upstream) -> usize {
    upstream.requests().iter().filter(|request| request.target() != "/healthz").count()
}

fn checks(upstream: &Upstream) -> usize {
    upstream.count() - calls(upstream)
}

const OFTEN: &str = "health = { path = \"/healthz\", interval = \"100ms\" }";

fn wait_ill(gateway: &Gateway, upstream: &Upstream) {
    let name = upstream.address().to_string();
    let healthy = || metric(gateway, "endpoint_healthy", &[&name]);
    wait_for("failed checks", || (healthy() == Some(0.0)).then_some(()));
}

#[test]
fn who_fails_is_left_out_until_it_passes() {
    let ((good, _), (ill, is_well)) = (checked(true), checked(false));
    let gateway = start(&[good.address(), ill.address()], OFTEN);
    wait_ill(&gateway, &ill);
    let before = calls(&ill);
    let mut client = gateway.client();
    for _ in 0..10 {
        assert_eq!(client.get("/x", KEY).status(), 200);
    }
    assert_eq!((calls(&good), calls(&ill) - before), (10, 0));
    let name = ill.address().to_string();
    assert_eq!(metric(&gateway, "endpoint_out", &[&name]), Some(1.0));
    assert!(metric(&gateway, "health_checks_total", &[&name, "failed"]) >= Some(3.0));
    assert_eq!(metric(&gateway, "health_checks_total", &[&name, "passed"]), Some(0.0));

    is_well.store(true, Ordering::SeqCst);
    let mut sent = 10;
    wait_for("requests to the one that passes", || {
        assert_eq!(client.get("/x", KEY).status(), 200);
        sent += 1;
        (calls(&ill) > before).then_some(())
    });
    assert_eq!(metric(&gateway, "endpoint_out", &[&name]), Some(0.0));
    // The checks themselves are nobody's.
    gateway.wait_recorded("acme", &[("completed", sent, sent)]);
}

#[test]
fn check_is_a_plain_request_of_the_gateways_own() {
    let (upstream, _) = checked(true);
    let lines = format!("{OFTEN}\nset_headers = {{ x-gate = \"a\", user-agent = \"b\" }}");
    let gateway = start(&[upstream.address()], &lines);
    upstream.wait_for(2);
    let own = upstream.address().to_string();
    for check in upstream.requests() {
        assert_eq!(check.line, "GET /healthz HTTP/1.1");
        let fields: Vec<_> =
            check.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected =
            [("host", &*own), ("x-gate", "a"), ("user-agent", "b"), ("connection", "close")];
        assert_eq!(fields, expected);
    }
    gateway.wait_used("acme", 0);
    assert_eq!(gateway.recorded("acme"), [].into());
}

#[test]
fn single_endpoint_is_asked_whatever_its_checks_say() {
    let (ill, _) = checked(false);
    let gateway = start(&[ill.address()], OFTEN);
    wait_ill(&gateway, &ill);
    assert_eq!(gateway.get("/x", KEY).status(), 200);
    assert_eq!(gateway.admin("GET", "/readyz").status(), 200);
    gateway.wait_used("acme", 1);
}

#[test]
fn all_that_fail_are_asked_all_the_same() {
    let ((one, _), (other, _)) = (checked(false), checked(false));
    let gateway = start(&[one.address(), other.address()], OFTEN);
    wait_ill(&gateway, &one);
    wait_ill(&gateway, &other);
    for _ in 0..4 {
        assert_eq!(gateway.get("/x", KEY).status(), 200);
    }
    gateway.wait_used("acme", 4);
}

#[test]
fn checks_that_break_off_or_lie_fail() {
    for (answer, then) in [
        ("", Then::Close),
        ("", Then::Silence),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Then::Silence),
        ("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", Then::KeepAlive),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 No\r\n\r\n", Then::Close),
    ] {
        let upstream = Upstream::answering(answer, then);
        let lines =
            "health = { path = \"/\", interval = \"100ms\", timeout = \"100ms\", fails = 1 }";
        let gateway = start(&[upstream.address()], lines);
        wait_ill(&gateway, &upstream);
    }
}

#[test]
fn there_is_one_checker_for_all_workers() {
    let (upstream, _) = checked(true);
    let tables = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 4\n{}",
        tables(&[upstream.address()], OFTEN)
    );
    let began = tokio::time::Instant::now();
    let _gateway = Gateway::start_with(&tables, None);
    upstream.wait_for(5);
    std::thread::sleep(std::time::Duration::from_secs(1));
    let (count, most) = (upstream.count() as f64, began.elapsed().as_secs_f64() / 0.09 + 1.0);
    assert!(count <= most, "{count} checks, where there can be {most}");
}

#[test]
fn reload_keeps_what_is_known_and_ends_checks_of_who_is_gone() {
    let ((good, _), (ill, _)) = (checked(true), checked(false));
    let addresses = [good.address(), ill.address()];
    let gateway = start(&addresses, OFTEN);
    wait_ill(&gateway, &ill);
    let before = calls(&ill);
    // The next check comes in some minutes.
    gateway.write(&tables(&addresses, "health = { path = \"/healthz\", interval = \"1h\" }"));
    gateway.running().reload().unwrap();
    for _ in 0..6 {
        assert_eq!(gateway.get("/x", KEY).status(), 200);
    }
    assert_eq!((calls(&good), calls(&ill) - before), (6, 0));

    gateway.write(&tables(&addresses, OFTEN));
    gateway.running().reload().unwrap();
    let (then, other) = (checks(&ill), checks(&good));
    wait_for("further checks", || (checks(&ill) > then && checks(&good) > other).then_some(()));
    gateway.write(&tables(&addresses[..1], OFTEN));
    gateway.running().reload().unwrap();
    let name = ill.address().to_string();
    wait_for("the end of the checks", || {
        metric(&gateway, "endpoint_healthy", &[&name]).is_none().then_some(())
    });
    // One may be under way.
    let ended = checks(&ill) + 1;
    let then = checks(&good);
    wait_for("further checks of the other", || (checks(&good) >= then + 5).then_some(()));
    assert!(checks(&ill) <= ended, "{} checks, {ended} at the end", checks(&ill));
}
