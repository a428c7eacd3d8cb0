//! The logs of the real program: levels that change while it runs, formats, and files that are renamed
//! under it.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;

use crate::{
    process::{Client, CountingUpstream, FAREGATE, Gateway, exchange, free_address},
    support::wait_for,
};

/// A gateway with one public route and a table for its logs.
struct Program {
    gateway: Gateway,
    upstream: CountingUpstream,
    admin: std::net::SocketAddr,
    directory: tempfile::TempDir,
    tables: String,
}

impl Program {
    fn start(log: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("logs")).unwrap();
        let upstream = CountingUpstream::start();
        let (address, admin) = (free_address(), free_address());
        let tables = format!(
            "[server]\nlisten = \"{address}\"\n[admin]\nlisten = \"{admin}\"\n\
             [upstreams.api]\nurl = \"http://{}\"\n\
             [[routes]]\npath = \"/{{*rest}}\"\nupstream = \"api\"\naccess = \"public\"\n",
            upstream.address
        );
        fs::write(directory.path().join("faregate.toml"), format!("{tables}[log]\n{log}")).unwrap();
        let gateway = Gateway::start(directory.path(), address, admin);
        Self { gateway, upstream, admin, directory, tables }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces the file's `[log]`.
    fn write(&self, log: &str) {
        fs::write(self.path("faregate.toml"), format!("{}[log]\n{log}", self.tables)).unwrap();
    }

