//! The table against its rules, and against a naive model.

use proptest::prelude::*;

use super::*;
use crate::model::{
    Access, Address, ChargeOn, Endpoint, Endpoints, HostHeader, HttpVersion, Settle, Upstream,
    WebSocket,
};

fn upstream() -> Arc<Upstream> {
    let second = std::time::Duration::from_secs(1);
    let address = Address::Tcp { host: "127.0.0.1".into(), port: 9000 };
    let endpoint = Endpoint::new(address, http::HeaderValue::from_static("127.0.0.1:9000"));
    Arc::new(Upstream {
        id: "api".into(),
        endpoints: Endpoints::new(endpoint, Vec::new()),
        version: HttpVersion::Http1,
        base_path: "".into(),
        connect_timeout: second,
        response_timeout: second,
        idle_timeout: second,
        keepalive_timeout: second,
        set_headers: Vec::new(),
        host_header: HostHeader::Upstream,
        health: None,
        limit: None,
        retries: 0,
        tls: None,
    })
}

fn route(host: Option<&str>, path: &str, methods: &[Method]) -> Arc<Route> {
    let methods = if methods.is_empty() { Methods::Any } else { Methods::Only(methods.to_vec()) };
    Arc::new(Route {
        name: format!("{} {path}", host.unwrap_or("*")).into(),
        host: host.map(Into::into),
        path: path.into(),
        methods,
        upstream: upstream(),
        strip_prefix: None,
        access: Access::Key,
        cost: 1,
        price: None,
        offer: None,
        settle: Settle::Before,
        scopes: Vec::new(),
        enforce: true,
        charge_on: ChargeOn::default(),
        websocket: WebSocket::default(),
        request_timeout: None,
    })
}

fn found(table: &RouteTable, host: Option<&str>, path: &str, method: &Method) -> String {
    match table.find(host, path, method) {
        Found::Route(entry) => entry.route.name.to_string(),
        Found::OtherMethods(allowed) => format!("{allowed:?}"),
        Found::Nothing => "-".into(),
    }
}

#[test]
fn most_specific_wins_and_then_the_method() {
    let table = RouteTable::new(&[
        route(None, "/{*all}", &[]),
        route(None, "/free", &[Method::GET]),
        route(None, "/v1/{id}", &[Method::GET, Method::HEAD]),
        route(None, "/v1/{name}", &[Method::POST]),
        route(None, "/v1/{*rest}", &[]),
        route(Some("b.example"), "/free", &[Method::PUT]),
    ]);
    for (host, path, method, expected) in [
        (None, "/", Method::GET, "* /{*all}"),
        (None, "/free", Method::GET, "* /free"),
        (None, "/free", Method::POST, "[GET]"),
        (None, "/freepaid", Method::GET, "* /{*all}"),
        (None, "/free/", Method::GET, "* /{*all}"),
        (None, "/v1/7", Method::GET, "* /v1/{id}"),
        (None, "/v1/7", Method::POST, "* /v1/{name}"),
        (None, "/v1/7", Method::DELETE, "[GET, HEAD, POST]"),
        (None, "/v1/", Method::GET, "* /v1/{*rest}"),
        (None, "/v1", Method::GET, "* /{*all}"),
        (None, "/v1/7/8", Method::GET, "* /v1/{*rest}"),
        (Some("b.example"), "/free", Method::PUT, "b.example /free"),
        (Some("b.example"), "/free", Method::GET, "[PUT]"),
        (Some("b.example"), "/other", Method::GET, "* /{*all}"),
    ] {
        assert_eq!(found(&table, host, path, &method), expected, "{host:?} {method} {path}");
    }
}

#[test]
fn methods_of_a_path_are_those_of_its_routes() {
    let table = RouteTable::new(&[
        route(None, "/a", &[Method::GET, Method::HEAD]),
        route(None, "/a", &[Method::PUT]),
        route(None, "/any", &[]),
        route(Some("b.example"), "/a", &[Method::POST]),
    ]);
    let only = |methods: &[Method]| Some(Methods::Only(methods.to_vec()));
    let all = only(&[Method::GET, Method::HEAD, Method::PUT]);
    assert_eq!(table.methods(None, "/a"), all);
    assert_eq!(table.methods(Some("c.example"), "/a"), all);
    assert_eq!(table.methods(Some("b.example"), "/a"), only(&[Method::POST]));
    assert_eq!(table.methods(None, "/any"), Some(Methods::Any));
    assert_eq!(table.methods(None, "/none"), None);
}

#[test]
fn nothing_matches_without_a_route() {
    let table = RouteTable::new(&[route(None, "/a/{*rest}", &[])]);
    assert_eq!(found(&table, None, "/a", &Method::GET), "-");
    assert_eq!(found(&table, None, "/b", &Method::GET), "-");
    assert_eq!(found(&table, None, "/a/", &Method::GET), "* /a/{*rest}");
}

/// A naive model: all patterns that match, and of them the one that is literal longest from the left.
fn naive(patterns: &[String], path: &str) -> Option<String> {
    let rank = |pattern: &str| -> Option<Vec<u8>> {
        let (mut ranks, mut given) = (Vec::new(), path.split('/').skip(1));
        for segment in pattern.split('/').skip(1) {
            if segment.starts_with("{*") {
                ranks.push(0);
                return given.next().map(|_| ranks);
            }
            let actual = given.next()?;
            match segment {
                literal if literal == actual => ranks.push(2),
                parameter if parameter.starts_with('{') && !actual.is_empty() => ranks.push(1),
                _ => return None,
            }
        }
        given.next().is_none().then_some(ranks)
    };
    let ranked = patterns.iter().filter_map(|pattern| Some((rank(pattern)?, pattern)));
    ranked.max_by(|a, b| a.0.cmp(&b.0)).map(|(_, pattern)| pattern.clone())
}

fn pattern() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        3 => Just("a".to_owned()),
        2 => Just("ab".to_owned()),
        2 => Just("{x}".to_owned()),
    ];
    let last = prop_oneof![Just(""), Just("/{*rest}"), Just("/")];
    (prop::collection::vec(segment, 0..4), last).prop_map(|(segments, last)| {
        let head: String = segments.iter().map(|segment| format!("/{segment}")).collect();
        let pattern = format!("{head}{last}");
        if pattern.is_empty() { "/".into() } else { pattern }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Any path is matched by the route that the naive model chooses, however the file is ordered.
    #[test]
    fn table_agrees_with_the_naive_model(
        patterns in prop::collection::hash_set(pattern(), 1..8),
        paths in prop::collection::vec("(/(a|ab|b|abc|)){1,4}", 1..8),
    ) {
        let mut patterns: Vec<String> = patterns.into_iter().collect();
        for _ in 0..2 {
            let routes: Vec<_> = patterns.iter().map(|p| route(None, p, &[])).collect();
            let table = RouteTable::new(&routes);
            for path in paths.iter().filter(|path| !path.contains("//")) {
                let expected = naive(&patterns, path).map_or("-".into(), |p| format!("* {p}"));
                prop_assert_eq!(found(&table, None, path, &Method::GET), expected, "{} in {:?}", path, patterns);
            }
            patterns.reverse();
        }
    }
}
