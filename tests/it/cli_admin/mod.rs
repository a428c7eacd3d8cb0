//! The commands of an operator against a gateway that runs, both by the real binary.

mod bulk;
mod events;
mod limits;
mod readme;
mod refused;
mod top;
mod walk;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::process::{Client, CountingUpstream, FAREGATE, Gateway, free_address, get};

/// Two plans, and a customer that the file declares. The years of the quotas do not end in a test.
const PLANS: &str = r#"
[upstreams.api]
url = "http://@UPSTREAM@"

[[routes]]
name = "calls"
path = "/calls/{*rest}"
upstream = "api"

[[routes]]
name = "reports"
path = "/reports/{*rest}"
upstream = "api"
scopes = ["reports"]

[plans.starter]
routes = ["calls"]
quotas = [{ name = "yearly", limit = 3, window = "year" }]

[plans.pro]
quotas = [{ name = "yearly", limit = 10, window = "year" }]

[customers.filed]
plan = "starter"
keys = [{ id = "filed-key", digest = "sha256:1a06df82cf0f5aa8a64b6ddc1da0a4e6fd1c5a5f0d45e7c0d2b0a9ebd8b7aa52" }]
"#;

const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A gateway in a directory of its own, with who operates it.
struct Shop {
    gateway: Option<Gateway>,
    upstream: CountingUpstream,
    admin: std::net::SocketAddr,
    address: std::net::SocketAddr,
    directory: tempfile::TempDir,
}

impl Shop {
    fn open() -> Self {
        Self::open_with("")
    }

    /// Opens it with more tables in its file, and a secret for webhooks beside it.
    fn open_with(tables: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("secret"), WEBHOOK_SECRET).unwrap();
        let upstream = CountingUpstream::start();
        let (address, admin) = (free_address(), free_address());
        let plans = PLANS.replace("@UPSTREAM@", &upstream.address.to_string());
        let file = format!(
            "[server]\nlisten = \"{address}\"\n[admin]\nlisten = \"{admin}\"\n{plans}{tables}"
        );
        fs::write(directory.path().join("faregate.toml"), file).unwrap();
        let gateway = Some(Gateway::start(directory.path(), address, admin));
        Self { gateway, upstream, admin, address, directory }
    }

    /// Gives the path of a file in the gateway's directory.
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Stops the gateway; its files stay.
    fn close(&mut self) {
        assert!(self.gateway.take().unwrap().stop());
    }

    /// Runs a command from elsewhere: the configuration tells where the gateway is.
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(FAREGATE)
            .args(arguments)
            .arg("--config")
            .arg(self.path("faregate.toml"))
            .env_remove("FAREGATE_CONFIG")
            .env("USER", "maria")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs a command that is done without a word of complaint; gives what it prints.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that is done, and asserts that it prints all of the words.
    fn tells(&self, arguments: &[&str], words: &[&str]) {
        let printed = self.done(arguments);
        for word in words {
            assert!(printed.contains(word), "{arguments:?}: {word:?} is not in: {printed}");
        }
    }

    /// Runs a command with `--json` and reads what it prints.
    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// Runs a command that is refused with exit code 1, in exactly these words.
    fn refused(&self, arguments: &[&str], said: &str) {
        let output = self.run(arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), told.trim_end()), (Some(1), said), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {:?}", output.stdout);
    }

    /// Makes a key and gives its id and the key itself.
    fn key(&self, arguments: &[&str]) -> (String, String) {
        let made = self.json(&[&["key"], arguments].concat());
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        (text("id"), text("secret"))
    }

    /// Calls the API with a key; gives the status, and the code of a refusal.
    fn call(&self, key: &str) -> String {
        self.call_at("/calls/x", key)
    }

    fn call_at(&self, path: &str, key: &str) -> String {
        let (status, body) = Client::connect(self.address).unwrap().ask(path, key).unwrap();
        let problem: Value = serde_json::from_str(&body).unwrap_or_default();
        problem["code"]
            .as_str()
            .map_or_else(|| status.to_string(), |code| format!("{status} {code}"))
    }

    fn calls(&self, key: &str, count: usize) -> Vec<String> {
        (0..count).map(|_| self.call(key)).collect()
    }

    /// Asks the admin listener as a program would; gives the status line's number and the document.
    fn ask(&self, path: &str) -> (u16, Value) {
        let token = fs::read_to_string(self.path("faregate.db.journal/admin-token")).unwrap();
        let authorization = format!("Bearer {}", token.trim());
        let answer = get(self.admin, path, &[("authorization", &authorization)]).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
    }

    fn used(&self, customer: &str) -> u64 {
        let (_, usage) = self.ask(&format!("/v1/customers/{customer}/usage"));
        usage["quotas"][0]["used"].as_u64().unwrap()
    }
}
