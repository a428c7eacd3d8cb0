//! A request as it goes up, read again.

use std::time::Duration;

use http::{HeaderName, HeaderValue, header, request::Parts};

use super::{
    letter::Head as Letter,
    request::{FIELDS_MAX, parse},
};
use crate::{
    chain::{credential, origin::Scheme, target::Target},
    config::KeyLocation,
    model::{Address, Endpoint, Endpoints, HostHeader, HttpVersion, Upstream},
    server::http1::request::Head,
    upstream::headers::{self, Told},
};

/// What goes up is one request to the letter that says what was checked, and nothing that only the gateway
/// may say, nothing about the client's connection and no key.
pub(super) fn head(data: &[u8]) {
    let Ok(Some((Head { parts, takes_trailers, .. }, _))) = parse(data, FIELDS_MAX) else { return };
    let Ok(target) = Target::parse(&parts) else { return };
    let locations = locations();
    let names = credential::query_names(&locations);
    let Ok(target) = target.without_parameters(&names) else { return };
    let written = write(&parts, &target, takes_trailers, &locations);
    // With what the gateway tells there may be more fields than a client may send.
    let Ok(Some((read, length))) = parse(&written, FIELDS_MAX + 20) else {
        panic!("it cannot be read: {}", String::from_utf8_lossy(&written));
    };
    let letter = Letter::of_request(&written).expect("it is well formed");
    assert_eq!((length, letter.length), (written.len(), written.len()));
    assert!(letter.start.iter().all(|part| part.is_ascii()));
    assert_eq!(read.parts.method, parts.method);
    let told = read.parts.uri.path_and_query().map(|target| target.as_str());
    assert_eq!(told, Some(target.path_and_query().as_str()));
    assert!(credential::find(&read.parts, &locations).is_err(), "a key goes up");
    said(&letter, &parts, takes_trailers);
}

fn said(letter: &Letter<'_>, given: &Parts, takes_trailers: bool) {
    for name in ["host", "x-forwarded-for", "x-forwarded-proto", "faregate-request-id"] {
        assert_eq!(letter.values(name).len(), 1, "{name}");
    }
    assert_eq!(letter.values("x-forwarded-for"), [PEER.as_bytes()]);
    let options = given.headers.get_all(header::CONNECTION).iter();
    let options: Vec<HeaderName> = options
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|option| option.trim().parse().ok())
        .collect();
    for (name, value) in &letter.fields {
        let dashed = name.replace('_', "-");
        let is_own = OWN.contains(&&**name);
        let is_te = takes_trailers && ["te", "connection"].contains(&&**name);
        assert!(is_own || is_te || !ABOUT.contains(&&*dashed), "{name}: {value:?}");
        let is_reserved = ["faregate-", "x-forwarded-"].iter().any(|part| dashed.starts_with(part));
        assert!(is_own || !is_reserved, "{name} is the gateway's to say");
        let is_named = options.iter().any(|option| option.as_str() == name);
        assert!(!is_named || is_own || is_te, "{name} is about the connection");
    }
}

const PEER: &str = "192.0.2.7";

/// What the gateway says itself.
const OWN: [&str; 6] = [
    "host",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "faregate-request-id",
    "via",
];

/// What goes no further than to the gateway.
const ABOUT: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "x-http-method-override",
];

fn locations() -> Vec<KeyLocation> {
    let mut locations = KeyLocation::defaults();
    locations.push(KeyLocation::Query("api_key".into()));
    locations.push(KeyLocation::Cookie("key".into()));
    locations
}

fn write(
    given: &Parts,
    target: &Target,
    takes_trailers: bool,
    locations: &[KeyLocation],
) -> Vec<u8> {
    let address = Address::Tcp { host: "upstream.example".into(), port: 80 };
    let endpoint = Endpoint::new(address, HeaderValue::from_static("upstream.example"));
    let second = Duration::from_secs(1);
    let upstream = Upstream {
        id: "api".into(),
        endpoints: Endpoints::new(endpoint, Vec::new()),
        version: HttpVersion::Http1,
        base_path: "".into(),
        connect_timeout: second,
        response_timeout: second,
        idle_timeout: second,
        keepalive_timeout: second,
        set_headers: Vec::new(),
        host_header: HostHeader::Preserve,
        health: None,
        limit: None,
        retries: 0,
        tls: None,
    };
    let told = Told {
        takes_payments: true,
        identity: None,
        request_id: HeaderValue::from_static("id"),
        version: http::Version::HTTP_11,
        takes_trailers,
        is_switch: false,
        origin: None,
        peer: &HeaderValue::from_static(PEER),
        scheme: Scheme::Http,
        client_cert: None,
        host: target.host().map(|host| host.value()),
        authority: &HeaderValue::from_static("upstream.example"),
        key_locations: locations,
        trace: None,
    };
    let mut fields = given.headers.clone();
    credential::remove(&mut fields, locations);
    let target = target.path_and_query();
    let mut written = headers::forward(&given.method, target, &fields, &upstream, &told);
    written.extend_from_slice(b"\r\n");
    written
}
