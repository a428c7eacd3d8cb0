//! The access log: one line per request, true, and without a secret.

use serde_json::{Value, json};

use crate::support::{
    Exchange, Gateway, SMALL, Then, Upstream,
    client::{bearer, head},
    upstream::OK,
    wait_for,
};

fn start(upstream: &Upstream) -> Gateway {
    let log = "[log]\naccess = \"./access.log\"\nlevel = \"error\"\n";
    let free = "[[routes]]\nname = \"free\"\npath = \"/free\"\nupstream = \"api\"\n\
                access = \"public\"\n";
    let mobile = "[customers.acme.applications.mobile]\n\
                  keys = [{ id = \"m\", digest = \"key:mobile\" }]\n";
    let tables = SMALL.replace("limit = 1000", "limit = 5");
    Gateway::start_at(NOW, &format!("{log}{tables}{mobile}{free}"), upstream)
}

const NOW: &str = "2026-11-20T12:00:00Z";

/// Waits for this many lines and gives them.
pub(crate) fn lines(gateway: &Gateway, count: usize) -> Vec<Value> {
    let path = gateway.directory().join("access.log");
    let text = wait_for("lines in the log", || {
        let mut text = std::fs::read_to_string(&path).unwrap_or_default();
        // What stands behind the last line's end is still being written.
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        (text.lines().count() >= count).then_some(text)
    });
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn upstream() -> Upstream {
    Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        match exchange.request().target().split('?').next().unwrap() {
            "/reset" => return Ok(Then::Reset),
            "/500" => exchange.send("HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nno!\n")?,
            "/cut" => {
                exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n01")?;
                return Ok(Then::Close);
            }
            _ => exchange.send(OK)?,
        }
        Ok(Then::KeepAlive)
    })
}

#[test]
fn each_request_has_one_line_that_says_how_it_ended() {
    let upstream = upstream();
    let gateway = start(&upstream);
    let key = "key-of-acme";
    let mut ids = Vec::new();
    let mut expected = Vec::new();
    // Path, key, then what its line says: status, code, ending, charge, bytes.
    for (path, key, status, code, ending, charged, bytes) in [
        ("/a//b?q", key, 200, None, Some("completed"), 1, Some(3)),
        ("/m", "mobile", 200, None, Some("completed"), 1, Some(3)),
        ("/500", key, 500, None, Some("uncharged"), 0, Some(4)),
        ("/reset", key, 502, Some("upstream_error"), Some("failed"), 0, None),
        ("/cut", key, 200, None, Some("truncated"), 1, Some(2)),
        ("/a", "nobody", 401, Some("invalid_api_key"), Some("refused"), 0, None),
        ("/a%2f", key, 400, Some("invalid_path"), Some("refused"), 0, None),
        ("/free", key, 200, None, Some("completed"), 0, Some(3)),
        ("/_faregate/usage", key, 200, None, None, 0, None),
        ("/a", key, 200, None, Some("completed"), 1, Some(3)),
        ("/a", key, 200, None, Some("completed"), 1, Some(3)),
        ("/a", key, 402, Some("quota_exceeded"), Some("refused"), 0, None),
    ] {
        let response = gateway.get(path, key);
        assert_eq!(response.status(), status, "{path}");
        ids.push(response.field("x-request-id").unwrap().to_owned());
        expected.push((path, key, status, code, ending, charged, bytes));
    }
    let found = lines(&gateway, ids.len());
    assert_eq!(found.len(), ids.len());
    for (line, (id, expected)) in found.iter().zip(ids.iter().zip(expected)) {
        let (path, key, status, code, ending, charged, bytes) = expected;
        assert_eq!(line["request_id"], json!(id), "{path}");
        assert_eq!(line["time"], NOW);
        assert_eq!(line["client"], "127.0.0.1");
        assert_eq!(line["method"], "GET");
        let normal = if path == "/a//b?q" { "/a/b" } else { path };
        assert_eq!(line["path"], normal);
        assert_eq!(line["status"], json!(status), "{path}");
        assert_eq!(line["code"], json!(code), "{path}");
        assert_eq!(line["ending"], json!(ending), "{path}");
        assert_eq!(line["charged"], json!(charged), "{path}");
        if let Some(bytes) = bytes {
            assert_eq!(line["bytes"], json!(bytes), "{path}");
        }
        assert!(line["duration_ms"].as_f64().unwrap() >= 0.0);
        let by_customer = !matches!(path, "/free" | "/a%2f") && key != "nobody";
        let customer = if by_customer { json!("acme") } else { Value::Null };
        assert_eq!(line["customer"], customer, "{path}");
        let mobile = if key == "mobile" { json!("mobile") } else { Value::Null };
        assert_eq!(line["application"], mobile);
        let plan = if by_customer { json!("starter") } else { Value::Null };
        assert_eq!(line["plan"], plan);
        let key_id = match key {
            "mobile" => json!("m"),
            _ if by_customer => json!("acme-1"),
            _ => Value::Null,
        };
        assert_eq!(line["key_id"], key_id);
        let route = match path {
            "/free" => json!("free"),
            "/a%2f" | "/_faregate/usage" => Value::Null,
            _ => json!("api"),
        };
        assert_eq!(line["route"], route, "{path}");
    }
}

