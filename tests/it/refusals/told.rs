//! What a refusal tells: links and pages that explain it; and what it does not tell.

use faregate::answer::Code;

use super::setup::{NOW, Stage, TABLES, all_cases};
use crate::support::{Gateway, SMALL, Upstream, client::head};

/// Without a public address links follow the Host of the request.
#[test]
fn links_follow_the_host_where_no_public_address_is_given() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, SMALL, &upstream);
    for (host, expected) in [
        ("api.test", "http://api.test/_faregate/problems/missing_api_key"),
        ("API.test.:8402", "http://api.test:8402/_faregate/problems/missing_api_key"),
    ] {
        let mut client = gateway.client();
        client.send(format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let response = client.response();
        assert_eq!(response.json()["type"], expected);
        // A challenge repeats nothing that the caller sent.
        let challenge = response.field("www-authenticate");
        assert_eq!(challenge, Some("Bearer realm=\"faregate\""));
    }
}

/// The page behind each refusal's `type` is there, needs no key and costs nothing.
#[test]
fn every_code_has_its_page() {
    let stage = Stage::new();
    let before = stage.counted();
    let mut client = stage.gateway.client();
    for code in Code::ALL {
        let path = format!("/_faregate/problems/{}", code.name());
        let response = client.request("GET", &path, &[]);
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.field("content-type"), Some("application/json"));
        let page = response.json();
        assert_eq!(page["type"], format!("https://api.example.com{path}"));
        assert_eq!(page["code"], code.name());
        assert_eq!(page["title"], code.title());
        let empty = client.request("HEAD", &path, &[]);
        assert_eq!(empty.field("content-length"), response.field("content-length"));
    }
    let missing = client.request("GET", "/_faregate/problems/none", &[]);
    assert_eq!(missing.verdict(), "404 route_not_found");
    assert_eq!(stage.counted(), before);
}

/// An unknown key, an empty one and one of strange bytes get one answer, to the letter.
#[test]
fn wrong_keys_are_told_apart_nowhere() {
    let stage = Stage::new();
    let mut answers = Vec::new();
    let wide = "x".repeat(4000);
    for key in ["nobody", "", "fg_live_0000", "expired ", "goo", "good2", "\u{fc}", &wide] {
        let mut client = stage.gateway.client();
        client.send(head("GET", "/one/x", &[&format!("X-API-Key: {key}x")]));
        let response = client.response();
        let id = response.field("x-request-id").unwrap().to_owned();
        let fields = super::assert_is_refusal(key, &response);
        answers.push((fields, response.text().replace(&id, "ID")));
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:#?}");
    assert!(answers[0].1.contains("invalid_api_key"), "{answers:#?}");
}

/// Nothing that the caller sent comes back, and no key of anyone.
#[test]
fn refusals_repeat_no_input() {
    let stage = Stage::new();
    for case in all_cases() {
        let marked = case
            .request
            .replacen("HTTP/1.1\r\n", "HTTP/1.1\r\nX-Marked: m4rked\r\nCookie: m4rked\r\n", 1)
            .replacen(" HTTP/1.1", "?m4rked=m4rked HTTP/1.1", 1);
        let mut client = stage.gateway.client();
        client.send(marked);
        let response = client.response();
        let all = format!("{:?} {}", response.head, String::from_utf8_lossy(&response.body));
        assert!(!all.contains("m4rked"), "{}: {all}", case.name);
        assert!(!all.contains("gateway.test"), "{}: {all}", case.name);
        assert!(!all.contains("sha256"), "{}: {all}", case.name);
    }
}

/// An upgrade address that no customer's plan has is taken from a plan on sale, and without one a 402
/// has no link.
#[test]
fn payment_link_stands_where_something_can_be_bought() {
    let stage = Stage::new();
    let link = Some("<https://example.com/billing>; rel=\"payment\"");
    for (key, path) in [("nothing", "/one/x"), ("spent-twice", "/one/x"), ("good", "/extra")] {
        let response = stage.gateway.get(path, key);
        assert_eq!((response.status(), response.field("link")), (402, link), "{key}");
    }
    let tables = TABLES.replace("upgrade_url", "title");
    let stage = Stage::with(&tables);
    let response = stage.gateway.get("/one/x", "nothing");
    assert_eq!((response.status(), response.field("link")), (402, None));
    assert!(response.json().get("actions").is_none());
}