    /// Calls the admin listener and gives the answer's body.
    fn admin(&self, method: &str, path: &str, body: &str) -> Value {
        let authorization = self.gateway.authorization();
        let fields = [("authorization", &*authorization), ("content-type", "application/json")];
        let answer = exchange(self.admin, method, path, &fields, body).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    fn log_command(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(FAREGATE);
        command.arg("log").args(arguments).args(["--admin", &format!("http://{}", self.admin)]);
        command.arg("--token-file").arg(self.path("faregate.db.journal/admin-token"));
        let output = command.current_dir(self.directory.path()).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// A level that is set holds at once, until the file has another one.
#[test]
fn level_changes_while_it_runs() {
    let program = Program::start("access = \"off\"\nlevel = \"warn\"\n");
    let reloads = || program.gateway.log().matches("configuration reloaded").count();
    program.admin("POST", "/v1/reload", "");
    assert_eq!(reloads(), 0, "{}", program.gateway.log());

    assert_eq!(program.log_command(&[]), "warn\n");
    let set = ["warn,faregate::gateway=info", "--reason", "a look"];
    assert_eq!(program.log_command(&set), "warn,faregate::gateway=info (the file has warn)\n");
    program.admin("POST", "/v1/reload", "");
    assert_eq!(reloads(), 1, "{}", program.gateway.log());
    let audit = program.admin("GET", "/v1/audit", "");
    let entry = &audit["items"][0];
    assert_eq!((&entry["action"], &entry["before"]["level"]), (&"log.set".into(), &"warn".into()));
    assert_eq!(entry["after"]["reason"], "a look");

    // A reload of the same level leaves it, one of another level does not.
    let level = || program.admin("GET", "/v1/log", "")["level"].clone();
    assert_eq!(level(), "warn,faregate::gateway=info");
    program.write("access = \"off\"\nlevel = \"error\"\n");
    program.admin("POST", "/v1/reload", "");
    wait_for("the file's level", || (level() == "error").then_some(()));
    program.admin("POST", "/v1/reload", "");
    assert_eq!(program.admin("GET", "/v1/log", "")["configured"], "error");
    program.write("access = \"off\"\nlevel = \"info\"\n");
    program.admin("POST", "/v1/reload", "");
    wait_for("a message", || (reloads() >= 2).then_some(()));

    let refused = program.admin("PUT", "/v1/log", "{\"level\": \"faregate::jurnal=debug\"}");
    assert_eq!(refused["code"], "invalid_request_body");
    let told = program.log_command(&["journal=debug"]);
    assert!(told.contains("write `faregate::journal`"), "{told}");
    program.write("access = \"off\"\nlevel = \"info\"\nformat = \"json\"\n");
    let needs = program.admin("POST", "/v1/reload", "");
    assert!(needs["detail"].as_str().unwrap().contains("log.format changed"), "{needs}");
}

/// In JSON each line is an object, at the finest level too.
#[test]
fn messages_can_be_json() {
    let program = Program::start("access = \"off\"\nlevel = \"trace\"\nformat = \"json\"\n");
    program.log_command(&["debug"]);
    let log = program.path("stderr.log");
    assert!(program.gateway.stop());
    let ready = lines(&log).into_iter().find(|line| line["message"] == "ready").unwrap();
    assert_eq!((&ready["level"], &ready["target"]), (&"INFO".into(), &"faregate::cli::run".into()));
    assert!(ready["address"].is_string() && ready["timestamp"].is_string(), "{ready}");
    assert!(lines(&log).iter().any(|line| line["message"] == "stopping, open requests may end"));
}

#[test]
fn environment_stands_before_the_file() {
    let program = Program::start("access = \"off\"\nlevel = \"off\"\n");
    assert_eq!(program.gateway.log(), "");
    let mut run = Command::new(FAREGATE);
    run.arg("run").current_dir(program.directory.path()).env("FAREGATE_LOG", "loud");
    // The port is taken, so it ends at once.
    let output = run.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && !told.contains("FAREGATE_LOG"), "level off: {told}");
    program.write("level = \"warn\"\n");
    let told = String::from_utf8(run.output().unwrap().stderr).unwrap();
    assert!(told.contains("FAREGATE_LOG is no level") && told.contains("`loud`"), "{told}");
    assert!(program.gateway.stop());
}

/// Under load the file is renamed and the program told, again and again: every request has its line in
/// one of the files, and the lines of requests that began after a reopening are in the new one.
#[test]
fn renamed_access_log_is_opened_anew() {
    let program = Program::start("access = \"./access.log\"\n");
    let address = program.gateway.address;
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut client = Client::connect(address).unwrap();
                let mut served = 0;
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(client.ask("/load", "none").unwrap().0, 200);
                    served += 1;
                }
                served
            })
        })
        .collect();
    let access = program.path("access.log");
    let opened = || program.gateway.log().matches("access log opened anew").count();
    let mut client = Client::connect(address).unwrap();
    for turn in 1..=5 {
        let old = program.path(&format!("access.log.{turn}"));
        fs::rename(&access, &old).unwrap();
        program.gateway.signal("HUP");
        wait_for("the reopening", || (opened() == turn).then_some(()));
        let closed = fs::metadata(&old).unwrap().len();
        let mark = format!("/after-{turn}");
        client.ask(&mark, "none").unwrap();
        wait_for("its line", || fs::read_to_string(&access).unwrap().contains(&mark).then_some(()));
        assert_eq!(fs::metadata(&old).unwrap().len(), closed, "nothing more in the old file");
        assert!(!fs::read_to_string(&old).unwrap().contains(&mark));
    }
    stop.store(true, Ordering::Relaxed);
    let served: usize = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
    assert!(program.upstream.received() >= 5);
    assert!(program.gateway.stop());
    let names = (1..=5).map(|turn| format!("access.log.{turn}")).chain(["access.log".to_owned()]);
    let found: usize = names.map(|name| lines(&program.directory.path().join(name)).len()).sum();
    assert_eq!(found, served + 5, "a line for each request");
}

/// A file that cannot be opened leaves the one before in use.
#[test]
fn access_log_that_cannot_be_opened_stays() {
    let program = Program::start("access = \"logs/access.log\"\n");
    let mut client = Client::connect(program.gateway.address).unwrap();
    client.ask("/before", "none").unwrap();
    fs::rename(program.path("logs"), program.path("elsewhere")).unwrap();
    program.gateway.signal("HUP");
    program.gateway.wait_log("cannot be opened anew");
    client.ask("/after", "none").unwrap();
    let access = program.path("elsewhere/access.log");
    wait_for("the line", || fs::read_to_string(&access).unwrap().contains("/after").then_some(()));
    // Once it can be, it is.
    fs::create_dir(program.path("logs")).unwrap();
    program.gateway.signal("HUP");
    program.gateway.wait_log("access log opened anew");
    client.ask("/again", "none").unwrap();
    let access = program.path("logs/access.log");
    wait_for("the line", || fs::read_to_string(&access).unwrap().contains("/again").then_some(()));
    assert!(program.gateway.stop());
}
