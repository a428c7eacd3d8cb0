//! `faregate store copy`, by the real binary: from one gateway with a file to one with a server, and what becomes of a
//! copy that is killed.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use faregate::{model::KeyDigest, store::Sqlite};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    process::{Client, CountingUpstream, FAREGATE, Gateway, free_address},
    support::{Schema, wait_for},
};

const PASSWORD: &str = "not-to-be-told";

/// Kills in an ordinary test run; `FAREGATE_KILLS` asks for another number.
const KILLS: u64 = 20;

struct Scene {
    directory: tempfile::TempDir,
    upstream: CountingUpstream,
    /// Whom the gateway asks.
    asked: std::net::SocketAddr,
    address: std::net::SocketAddr,
    admin: std::net::SocketAddr,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (address, admin) = (free_address(), free_address());
        let upstream = CountingUpstream::start();
        let scene = Self { directory, asked: upstream.address, upstream, address, admin };
        scene.configure("");
        scene
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a configuration with these options of the store.
    fn configure(&self, store: &str) {
        let file = format!(
            r#"
            [store]
            {store}
            [server]
            listen = "{}"
            workers = 2
            [admin]
            listen = "{}"
            [log]
            access = "off"
            [upstreams.api]
            url = "http://{}"
            [[routes]]
            path = "/{{*path}}"
            upstream = "api"
            [plans.all]
            quotas = [{{ limit = 100000, window = "lifetime" }}, {{ limit = 100000, window = "day" }}]
            [customers.acme]
            plan = "all"
            keys = ["{}"]
            "#,
            self.address,
            self.admin,
            self.asked,
            KeyDigest::of(b"k1"),
        );
        fs::write(self.path().join("faregate.toml"), file).unwrap();
    }

    fn start(&self) -> Gateway {
        Gateway::start(self.path(), self.address, self.admin)
    }

