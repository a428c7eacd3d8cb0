//! Where keys are found, and what is left of a request without them.

use http::{HeaderName, Request};

use super::*;

fn header_location(name: &'static str) -> KeyLocation {
    KeyLocation::Header(HeaderName::from_static(name))
}

fn all() -> Vec<KeyLocation> {
    vec![
        KeyLocation::Bearer,
        header_location("x-api-key"),
        KeyLocation::Basic,
        header_location("x-other"),
        KeyLocation::Cookie("session".into()),
        KeyLocation::Query("key".into()),
    ]
}

fn head(uri: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::get(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn key(uri: &str, fields: &[(&str, &str)], locations: &[KeyLocation]) -> String {
    match find(&head(uri, fields), locations) {
        Ok(digest) if digest == KeyDigest::of(b"k1") => "k1".into(),
        Ok(_) => "other".into(),
        Err(denial) => denial.code().name().into(),
    }
}

// base64: "k1:" is azE6, "k1" is azE=, "k1:secret:x" is azE6c2VjcmV0Ong=, ":k1" is OmsxCg without its end.
#[test]
fn one_key_is_found_wherever_it_stands() {
    for (fields, expected) in [
        (&[][..], "missing_api_key"),
        (&[("authorization", "Bearer k1")], "k1"),
        (&[("authorization", "bearer  k1 ")], "k1"),
        (&[("authorization", "BEARER\tk1")], "k1"),
        (&[("authorization", "Bearer")], "other"),
        (&[("authorization", "Bearer ")], "other"),
        (&[("authorization", "Bearerk1")], "missing_api_key"),
        (&[("authorization", "Digest k1")], "missing_api_key"),
        (&[("authorization", "Basic azE6")], "k1"),
        (&[("authorization", "basic azE=")], "k1"),
        (&[("authorization", "Basic azE")], "k1"),
        (&[("authorization", "Basic azE6c2VjcmV0Ong=")], "k1"),
        (&[("authorization", "Basic OmsxCg==")], "other"),
        (&[("authorization", "Basic k1 is no base64")], "other"),
        (&[("x-api-key", "k1")], "k1"),
        (&[("x-api-key", "")], "other"),
        (&[("x-api-key", "k1 ")], "other"),
        (&[("x-other", "k1")], "k1"),
        (&[("cookie", "session=k1")], "k1"),
        (&[("cookie", "a=b; session=\"k1\"; c=d")], "k1"),
        (&[("cookie", "a=b"), ("cookie", "session=k1")], "k1"),
        (&[("cookie", "Session=k1; mysession=k1")], "missing_api_key"),
        (&[("authorization", "Bearer k1"), ("x-api-key", "k1")], "k1"),
        (&[("authorization", "Bearer k1"), ("authorization", "Basic azE6")], "k1"),
        (&[("authorization", "Bearer k1"), ("x-api-key", "k2")], "ambiguous_credentials"),
        (
            &[("authorization", "Bearer k1"), ("authorization", "Basic azI6")],
            "ambiguous_credentials",
        ),
        (&[("x-api-key", "k1"), ("x-api-key", "k2")], "ambiguous_credentials"),
        (&[("cookie", "session=k1; session=k2")], "ambiguous_credentials"),
    ] {
        assert_eq!(key("/", fields, &all()), expected, "{fields:?}");
    }
    for (uri, expected) in [
        ("/?a=1&key=k1", "k1"),
        ("/?%6Bey=k%31", "k1"),
        ("/?key=k1&key=k1", "k1"),
        ("/?key=k1&key=k2", "ambiguous_credentials"),
        ("/?key=", "other"),
        ("/?keys=k1", "missing_api_key"),
    ] {
        assert_eq!(key(uri, &[], &all()), expected, "{uri}");
    }
}

#[test]
fn places_that_are_not_listed_are_left_alone() {
    let fields = [("authorization", "Bearer k2"), ("x-api-key", "k1"), ("cookie", "session=k3")];
    let only = [header_location("x-api-key")];
    assert_eq!(key("/?key=k4", &fields, &only), "k1");
    let mut left = head("/", &fields);
    remove(&mut left.headers, &only);
    assert_eq!(left.headers, head("/", &[fields[0], fields[2]]).headers);
    assert!(query_names(&only).is_empty());
}

#[test]
fn nothing_of_a_key_is_left() {
    for (given, left) in [
        (&[("authorization", "Bearer k1"), ("accept", "*/*")][..], &[("accept", "*/*")][..]),
        (&[("authorization", "Digest k1")], &[("authorization", "Digest k1")]),
        (&[("authorization", "basic azE6"), ("authorization", "Digest x")], &[]),
        (&[("x-api-key", "k1"), ("x-other", "k1")], &[]),
        (&[("cookie", "session=k1")], &[]),
        (
            &[("cookie", "a=b; session=k1;c=\"d\""), ("cookie", "e")],
            &[("cookie", "a=b; c=\"d\"; e")],
        ),
        (&[("cookie", "a=b;c=d")], &[("cookie", "a=b;c=d")]),
    ] {
        let mut fields = head("/", given).headers;
        remove(&mut fields, &all());
        assert_eq!(fields, head("/", left).headers, "{given:?}");
    }
    assert_eq!(query_names(&all()), ["key"]);
}
