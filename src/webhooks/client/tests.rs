use super::*;
use crate::{outgoing::Trust, webhooks::sign::SigningSecret};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn event() -> Event {
    Event::new("quota.exhausted", &serde_json::json!({"customer": "acme"}), now()).unwrap()
}

fn secrets() -> Secrets {
    SigningSecret::parse(SECRET).unwrap().into()
}

#[test]
fn request_says_what_it_must() {
    let target = Target::parse("https://hooks.example:8443/in?k=v", Trust::Tenant).unwrap();
    let event = event();
    let message = request(&target, &secrets(), &event, now()).unwrap();
    assert_eq!((message.method().as_str(), message.uri().to_string()), ("POST", "/in?k=v".into()));
    let said = |name: &str| message.headers()[name].to_str().unwrap();
    for (name, value) in [
        ("host", "hooks.example:8443"),
        ("content-type", "application/json"),
        ("user-agent", concat!("faregate/", env!("CARGO_PKG_VERSION"))),
        ("connection", "close"),
        ("webhook-id", event.id.as_str()),
        ("webhook-timestamp", "1795168800"),
        ("webhook-signature", &secrets().sign(&event.id, now(), &event.body)),
    ] {
        assert_eq!(said(name), value);
    }
    assert_eq!(message.headers().len(), 7);
    let body = r#"{"type":"quota.exhausted","timestamp":"2026-11-20T10:00:00Z","data":{"customer":"acme"}}"#;
    assert_eq!(event.body, body);
}

#[test]
fn statuses_are_judged() {
    let judged = |status: u16| {
        let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, "90".parse().unwrap())]);
        judge(StatusCode::from_u16(status).unwrap(), &headers, now())
    };
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(judged(status), Outcome::Delivered { status });
    }
    assert_eq!(judged(410), Outcome::Gone);
    let wait = Some(Duration::from_secs(90));
    for status in [101, 400, 401, 404, 408, 409, 429, 500, 503, 599] {
        let reason = format!("the receiver answered {status}");
        assert_eq!(judged(status), failed(Some(status), &reason, wait));
    }
    for status in [300, 301, 302, 303, 304, 307, 308] {
        let reason = format!(
            "the receiver answered {status}, and redirects are not followed; set its final URL"
        );
        assert_eq!(judged(status), failed(Some(status), &reason, wait));
    }
}

#[test]
fn reasons_are_bounded() {
    let Outcome::Failed { failure, .. } = failed(None, &"é".repeat(5000), None) else {
        panic!("not a failure")
    };
    assert_eq!(failure.reason.chars().count(), REASON_CHARS_MAX);
}
