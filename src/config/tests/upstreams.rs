//! Upstreams of a good file, and how many addresses one may have.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::model::{Address, Endpoints, Health, Limit, Question};

fn upstream(lines: &str) -> Arc<Upstream> {
    let config = config(&format!("[upstreams.api]\n{lines}"));
    Arc::clone(&config.upstreams[0])
}

#[test]
fn health_and_limits_have_defaults() {
    let none = upstream("url = \"http://127.0.0.1:9000\"");
    assert_eq!((&none.health, none.limit, none.retries), (&None, None, 0));
    let plain = upstream(
        "url = \"http://127.0.0.1:9000\"\nhealth = { path = \"/healthz\" }\nconnections = 5",
    );
    let health = Health {
        question: Question::Get { path: "/healthz".into(), status: 200..=399 },
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        fails: 3,
        passes: 2,
    };
    assert_eq!(plain.health, Some(health));
    let queue_timeout = Duration::from_secs(1);
    assert_eq!(plain.limit, Some(Limit { connections: 5, queue_length: 100, queue_timeout }));
}

#[test]
fn health_and_limits_are_taken() {
    let upstream = upstream(
        "url = \"http://127.0.0.1:9000\"
         health = { path = \"/h?deep=1\", interval = \"1s\", timeout = \"500ms\", fails = 1, passes = 4, status = 204 }
         connections = 1
         queue = { length = 0, timeout = \"3s\" }
         retries = 3",
    );
    let health = upstream.health.as_ref().unwrap();
    let question = Question::Get { path: "/h?deep=1".into(), status: 204..=204 };
    assert_eq!((&health.question, health.interval), (&question, Duration::from_secs(1)));
    assert_eq!((health.fails, health.passes), (1, 4));
    assert_eq!(health.timeout, Duration::from_millis(500));
    let queue_timeout = Duration::from_secs(3);
    assert_eq!(upstream.limit, Some(Limit { connections: 1, queue_length: 0, queue_timeout }));
    assert_eq!(upstream.retries, 3);
}

#[test]
fn health_by_grpc_is_taken() {
    for service in ["", "weather.v1.Weather"] {
        let upstream = upstream(&format!(
            "url = \"http://127.0.0.1:9000\"\nhttp_version = \"2\"\nhealth = {{ grpc = \"{service}\" }}"
        ));
        let question = Question::Grpc { service: service.into() };
        assert_eq!(upstream.health.as_ref().map(|health| &health.question), Some(&question));
    }
}

#[test]
fn socket_is_an_address() {
    for (url, path, base) in [
        ("unix:/run/api.sock", "/run/api.sock", ""),
        ("unix:/run/a:b.sock:/v1/", "/run/a:b.sock", "/v1"),
    ] {
        let upstream = upstream(&format!("url = \"{url}\""));
        let endpoint = upstream.endpoints.first();
        assert_eq!(endpoint.address, Address::Unix(Path::new(path).into()));
        assert_eq!(
            (&*endpoint.name, endpoint.authority.as_bytes()),
            (&*format!("unix:{path}"), &b"localhost"[..])
        );
        assert_eq!(&*upstream.base_path, base);
    }
    let long = format!("[upstreams.api]\nurl = \"unix:/{}\"", "x".repeat(107));
    assert!(report(&long).contains("no socket can have this path"));
}

#[test]
fn upstream_has_at_most_64_addresses() {
    let urls = |count: usize| {
        let urls: Vec<_> = (1..=count).map(|port| format!("\"http://127.0.0.1:{port}\"")).collect();
        format!("[upstreams.api]\nurls = [{}]", urls.join(", "))
    };
    let most = config(&urls(Endpoints::MAX));
    assert_eq!(most.upstreams[0].endpoints.iter().count(), 64);
    let report = report(&urls(Endpoints::MAX + 1));
    assert!(report.contains("an upstream has at most 64 URLs"), "{report}");
}
