//! A copy of the store, made under load, and a gateway that starts with it.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::support::{Client, Gateway, KEY, Then, Upstream, upstream::OK, wait_until_equal};

const TABLES: &str = r#"
[server]
listen = "127.0.0.1:0"
workers = 2
drain_timeout = "1s"

[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
name = "api"
path = "/{*path}"
upstream = "api"

[plans.starter]
quotas = [{ limit = 10000000, window = "month" }]

[customers.acme]
plan = "starter"
keys = [{ id = "acme-1", digest = "key:key-of-acme" }]
"#;

const CONNECTIONS: u64 = 4;

/// Lets everything through but what is to be held.
fn upstream() -> Upstream {
    Upstream::start(|exchange| {
        if exchange.request().target().starts_with("/hold") {
            return Ok(Then::Silence);
        }
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    })
}

fn tables(upstream: &Upstream) -> String {
    TABLES.replace("@UPSTREAM@", &upstream.address().to_string())
}

/// Puts a copy in the place of everything that a gateway has, and starts it.
fn restore(copy: &[u8], tables: &str) -> Gateway {
    let mut gateway = Gateway::start_with(tables, None);
    gateway.stop();
    let directory = gateway.directory();
    for name in ["faregate.db", "faregate.db-wal", "faregate.db-shm"] {
        let _ = fs::remove_file(directory.join(name));
    }
    fs::remove_dir_all(directory.join("faregate.db.journal")).unwrap();
    fs::write(directory.join("faregate.db"), copy).unwrap();
    gateway.restart();
    gateway
}

fn left_over(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("backup")).collect()
}

#[test]
fn copy_made_under_load_has_the_right_books() {
    let upstream = upstream();
    let gateway = Gateway::start(TABLES, &upstream);
    let mut held = gateway.client();
    held.send("GET /hold HTTP/1.1\r\nHost: a\r\nX-API-Key: key-of-acme\r\n\r\n");
    upstream.wait_for(1);
    let (answered, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let address = gateway.running().address();
    let (before, copy, after) = std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::SeqCst) {
                    assert_eq!(client.get("/x", KEY).status(), 200);
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        crate::support::wait_for("some load", || {
            (answered.load(Ordering::SeqCst) > 200).then_some(())
        });
        let before = answered.load(Ordering::SeqCst);
        let copy = gateway.admin("POST", "/v1/backup");
        let after = answered.load(Ordering::SeqCst);
        stop.store(true, Ordering::SeqCst);
        (before, copy, after)
    });
    assert_eq!(copy.status(), 200);
    assert_eq!(copy.field("content-type"), Some("application/vnd.sqlite3"));
    assert_eq!(copy.field("content-length"), Some(&*copy.body.len().to_string()));
    assert!(copy.whole && copy.body.starts_with(b"SQLite format 3\0"));
    assert_eq!(left_over(gateway.directory()), Vec::<String>::new());

    let restored = restore(&copy.body, &tables(&upstream));
    let recovery = restored.running().recovery().clone();
    let recorded = restored.recorded("acme");
    // What was answered before the copy is in it; what is more was on its way.
    let (completed, unknown) = (recorded["completed"].0, recorded["unknown"].0);
    assert!((1..=CONNECTIONS + 1).contains(&unknown), "{recorded:?}");
    assert_eq!((recovery.unknown, recovery.orphans), (unknown, 0));
    assert!(completed + unknown > before, "{recorded:?} and {before} were answered before");
    assert!(completed <= after + CONNECTIONS, "{recorded:?} and {after} were answered after");
    assert_eq!(restored.used("acme"), (completed + unknown, 0));
    // And it goes on from there.
    assert_eq!(restored.get("/x", KEY).status(), 200);
    restored.wait_used("acme", completed + unknown + 1);
    drop(held);
}

#[test]
fn customers_and_keys_are_in_the_copy() {
    let upstream = upstream();
    let gateway = Gateway::start(TABLES, &upstream);
    let body = "customer,plan,key\nbeta,starter,key-of-beta\n";
    let imported = gateway.admin_with("POST", "/v1/import", &["Content-Type: text/csv"], body);
    assert_eq!(imported.status(), 200);
    assert_eq!(gateway.get("/x", "key-of-beta").status(), 200);
    let copy = gateway.admin("POST", "/v1/backup");
    let restored = restore(&copy.body, &tables(&upstream));
    assert_eq!(restored.used("beta"), (1, 0));
    assert_eq!(restored.get("/x", "key-of-beta").status(), 200);
    assert_ne!(
        restored.running().admin_token().expose(),
        gateway.running().admin_token().expose(),
        "the token is not in the copy"
    );
}

#[test]
fn nothing_is_left_when_the_client_leaves() {
    let upstream = upstream();
    let gateway = Gateway::start(TABLES, &upstream);
    // What a process that was killed left does not stand in the way.
    let old = gateway.directory().join("faregate.db.backup-in-progress");
    fs::write(&old, "half").unwrap();
    let token = gateway.running().admin_token().expose().to_owned();
    for _ in 0..5 {
        let mut client = Client::connect(gateway.running().admin_address());
        client.send(format!(
            "POST /v1/backup HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
        ));
        client.reset();
    }
    wait_until_equal(|| gateway.admin("POST", "/v1/backup").status(), &200);
    wait_until_equal(|| left_over(gateway.directory()), &Vec::new());
}
