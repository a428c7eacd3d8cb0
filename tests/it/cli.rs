//! The command line, with the real binary in a fresh directory.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use faregate::model::KeyDigest;

use crate::process::{Client, CountingUpstream, FAREGATE, Gateway, free_address, get};

/// A configuration that runs, with a key `k1` of the customer `acme`.
fn configuration(
    address: std::net::SocketAddr,
    admin: std::net::SocketAddr,
    upstream: std::net::SocketAddr,
    limit: u64,
) -> String {
    let digest = KeyDigest::of(b"k1");
    format!(
        "[server]\nlisten = \"{address}\"\n\n[admin]\nlisten = \"{admin}\"\n\n\
         [upstreams.api]\nurl = \"http://{upstream}\"\n\n\
         [[routes]]\npath = \"/{{*path}}\"\nupstream = \"api\"\n\n\
         [plans.starter]\nquotas = [{{ limit = {limit}, window = \"month\" }}]\n\n\
         [customers.acme]\nplan = \"starter\"\nkeys = [\"{digest}\"]\n"
    )
}

/// Runs the program in a directory and waits for its end.
fn faregate(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(FAREGATE)
        .args(arguments)
        .current_dir(directory)
        .env_remove("FAREGATE_CONFIG")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asserts that a run failed with exit code 1 and says all of `words`.
fn assert_refused(output: &Output, words: &[&str]) {
    let said = text(&output.stderr) + &text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn five_mistakes_give_five_messages_each_under_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = "[server]\nlisten = \"127.0.0.1\"\nworker = 2\n\n\
                [admin]\nlisten = \"127.0.0.1:9000\"\n\n\
                [upstreams.api]\nurl = \"http://127.0.0.1:9000\"\n\n\
                [[routes]]\npath = \"/{*path}\"\nupstream = \"apy\"\n\n\
                [plans.starter]\nquotas = [{ limit = 1000, window = \"month\" }]\n\n\
                [customers.acme]\nplan = \"startr\"\n";
    fs::write(directory.path().join("faregate.toml"), file).unwrap();
    let output = faregate(directory.path(), &["check"]);
    assert_refused(&output, &["5 errors"]);
    insta::assert_snapshot!(text(&output.stdout));
}

#[test]
fn good_file_checks_and_warnings_alone_do_not_fail() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = free_address();
    let good = configuration(free_address(), free_address(), upstream, 10);
    fs::write(directory.path().join("faregate.toml"), &good).unwrap();
    let output = faregate(directory.path(), &["check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).contains("no problems"));

    let warned = good.replace("listen = \"127.0.0.1", "listen = \"0.0.0.0");
    fs::write(directory.path().join("warned.toml"), warned).unwrap();
    let output = faregate(directory.path(), &["check", "--config", "warned.toml"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).contains("warning"), "{}", text(&output.stdout));
}

#[test]
fn secret_that_is_missing_is_a_warning_to_check_and_an_error_to_run() {
    let directory = tempfile::tempdir().unwrap();
    let file = configuration(free_address(), free_address(), free_address(), 10)
        .replace("[admin]\n", "[admin]\ntoken = { env = \"NO_SUCH_VARIABLE_HERE\" }\n");
    fs::write(directory.path().join("faregate.toml"), file).unwrap();
    let output = faregate(directory.path(), &["check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).contains("NO_SUCH_VARIABLE_HERE"));
    assert_refused(&faregate(directory.path(), &["run"]), &["NO_SUCH_VARIABLE_HERE", "error"]);
}

#[test]
fn files_that_are_not_there_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let output = faregate(directory.path(), &["run", "--config", "nowhere.toml"]);
    assert_refused(&output, &["nowhere.toml", "--config"]);
    let output = faregate(directory.path(), &["check"]);
    if !Path::new("/etc/faregate/faregate.toml").exists() {
        assert_refused(&output, &["./faregate.toml", "/etc/faregate/faregate.toml"]);
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        &["nosuch"][..],
        &["run", "--nosuch"],
        &["usage"],
        &["key", "new", "--env", "x"],
        &["customer", "delete", "acme"],
        &["customer", "set", "acme"],
        &["adjust", "acme", "5", "--quota", "monthly", "--reason", "no sign"],
        &["export", "--from", "2026-12-01", "--to", "2026-11-01"],
        &["completions", "nosuch"],
    ] {
        assert_eq!(faregate(directory.path(), arguments).status.code(), Some(2), "{arguments:?}");
    }
}

/// Every command that asks a gateway tells in one line that there is none, and leaves nothing behind.
#[test]
fn commands_without_a_gateway_say_so() {
    let directory = tempfile::tempdir().unwrap();
    let (address, admin, upstream) = (free_address(), free_address(), free_address());
    fs::write(directory.path().join("faregate.toml"), configuration(address, admin, upstream, 2))
        .unwrap();
    fs::write(directory.path().join("token"), "secret").unwrap();
    fs::write(directory.path().join("customers.csv"), "customer,plan\nbeta,starter\n").unwrap();
    let before = fs::read_dir(directory.path()).unwrap().count();
    for arguments in [
        &["customer", "create", "beta"][..],
        &["customer", "delete", "beta", "--yes"],
        &["key", "rotate", "k1"],
        &["subscription", "cancel", "acme"],
        &["adjust", "acme", "--quota", "month", "-5", "--reason", "test"],
        &["export", "--from", "2026-11-01", "--to", "2026-12-01", "--output", "out.csv"],
        &["import", "customers.csv"],
        &["backup", "copy.db"],
        &["enforcement", "show"],
        &["log"],
        &["events"],
        &["audit"],
        &["config"],
        &["reload"],
    ] {
        let output = faregate(directory.path(), &[arguments, &["--token-file", "token"]].concat());
        assert_refused(&output, &["no gateway answers", &admin.to_string(), "is it running?"]);
        assert_eq!(text(&output.stderr).lines().count(), 1, "{output:?}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), before);
}

#[test]
fn wrong_token_is_told_with_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let (address, admin, upstream) = (free_address(), free_address(), free_address());
    let file = directory.path().join("faregate.toml");
    fs::write(&file, configuration(address, admin, upstream, 2)).unwrap();
    fs::write(directory.path().join("token"), "wrong").unwrap();
    let gateway = Gateway::start(directory.path(), address, admin);
    let output = faregate(directory.path(), &["reload", "--token-file", "token"]);
    assert_refused(&output, &["the admin token from the file token", "--token-file"]);
    let output = faregate(directory.path(), &["reload"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // A bad file is refused, with what is wrong in it and where.
    let bad = fs::read_to_string(&file).unwrap().replace("plan = \"starter\"", "plan = \"startr\"");
    fs::write(&file, bad).unwrap();
    let output = faregate(directory.path(), &["reload", "--admin", &format!("http://{admin}")]);
    assert_refused(&output, &["--token-file"]);
    let token = ["--token-file", "faregate.db.journal/admin-token"];
    let url = format!("http://{admin}");
    let arguments = [&["reload", "--admin", &url][..], &token].concat();
    assert_refused(&faregate(directory.path(), &arguments), &["startr", "line 18, column 8"]);
    assert!(gateway.stop());
}

#[test]
fn reader_that_leaves_early_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(FAREGATE)
        .args(["completions", "zsh"])
        .current_dir(directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn new_key_goes_with_its_digest() {
    let directory = tempfile::tempdir().unwrap();
    for (environment, prefix) in [("live", "fg_live_"), ("test", "fg_test_")] {
        let output = faregate(directory.path(), &["key", "new", "--env", environment, "--json"]);
        let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let key = made["key"].as_str().unwrap();
        assert!(key.starts_with(prefix), "{key}");
        assert_eq!(made["digest"], KeyDigest::of(key.as_bytes()).to_string());
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "it touches nothing");
}

#[test]
fn second_gateway_on_the_same_port_or_journal_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (address, admin, upstream) = (free_address(), free_address(), free_address());
    let file = configuration(address, admin, upstream, 10);
    fs::write(directory.path().join("faregate.toml"), &file).unwrap();
    let running = Gateway::start(directory.path(), address, admin);

    let output = faregate(directory.path(), &["run"]);
    assert_refused(&output, &["server.listen", &address.to_string(), "in use"]);

    let moved = file
        .replace(&address.to_string(), &free_address().to_string())
        .replace(&admin.to_string(), &free_address().to_string());
    fs::write(directory.path().join("moved.toml"), &moved).unwrap();
    let output = faregate(directory.path(), &["run", "--config", "moved.toml"]);
    assert_refused(&output, &["faregate.db", "in use"]);

    let other_database =
        format!("{moved}\n[store]\nurl = \"sqlite:other.db\"\njournal = \"faregate.db.journal\"\n");
    fs::write(directory.path().join("other.toml"), other_database).unwrap();
    let output = faregate(directory.path(), &["run", "--config", "other.toml"]);
    assert_refused(&output, &["faregate.db.journal", "in use"]);
    assert!(running.stop());
}

#[test]
fn place_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("plain-file"), "").unwrap();
    let base = configuration(free_address(), free_address(), free_address(), 10);
    for (store, word) in [
        ("url = \"sqlite:plain-file/x.db\"", "plain-file/x.db"),
        ("url = \"sqlite:no/such/directory/x.db\"", "no/such/directory"),
        ("journal = \"plain-file\"", "plain-file"),
    ] {
        fs::write(directory.path().join("faregate.toml"), format!("{base}\n[store]\n{store}\n"))
            .unwrap();
        assert_refused(&faregate(directory.path(), &["run"]), &[word]);
    }
}

#[test]
fn health_usage_and_reload_speak_to_a_running_gateway() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = CountingUpstream::start();
    let (address, admin) = (free_address(), free_address());
    let file = directory.path().join("faregate.toml");
    fs::write(&file, configuration(address, admin, upstream.address, 2)).unwrap();
    assert_refused(&faregate(directory.path(), &["health"]), &["no gateway answers", "running"]);
    let gateway = Gateway::start(directory.path(), address, admin);
    assert_eq!(faregate(directory.path(), &["health"]).status.code(), Some(0));

    let mut client = Client::connect(address).unwrap();
    let statuses: Vec<u16> = (0..3).map(|_| client.ask("/x", "k1").unwrap().0).collect();
    assert_eq!(statuses, [200, 200, 402]);
    let output = faregate(directory.path(), &["usage", "acme"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let table = text(&output.stdout);
    assert!(table.contains("month") && table.contains("starter"), "{table}");
    let url = format!("http://{admin}");
    let arguments = [
        "usage",
        "acme",
        "--json",
        "--admin",
        &url,
        "--token-file",
        "faregate.db.journal/admin-token",
    ];
    let output = faregate(directory.path(), &arguments);
    let usage: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(usage["quotas"][0]["used"], 2);
    assert_refused(&faregate(directory.path(), &["usage", "nobody"]), &["nobody", "no customer"]);

    // A bad file changes nothing, a good one is in force for the next request.
    fs::write(&file, "[server]\nlisten = 7\n").unwrap();
    gateway.signal("HUP");
    gateway.wait_log("the configuration before stays in force");
    assert_eq!(client.ask("/x", "k1").unwrap().0, 402);
    fs::write(&file, configuration(address, admin, upstream.address, 3)).unwrap();
    gateway.signal("HUP");
    gateway.wait_log("configuration reloaded");
    assert_eq!(client.ask("/x", "k1").unwrap().0, 200);
    assert_eq!(client.ask("/x", "k1").unwrap().0, 402);
    assert_eq!(upstream.received(), 3);
    assert!(gateway.stop());
}

/// A container that is taken for ill is stopped: a slip in the file must not do that.
#[test]
fn health_does_not_depend_on_what_the_file_became() {
    let directory = tempfile::tempdir().unwrap();
    let (address, admin) = (free_address(), free_address());
    let file = directory.path().join("faregate.toml");
    let good = configuration(address, admin, free_address(), 2);
    fs::write(&file, &good).unwrap();
    let gateway = Gateway::start(directory.path(), address, admin);
    for bad in [format!("{good}\n[plans.pro\n"), good.replace("plan = \"starter\"", "plan = 7")] {
        fs::write(&file, bad).unwrap();
        assert_refused(&faregate(directory.path(), &["check"]), &["1 error"]);
        let output = faregate(directory.path(), &["health"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_refused(&faregate(directory.path(), &["usage", "acme"]), &["faregate check"]);
    }
    assert!(gateway.stop());
    assert_refused(&faregate(directory.path(), &["health"]), &["no gateway answers"]);
}

/// The secrets are where the gateway runs, and need not be where someone asks it.
#[test]
fn commands_that_ask_a_gateway_need_none_of_its_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let (address, admin, upstream) = (free_address(), free_address(), free_address());
    let secret = directory.path().join("token.txt");
    fs::write(&secret, "upstream-token").unwrap();
    let file = configuration(address, admin, upstream, 2).replace(
        "[upstreams.api]\n",
        "[upstreams.api]\nset_headers = { authorization = { file = \"token.txt\" } }\n",
    );
    fs::write(directory.path().join("faregate.toml"), file).unwrap();
    let gateway = Gateway::start(directory.path(), address, admin);
    fs::remove_file(secret).unwrap();
    for arguments in [&["health"][..], &["usage", "acme"]] {
        let output = faregate(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    assert!(gateway.stop());
}

#[test]
fn key_of_a_mebibyte_is_refused_and_nothing_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = CountingUpstream::start();
    let (address, admin) = (free_address(), free_address());
    let file = configuration(address, admin, upstream.address, 2);
    fs::write(directory.path().join("faregate.toml"), file).unwrap();
    let gateway = Gateway::start(directory.path(), address, admin);
    let huge = "k".repeat(1 << 20);
    let answer = get(address, "/x", &[("x-api-key", &huge)]).unwrap();
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(Client::connect(address).unwrap().ask("/x", "k1").unwrap().0, 200);
    assert_eq!(upstream.received(), 1);
    assert!(gateway.stop());
}

/// The smallest example runs as it is, but for its addresses.
#[test]
fn minimal_example_runs() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = CountingUpstream::start();
    let (address, admin) = (free_address(), free_address());
    let example = include_str!("../../config/minimal.toml")
        .replace("127.0.0.1:8402", &address.to_string())
        .replace("127.0.0.1:9000", &upstream.address.to_string());
    let example = format!("{example}\n[admin]\nlisten = \"{admin}\"\n");
    fs::write(directory.path().join("faregate.toml"), example).unwrap();
    let gateway = Gateway::start(directory.path(), address, admin);
    let mut client = Client::connect(address).unwrap();
    assert_eq!(client.ask("/x", "change-me").unwrap().0, 200);
    assert_eq!(client.ask("/x", "another").unwrap().0, 401);
    assert!(gateway.stop());
}
