//! Checks of upstreams that speak HTTP/2: by a GET, and by a call of gRPC's own health service.

use super::{
    COST, Server,
    server::{Health, NOT_SERVING, SERVING},
    start, tables,
};
use crate::{
    endpoints::metric,
    process,
    support::{Gateway, KEY, wait_for, wait_until_equal},
};

const OFTEN: &str = "health = { grpc = \"weather.v1.Weather\", interval = \"100ms\", timeout = \"200ms\", fails = 1, passes = 1 }";

fn checks(server: &Server) -> usize {
    server.seen().iter().filter(|seen| seen.uri.ends_with("/grpc.health.v1.Health/Check")).count()
}

fn wait_healthy(gateway: &Gateway, server: &Server, is_healthy: bool) {
    let (name, expected) = (server.address.to_string(), f64::from(u8::from(is_healthy)));
    let healthy = || metric(gateway, "endpoint_healthy", &[&name]);
    wait_until_equal(healthy, &Some(expected));
}

#[test]
fn checks_speak_it_too() {
    let server = Server::start();
    let health = "health = { path = \"/paid/health\", interval = \"100ms\", timeout = \"1s\" }";
    let gateway = start(&server, health);
    wait_for("a check", || server.seen().first().cloned());
    let seen = server.seen().remove(0);
    assert_eq!(
        (&*seen.method, seen.uri),
        ("GET", format!("http://{}/paid/health", server.address))
    );
    assert_eq!(seen.fields["user-agent"], "faregate-health");
    assert_eq!(gateway.get("/paid/x", KEY).status(), 200);
}

#[test]
fn question_is_a_call_of_the_gateways_own() {
    let lines =
        format!("{OFTEN}\nset_headers = {{ x-gate = \"a\", content-type = \"text/plain\" }}");
    for (lines, asked) in [
        (lines.clone(), &b"\0\0\0\0\x14\x0a\x12weather.v1.Weather"[..]),
        (lines.replace("weather.v1.Weather", ""), b"\0\0\0\0\0"),
    ] {
        let server = Server::start();
        let gateway = start(&server, &lines);
        wait_for("two checks", || (checks(&server) >= 2).then_some(()));
        for seen in server.seen() {
            assert_eq!((&*seen.method, &*seen.body), ("POST", asked));
            let uri = format!("http://{}/grpc.health.v1.Health/Check", server.address);
            assert_eq!(seen.uri, uri);
            let mut fields: Vec<_> = seen.fields.iter().collect();
            fields.sort_by_key(|(name, _)| name.as_str());
            let told: Vec<_> = fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
                .collect();
            let expected = [
                ("content-type", "application/grpc"),
                ("te", "trailers"),
                ("user-agent", "faregate-health"),
                ("x-gate", "a"),
            ];
            assert_eq!(told, expected);
        }
        gateway.wait_used("acme", 0);
        assert_eq!(gateway.recorded("acme"), [].into());
    }
}

#[test]
fn who_is_not_serving_is_left_out_until_it_is() {
    let (good, ill) = (Server::start(), Server::start());
    ill.set_health(NOT_SERVING);
    let urls = format!("urls = [\"http://{}\", \"http://{}\"]", good.address, ill.address);
    let one = format!("url = \"http://{}\"", good.address);
    let gateway = Gateway::start_with(&tables(good.address, OFTEN).replace(&one, &urls), None);
    wait_healthy(&gateway, &ill, false);
    let calls = |server: &Server| server.seen().len() - checks(server);
    let before = calls(&ill);
    for _ in 0..10 {
        assert_eq!(gateway.get("/paid/x", KEY).status(), 200);
    }
    assert_eq!((calls(&good), calls(&ill) - before), (10, 0));
    ill.set_health(SERVING);
    wait_healthy(&gateway, &ill, true);
    let mut sent = 10;
    wait_for("requests to the one that passes", || {
        assert_eq!(gateway.get("/paid/x", KEY).status(), 200);
        sent += 1;
        (calls(&ill) > before).then_some(())
    });
    gateway.wait_recorded("acme", &[("completed", sent, sent * COST)]);
}

/// Each kind of answer that does not pass, what the log of the real program says of it, and that one that
/// passes ends it.
#[test]
fn log_says_why_a_check_fails() {
    let directory = tempfile::tempdir().unwrap();
    let (address, admin) = (process::free_address(), process::free_address());
    let server = Server::start();
    let text = format!(
        "[server]\nlisten = \"{address}\"\n[admin]\nlisten = \"{admin}\"\n{}",
        tables(server.address, OFTEN)
    );
    let text = text.replace("keys = ", "# keys = ");
    std::fs::write(directory.path().join("faregate.toml"), text).unwrap();
    let gateway = process::Gateway::start(directory.path(), address, admin);
    for (health, words) in [
        (NOT_SERVING, "it says that the service is not serving"),
        (Health::Call(b"\0\0\0\0\0", "0"), "it says that it does not know how the service does"),
        (
            Health::Call(b"", "5"),
            "it answered with the gRPC status 5 (it does not know the service)",
        ),
        (Health::Call(b"", "12"), "it answered with the gRPC status 12 (it has no health service)"),
        (Health::Call(b"\0\0\0\0\x02\x08\x01", "14"), "it answered with the gRPC status 14"),
        (Health::Call(b"\x01\0\0\0\x02\x08\x01", "0"), "its answer is no single message"),
        (Health::Call(b"\0\0\0\0\x02\x08", "0"), "its answer is no single message"),
        (Health::Call(&[0; 5000], "0"), "its body is too long"),
        (Health::Plain(200), "its answer is none to a call of gRPC"),
        (Health::Plain(503), "it answered with the status 503"),
        (Health::Silence, "it did not answer within 200ms"),
    ] {
        let before = gateway.log().len();
        let since = |message: &str| {
            let log = gateway.log();
            let mut lines = log[before..].lines();
            lines.find(|line| line.contains(message)).map(ToOwned::to_owned)
        };
        server.set_health(health);
        let told = wait_for(words, || since("endpoint fails its health checks"));
        assert!(told.contains(words), "{words}: {told}");
        server.set_health(SERVING);
        wait_for("the end of it", || since("endpoint passes its health checks again"));
    }
}

#[test]
fn who_speaks_another_version_does_not_pass() {
    let upstream = crate::support::Upstream::ok();
    let gateway = Gateway::start_with(&tables(upstream.address(), OFTEN), None);
    wait_until_equal(|| metric(&gateway, "endpoint_healthy", &[]), &Some(0.0));
    gateway.wait_used("acme", 0);
}

#[test]
fn it_is_asked_within_tls_too() {
    let (gateway, server) = super::start_secured_with(&[b"h2"], OFTEN);
    wait_for("two checks", || (checks(&server) >= 2).then_some(()));
    wait_healthy(&gateway, &server, true);
    assert!(server.seen()[0].uri.starts_with("https://"), "{:?}", server.seen());
}