#[test]
fn callers_that_leave_have_a_line_too() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        if exchange.request().target() == "/half" {
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n01")?;
        }
        Ok(Then::Silence)
    });
    let gateway = start(&upstream);
    let mut client = gateway.client();
    client.send(head("GET", "/none", &[&bearer("key-of-acme")]));
    upstream.wait_for(1);
    drop(client);
    assert_eq!(lines(&gateway, 1)[0]["ending"], "abandoned");
    let mut client = gateway.client();
    client.send(head("GET", "/half", &[&bearer("key-of-acme")]));
    client.head();
    assert_eq!(client.exactly(2), b"01");
    drop(client);
    let found = lines(&gateway, 2);
    let said = |line: &Value| json!([line["status"], line["ending"], line["charged"]]);
    assert_eq!(said(&found[0]), json!([0, "abandoned", 1]));
    assert_eq!(said(&found[1]), json!([200, "aborted", 1]));
}

/// A refusal that comes after the request was sent is charged, and its line says so.
#[test]
fn upload_beyond_the_limit_has_its_charge_in_the_line() {
    let upstream = upstream();
    let tables = format!(
        "[log]\naccess = \"./access.log\"\n[server.limits]\nbody_bytes = \"1KiB\"\n{SMALL}"
    );
    let gateway = Gateway::start_at(NOW, &tables, &upstream);
    let mut client = gateway.client();
    let chunked = "Transfer-Encoding: chunked";
    client.send(head("POST", "/x", &[&bearer("key-of-acme"), chunked]) + "5\r\nhello\r\n");
    upstream.wait_for(1);
    client.send(format!("7d0\r\n{}\r\n", "x".repeat(2000)));
    assert_eq!(client.response().verdict(), "413 body_too_large");
    let line = &lines(&gateway, 1)[0];
    let said = json!([line["status"], line["code"], line["ending"], line["charged"]]);
    assert_eq!(said, json!([413, "body_too_large", "abandoned", 1]));
    gateway.wait_used("acme", 1);
}

/// Marked secrets in every place of requests and answers: none is in the log, nor in an answer of the
/// gateway's own.
#[test]
fn nothing_secret_is_logged() {
    const MARK: &str = "m4rked";
    let answer = format!("HTTP/1.1 200 OK\r\nX-Own: {MARK}\r\nContent-Length: 6\r\n\r\n{MARK}");
    let upstream = Upstream::answering(answer, Then::KeepAlive);
    let mut gateway = start(&upstream);
    let key = "key-of-acme";
    let marked = [
        format!("Cookie: session={MARK}"),
        format!("Authorization: Basic {MARK}"),
        format!("X-API-Key: {key}"),
        format!("User-Agent: {MARK}"),
        format!("Referer: http://{MARK}/"),
        format!("Faregate-Customer: {MARK}"),
        format!("X-Request-Id: {MARK}"),
        "Content-Length: 6".to_owned(),
    ];
    let fields: Vec<&str> = marked.iter().map(String::as_str).collect();
    let query = format!("?key={MARK}&api_key={key}");
    let mut answers = 0;
    for path in ["/a", "/free", "/a%2f", "/_faregate/usage", "/_faregate/none"] {
        for fields in [&fields[..], &fields[..2], &[&bearer(MARK), "X-API-Key: x"]] {
            let length = if fields.len() > 3 { MARK } else { "" };
            let mut client = gateway.client();
            client.send(head("POST", &format!("{path}{query}"), fields) + length);
            let response = client.response();
            answers += 1;
            if response.field("content-type") == Some("application/problem+json") {
                let text = format!("{:?} {}", response.head, response.text());
                assert!(!text.contains(MARK) && !text.contains(key), "{path}: {text}");
            }
        }
    }
    lines(&gateway, answers);
    gateway.stop();
    let mut files = 0;
    for entry in walk(gateway.directory()) {
        let bytes = std::fs::read(&entry).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(MARK), "{entry:?}");
        assert!(!text.contains(key), "{entry:?}");
        files += 1;
    }
    assert!(files >= 3, "log, database and configuration at least");
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let deep = |path: std::path::PathBuf| if path.is_dir() { walk(&path) } else { vec![path] };
    entries.flat_map(deep).collect()
}
