//! What browsers ask and are told.

use std::time::Duration;

use http::{Method, Request, header};

use super::{input, letter::Head as Letter};
use crate::{
    config,
    cors::{self, Policy},
    http1::{Fields, push_field},
};

const LISTED: [&str; 2] = ["https://a.example", "https://b.example:8443"];

/// An origin is told that it may read an answer if it is listed, to the letter and alone; nothing that the
/// upstream said of it is left.
pub(super) fn fields(data: &[u8]) {
    let fields = input::fields(data);
    let policy = Policy::new(
        &config::Cors {
            origins: LISTED.map(Into::into).to_vec(),
            headers: vec![header::AUTHORIZATION],
            expose: Vec::new(),
            credentials: true,
            max_age: Duration::from_secs(60),
        },
        true,
    );
    let origins: Vec<_> = fields.get_all(header::ORIGIN).iter().collect();
    let is_listed = match origins.as_slice() {
        [only] => LISTED.iter().any(|listed| only == listed),
        _ => false,
    };
    assert_eq!(policy.allows(&fields), is_listed);
    let mut answer = Fields::default();
    for (name, value) in &fields {
        push_field(&mut answer.lines, name.as_str(), value.as_bytes());
    }
    cors::drop_said(&mut answer);
    policy.tell(&fields, &mut answer);
    let written = [b"HTTP/1.1 200 OK\r\n", &answer.lines[..], b"\r\n"].concat();
    let letter = Letter::of_answer(&written).expect("it is well formed");
    let told = letter.fields.iter().filter(|(name, _)| name.starts_with("access-control-")).count();
    assert_eq!(told, if is_listed { 3 } else { 0 });
    asked(fields);
}

fn asked(fields: http::HeaderMap) {
    let mut request = Request::new(());
    *request.method_mut() = Method::OPTIONS;
    *request.headers_mut() = fields;
    let (head, ()) = request.into_parts();
    if let Some(method) = cors::asked_method(&head) {
        assert!(method != Method::CONNECT && method != Method::TRACE);
    }
    let _ = cors::is_preflight(&head);
}