    /// Asks so many times, and gives the statuses other than 200.
    fn ask(&self, key: &str, times: usize) -> Vec<u16> {
        let mut client = Client::connect(self.address).unwrap();
        let statuses = (0..times).map(|_| client.ask("/x", key).unwrap().0);
        statuses.filter(|status| *status != 200).collect()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(FAREGATE);
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        command.env_remove("FAREGATE_CONFIG").env_remove("FAREGATE_STORE_PASSWORD");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn copy(&self, to: &str) -> Output {
        self.run(&["store", "copy", "sqlite:faregate.db", to])
    }
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Asserts how a run ended and that it says all of `words`, and never the password.
#[track_caller]
fn assert_ended(output: &Output, code: i32, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    assert!(!said.contains(PASSWORD) && !said.contains("panicked"), "{said}");
}

/// Gives what a customer has used of its lifetime.
fn used(gateway: &Gateway, customer: &str) -> u64 {
    let usage = gateway.usage(customer);
    let quotas = usage["quotas"].as_array().unwrap();
    quotas.iter().map(|quota| quota["used"].as_u64().unwrap()).max().unwrap()
}

/// The commands of "From one node to three" in docs/scaling.md, up to the first start on the server.
#[test]
fn one_node_moves_to_a_server_without_a_lost_unit() {
    let (scene, schema) = (Scene::new(), Schema::new());
    let gateway = scene.start();
    assert_ended(&scene.run(&["customer", "create", "initrode", "--plan", "all"]), 0, &[]);
    gateway.post("/v1/customers/initrode/credits", &json!({"amount": "5", "currency": "USD"}));
    let key = gateway.post("/v1/customers/initrode/keys", &json!({"name": "ci"}));
    let secret = key["secret"].as_str().unwrap();
    assert_eq!(scene.ask("k1", 30), [0; 0]);
    assert_eq!(scene.ask(secret, 12), [0; 0]);
    assert_ended(&scene.run(&["verify"]), 0, &["everything adds up"]);
    // The rehearsal, while the gateway runs.
    assert_ended(&scene.run(&["backup", "rehearsal.db"]), 0, &["rehearsal.db"]);
    let (rehearsal, from) = (Schema::new(), "sqlite:rehearsal.db");
    let rehearse =
        |more: &[&str]| scene.run(&[&["store", "copy", from, &rehearsal.url()], more].concat());
    assert_ended(&rehearse(&[]), 1, &["rehearsal.db.journal is not there", "--from-backup"]);
    assert_ended(&rehearse(&["--from-backup"]), 0, &["rehearsal.db is copied to"]);
    assert_ended(&rehearse(&["--from-backup"]), 0, &["nothing was done"]);
    assert_eq!(rehearsal.ask("SELECT sum(used) FROM usage WHERE quota = 'lifetime'"), "42");
    assert_ended(&scene.run(&["backup", "before.db"]), 0, &["before.db"]);
    // Not while it is written.
    assert_ended(&scene.copy(&schema.url()), 1, &["faregate.db", "in use by a gateway", "stop"]);
    // What is in the journal alone goes along.
    assert_eq!(scene.ask("k1", 25), [0; 0]);
    gateway.kill();
    let copied = scene.copy(&schema.url());
    let words = [
        "faregate.db is copied to 127.0.0.1:",
        "add up on both sides",
        "Next: write",
        "faregate.db.journal",
    ];
    assert_ended(&copied, 0, &words);
    // Nothing of the file lies beside it, so that it can be moved away.
    assert!(!scene.path().join("faregate.db-wal").exists());
    scene.configure(&format!("url = \"{}\"\njournal = \"faregate.db.journal\"", schema.url()));
    assert_ended(&scene.run(&["check"]), 0, &["no problems"]);
    let gateway = scene.start();
    assert_eq!((used(&gateway, "acme"), used(&gateway, "initrode")), (55, 12));
    assert_eq!(gateway.post("/v1/verify", &Value::Null)["ok"], true);
    assert_ended(&scene.run(&["verify"]), 0, &["everything adds up"]);
    assert_ended(&scene.run(&["nodes"]), 0, &["yes"]);
    assert_eq!(gateway.usage("initrode")["credits"][0]["balance"], "5.000000000");
    assert_eq!(scene.ask(secret, 3), [0; 0]);
    assert!(gateway.stop());
    assert_eq!(schema.ask("SELECT sum(used) FROM usage WHERE quota = 'lifetime'"), "70");
    assert_eq!(schema.ask("SELECT sum(requests) FROM usage_minutes"), "70");
    assert_eq!(schema.ask("SELECT count(*) FROM open_reservations"), "0");
    assert_eq!(scene.upstream.received(), 70);
    // The same node, whose folds go on where they were.
    assert_eq!(schema.ask("SELECT count(DISTINCT node) FROM positions"), "1");
    // A store that a gateway went on with is not touched, nor is one that is complete.
    assert_ended(&scene.copy(&schema.url()), 0, &["nothing was done"]);
    assert_eq!(schema.ask("SELECT sum(used) FROM usage WHERE quota = 'lifetime'"), "70");
}

/// Requests that were in flight when the gateway was killed are charged by the copy, as by a start.
#[test]
fn what_was_open_is_charged_before_it_is_copied() {
    let (mut scene, schema) = (Scene::new(), Schema::new());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    scene.asked = silent.local_addr().unwrap();
    scene.configure("");
    let gateway = scene.start();
    let address = scene.address;
    let waiting = std::thread::spawn(move || Client::connect(address).unwrap().ask("/x", "k1"));
    let asked = silent.accept().unwrap();
    gateway.kill();
    assert!(waiting.join().unwrap().is_err());
    drop(asked);
    // The journal is elsewhere, and is not to be forgotten.
    fs::rename(scene.path().join("faregate.db.journal"), scene.path().join("journal")).unwrap();
    let connection = rusqlite::Connection::open(scene.path().join("faregate.db")).unwrap();
    let node = fs::read_to_string(scene.path().join("journal/node-id")).unwrap();
    let sql = "INSERT OR IGNORE INTO positions VALUES (?1, 9, 1, 0, 0, 0)";
    connection.execute(sql, [node.trim()]).unwrap();
    drop(connection);
    assert_ended(&scene.copy(&schema.url()), 1, &["faregate.db.journal is not there", "--journal"]);
    fs::create_dir(scene.path().join("other")).unwrap();
    fs::write(scene.path().join("other/node-id"), uuid::Uuid::now_v7().to_string()).unwrap();
    fs::write(scene.path().join("other/w000-0000000001.seg"), "").unwrap();
    let url = schema.url();
    let with_journal = |journal: &str| {
        scene.run(&["store", "copy", "sqlite:faregate.db", &url, "--journal", journal, "--json"])
    };
    assert_ended(&with_journal("other"), 1, &["belongs to another store", "--journal"]);
    let copied = with_journal("journal");
    assert_ended(&copied, 0, &["1 that had not, which are charged in full (1 units)"]);
    let document: Value = serde_json::from_slice(&copied.stdout).unwrap();
    assert_eq!(document["verified"]["differences"], 0, "{document}");
    assert_eq!(document["tables"]["usage"], 2, "{document}");
    assert_eq!(document["was_done"], false);
    assert_eq!(schema.ask("SELECT sum(used) FROM usage WHERE quota = 'lifetime'"), "1");
    assert_eq!(schema.ask("SELECT ending FROM usage_series"), "unknown");
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    let (scene, schema) = (Scene::new(), Schema::new());
    let url = schema.url();
    for (from, to) in [(&*url, "sqlite:faregate.db"), ("faregate.db", &url), ("sqlite://x", &url)] {
        assert_ended(&scene.run(&["store", "copy", from, to]), 2, &["sqlite:"]);
    }
    assert_ended(&scene.copy("postgres://u@db.example"), 2, &["no database", "psql"]);
    assert_ended(&scene.copy(&url), 1, &["faregate.db cannot be read", "[store]"]);
    assert!(!scene.path().join("faregate.db").exists());
    fs::write(scene.path().join("faregate.db"), "").unwrap();
    assert_ended(&scene.copy(&url), 1, &["is empty"]);
    fs::write(scene.path().join("faregate.db"), "no database").unwrap();
    assert_ended(&scene.copy(&url), 1, &["not a database of faregate"]);
    fs::remove_file(scene.path().join("faregate.db")).unwrap();
    drop(Sqlite::open(&scene.path().join("faregate.db")).unwrap());
    let nowhere = format!("postgres://faregate@{}/d", free_address());
    assert_ended(
        &scene.copy(&nowhere),
        1,
        &["the database cannot be opened", "PostgreSQL at 127.0.0.1"],
    );
    // The password: wrong, from a file, from the environment.
    let without = url.replace(&format!(":{PASSWORD}@"), "@");
    assert_ne!(without, url);
    let wrong = without.replace("faregate@", "faregate:wrong@");
    assert_ended(&scene.copy(&wrong), 1, &["password"]);
    fs::write(scene.path().join("password"), format!("{PASSWORD}\n")).unwrap();
    let by_file = |to: &str| {
        scene.run(&["store", "copy", "sqlite:faregate.db", to, "--password-file", "password"])
    };
    assert_ended(&by_file(&url), 2, &["stands in the URL too"]);
    assert_ended(&by_file(&without), 0, &["is copied to"]);
    let mut by_variable = scene.command(&["store", "copy", "sqlite:faregate.db", &without]);
    let by_variable = by_variable.env("FAREGATE_STORE_PASSWORD", PASSWORD).output().unwrap();
    assert_ended(&by_variable, 0, &["nothing was done"]);
    // A store that was not copied there.
    let other = Scene::new();
    drop(Sqlite::open(&other.path().join("faregate.db")).unwrap());
    let connection = rusqlite::Connection::open(other.path().join("faregate.db")).unwrap();
    connection.execute("INSERT INTO settings VALUES ('a', 'b')", []).unwrap();
    drop(connection);
    assert_ended(&other.copy(&url), 1, &["has a store already", "createdb"]);
}

/// Some thousand rows of the larger tables, which add up.
const MANY: &str = "
    CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8000)
        SELECT i, printf('customer-%06d', i) AS id FROM n;
    INSERT INTO customers SELECT id, 'Name of ' || id, NULL, i % 2, NULL, NULL, NULL, NULL, i, i, NULL FROM n;
    INSERT INTO subscriptions SELECT id, 'all', 'active', i, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL
        FROM n;
    INSERT INTO keys SELECT 'key_' || id, id, NULL, NULL, CAST(id AS BLOB), NULL, NULL, NULL, NULL, NULL, 'active', NULL,
        NULL, id, NULL, i FROM n;
    INSERT INTO audit SELECT i, i, 'admin', 'customer.create', id, id, NULL, '{}' FROM n;
    INSERT INTO usage SELECT i, id, '', 'lifetime', 0, NULL, 3 FROM n;
    INSERT INTO usage_series SELECT i, i, id, 'key_' || id, 'r', 'completed', '' FROM n;
    INSERT INTO usage_minutes SELECT m.i * 60000, n.i, n.i, 1, 1, 0 FROM n, n AS m WHERE m.i <= 3;
    INSERT INTO entries SELECT m.i * 60000, 0, n.i, (m.i - 1) * 8000 + n.i, 'consumed', 0, m.i * 60000, 1, 1, 1, m.i, NULL
        FROM n, n AS m WHERE m.i <= 3;
    INSERT INTO names VALUES (1, 'r');
    UPDATE ledger SET number = 24000;
";

#[test]
fn a_copy_that_is_killed_again_and_again_is_the_same_to_the_row() {
    let scene = Scene::new();
    drop(Sqlite::open(&scene.path().join("faregate.db")).unwrap());
    let connection = rusqlite::Connection::open(scene.path().join("faregate.db")).unwrap();
    connection.execute_batch(MANY).unwrap();
    drop(connection);
    let whole = Schema::new();
    let began = Instant::now();
    assert_ended(&scene.copy(&whole.url()), 0, &["24000 entries"]);
    let took = began.elapsed();
    let expected = contents(&whole);
    assert!(expected.iter().any(|(name, _)| name == "usage_minutes"));
    let kills = std::env::var("FAREGATE_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let (mut killed, mut parts) = (0, 0);
    while killed < kills {
        let schema = Schema::new();
        scene.configure(&format!("url = \"{}\"", schema.url()));
        // How long a copy takes until it begins to write depends on the machine, so every other one is let come so far.
        while killed < kills && kill_somewhere(&scene, &schema, (took, killed % 2 == 1)) {
            killed += 1;
            if !has_begun(&schema) {
                continue;
            }
            if schema.ask("SELECT finished FROM copy_of") == "f" {
                parts += 1;
                let refused = scene.run(&["run"]);
                assert_ended(&refused, 1, &["a part of a store only", "faregate store copy"]);
            }
        }
        assert_ended(&scene.copy(&schema.url()), 0, &["faregate.db"]);
        assert_eq!(contents(&schema), expected);
    }
    assert!(parts > kills / 10, "of {kills} kills {parts} hit a copy that was begun");
}

fn has_begun(schema: &Schema) -> bool {
    schema.ask("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()") != "0"
}

/// Begins a copy and kills it at some moment within a time, which counts from when there are tables if it is said so;
/// tells whether it was not done before.
fn kill_somewhere(scene: &Scene, schema: &Schema, (took, has_tables): (Duration, bool)) -> bool {
    let mut command = scene.command(&["store", "copy", "sqlite:faregate.db", &schema.url()]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let nanoseconds = u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos());
    let moment = nanoseconds % u64::try_from(took.as_nanos()).unwrap().max(1);
    if has_tables {
        wait_for("tables", || has_begun(schema).then_some(()));
    }
    std::thread::sleep(Duration::from_nanos(moment));
    let was_done = child.try_wait().unwrap().is_some();
    child.kill().unwrap();
    child.wait().unwrap();
    !was_done
}

/// What stands in each table and each sequence.
fn contents(schema: &Schema) -> Vec<(String, String)> {
    let sql =
        "SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = current_schema()";
    let mut contents: Vec<_> = schema
        .ask(sql)
        .split(' ')
        .map(|name| {
            let sql = format!(
                "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, ' ' ORDER BY t::text)), '') FROM {name} AS t"
            );
            (name.to_owned(), schema.ask(&sql))
        })
        .collect();
    let sql = "SELECT string_agg(sequencename || ' ' || coalesce(last_value, 0), ', ' ORDER BY sequencename)
        FROM pg_sequences WHERE schemaname = current_schema()";
    contents.push(("sequences".to_owned(), schema.ask(sql)));
    contents.sort();
    contents
}
