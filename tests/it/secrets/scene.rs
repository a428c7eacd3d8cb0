//! The real program with a secret in every place that takes one, and everything that comes out of it.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use faregate::model::KeyDigest;
use serde_json::{Value, json};

use super::{Output, Secret};
use crate::{
    process::{FAREGATE, Gateway, exchange, free_address},
    support::{Exchange, Then, Upstream, collector::Collector, upstream::OK},
};

/// Where a key may stand, and the places' names.
pub(super) const PLACES: [&str; 6] =
    ["bearer", "x-api-key", "basic", "header:x-own-key", "cookie:session", "query:api_key"];

/// The customer that is told everywhere, so that the search is known to look.
pub(super) const VISIBLE: &str = "visible-customer";

pub(super) struct Scene {
    pub(super) gateway: Option<Gateway>,
    pub(super) collector: Collector,
    pub(super) receiver: Upstream,
    pub(super) directory: tempfile::TempDir,
    pub(super) secrets: Vec<Secret>,
    /// What calls and commands have answered.
    pub(super) outputs: Vec<Output>,
    admin: SocketAddr,
}

fn mark(name: &str) -> String {
    format!("s3cr3t-{}-m4rk", name.replace([':', '_'], "-"))
}

fn webhook_secret(name: &str) -> String {
    format!("whsec_{}", STANDARD.encode(format!("{:-<32}", mark(name))))
}

impl Scene {
    /// Starts it with these formats of messages and of the access log, at the finest level.
    pub(super) fn start(format: &str, access_format: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (collector, receiver) = (Collector::start(), Upstream::ok());
        let mut secrets = Vec::new();
        let mut plant = |name: &str, value: String| {
            fs::write(directory.path().join(name), &value).unwrap();
            // The file that brings it holds it.
            secrets.push(Secret::new(name, value));
        };
        for name in ["admin-token", "read-token", "upstream-token", "otlp-token"] {
            plant(name, mark(name));
        }
        plant("webhook-secret", webhook_secret("webhook"));
        plant("old-webhook-secret", webhook_secret("old-webhook"));
        for name in ["webhook", "old-webhook", "upstream-plain", "otlp-plain", "receiver-path"] {
            secrets.push(Secret::new(name, mark(name)));
        }
        let keys = PLACES.map(|place| {
            secrets.push(Secret::new(place, mark(place)));
            let digest = KeyDigest::of(mark(place).as_bytes());
            format!("{{ id = \"k-{}\", digest = \"{digest}\" }}", place.replace(':', "-"))
        });
        let (address, admin) = (free_address(), free_address());
        let upstream = upstream();
        let places = PLACES.map(|place| format!("\"{place}\"")).join(", ");
        let text = format!(
            r#"
[server]
listen = "{address}"
workers = 1
[admin]
listen = "{admin}"
token = {{ file = "admin-token" }}
read_token = {{ file = "read-token" }}
[log]
access = "./access.log"
access_format = "{access_format}"
format = "{format}"
level = "trace,rustls=trace,hyper=trace,axum=trace,mio=trace,tokio=trace"
[auth]
locations = [{places}]
[traces]
endpoint = "http://{collector}"
headers = {{ authorization = {{ file = "otlp-token" }}, x-plain = "{otlp_plain}" }}
[webhooks]
url = "http://{receiver}/{path}"
secret = {{ file = "webhook-secret" }}
previous_secret = {{ file = "old-webhook-secret" }}
thresholds = [1]
[upstreams.api]
url = "http://{upstream}"
set_headers = {{ authorization = {{ file = "upstream-token" }}, x-gate = "{upstream_plain}" }}
[upstreams.dead]
url = "http://{dead}"
set_headers = {{ authorization = {{ file = "upstream-token" }} }}
[[routes]]
name = "api"
path = "/{{*rest}}"
upstream = "api"
[[routes]]
name = "dead"
path = "/dead/{{*rest}}"
upstream = "dead"
[plans.starter]
quotas = [{{ name = "yearly", limit = 100, window = "year" }}]
[plans.small]
quotas = [{{ name = "yearly", limit = 0, window = "year" }}]
[customers.{VISIBLE}]
plan = "starter"
keys = [{keys}]
"#,
            collector = collector.address(),
            receiver = receiver.address(),
            path = mark("receiver-path"),
            otlp_plain = mark("otlp-plain"),
            upstream_plain = mark("upstream-plain"),
            upstream = upstream.address(),
            dead = Upstream::nowhere(),
            keys = keys.join(", "),
        );
        fs::write(directory.path().join("faregate.toml"), text).unwrap();
        let gateway = Some(Gateway::start(directory.path(), address, admin));
        let outputs = Vec::new();
        Self { gateway, collector, receiver, directory, secrets, outputs, admin }
    }

    fn address(&self) -> SocketAddr {
        self.gateway.as_ref().unwrap().address
    }

    /// Remembers a secret that the gateway itself has made.
    fn learn(&mut self, name: &str, value: &Value, allowed: &'static [&'static str]) -> String {
        let value = value.as_str().unwrap_or_else(|| panic!("{name} is not shown")).to_owned();
        self.secrets.push(Secret { allowed, ..Secret::new(name, &value) });
        value
    }

    /// Calls a route and keeps the answer, if it is one of the gateway's own.
    fn call(&mut self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> String {
        let answer = exchange(self.address(), method, path, fields, body).unwrap();
        self.outputs.push(Output::new(format!("answer to {method} {path}"), answer.clone()));
        answer[9..12].to_owned()
    }

    /// Calls a route with a key at a place.
    pub(super) fn call_with(&mut self, place: &str, key: &str, path: &str) -> String {
        let basic = format!("Basic {}", STANDARD.encode(format!("{key}:")));
        let (bearer, cookie) = (format!("Bearer {key}"), format!("a=b; session={key}"));
        let query = format!("{path}?q=1&api_key={key}");
        let (path, field) = match place {
            "bearer" => (path, Some(("authorization", &*bearer))),
            "basic" => (path, Some(("authorization", &*basic))),
            "x-api-key" => (path, Some(("x-api-key", key))),
            "header:x-own-key" => (path, Some(("x-own-key", key))),
            "cookie:session" => (path, Some(("cookie", &*cookie))),
            _ => (&*query, None),
        };
        let fields: Vec<_> = field.into_iter().collect();
        let status = self.call("GET", path, &fields, "");
        if let Some(last) = self.outputs.last_mut() {
            last.name = format!("answer to a key in {place} ({status})");
        }
        status
    }

    /// Calls with secrets in the body, the query and fields that mean nothing to the gateway.
    pub(super) fn call_with_other_secrets(&mut self) {
        let others =
            ["body", "query", "user-agent", "referer", "other-cookie", "state", "request-id"];
        for name in others {
            self.secrets.push(Secret::new(name, mark(name)));
        }
        let [body, query, agent, referer, cookie, state, id] = others.map(mark);
        let key = mark("x-api-key");
        let (cookie, state) = (format!("c={cookie}"), format!("v={state}"));
        let fields = [
            ("x-api-key", &*key),
            ("user-agent", &agent),
            ("referer", &referer),
            ("cookie", &cookie),
            ("tracestate", &state),
            ("x-request-id", &id),
        ];
        for path in
            ["/x", "/echo", "/garbage", "/dead/x", "/a%2f", "/_faregate/usage", "/_faregate/no"]
        {
            let path = format!("{path}?token={query}");
            self.call("POST", &path, &fields, &format!("{{\"password\": \"{body}\"}}"));
            let name = path.split('?').next().unwrap().to_owned();
            self.outputs.last_mut().unwrap().name = format!("answer to {name}");
            if name == "/echo" {
                // The upstream's own words.
                self.outputs.pop();
            }
        }
        let two = [("x-api-key", &*key), ("authorization", &*format!("Bearer {}", mark("bearer")))];
        assert_eq!(self.call("GET", "/x", &two, ""), "401", "two keys at once");
    }

    /// Calls the admin listener; gives status and body. What `keeps` is not searched.
    fn admin(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let token = format!("Bearer {}", mark("admin-token"));
        let all = [&[("authorization", &*token)], fields].concat();
        let answer = exchange(self.admin, method, path, &all, body).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    fn made(&mut self, path: &str, body: &Value) -> Value {
        let fields = [("content-type", "application/json"), ("idempotency-key", path)];
        let (status, text) = self.admin("POST", path, &fields, &body.to_string());
        assert_eq!(status, 201, "{path}: {text}");
        // Within ten minutes the repetition has the secret as well.
        assert_eq!(self.admin("POST", path, &fields, &body.to_string()).1, text);
        serde_json::from_str(&text).unwrap()
    }

    /// Makes customers and keys at run time, and gives a key of theirs that is good.
    pub(super) fn operate(&mut self) -> String {
        let receiver = "https://hooks.example/in";
        let customer = json!({"id": "hooked", "subscription": {"plan": "small"},
            "webhook": {"url": receiver}});
        let made = self.made("/v1/customers", &customer);
        // It signs with it, so it is at rest.
        self.learn(
            "customer's webhook secret",
            &made["webhook"]["secret"],
            &["faregate.db", "backup"],
        );
        let made = self.made("/v1/customers/hooked/keys", &json!({"id": "hooked-key"}));
        let key = self.learn("key made at run time", &made["secret"], &[]);
        let (status, text) = self.admin("POST", "/v1/keys/hooked-key/rotate", &[], "");
        assert_eq!(status, 201, "{text}");
        let rotated: Value = serde_json::from_str(&text).unwrap();
        self.learn("key of a rotation", &rotated["secret"], &[]);
        self.import();
        for (name, fields) in
            [("wrong token", mark("wrong-token")), ("read token", mark("read-token"))]
        {
            self.secrets.push(Secret::new("wrong-token", mark("wrong-token")));
            let fields = [("authorization", &*format!("Bearer {fields}"))];
            for (method, path) in [("PUT", "/v1/log"), ("GET", "/v1/customers")] {
                let answer = exchange(self.admin, method, path, &fields, "{}").unwrap();
                self.outputs.push(Output::new(format!("answer to a {name}"), answer));
            }
        }
        key
    }

    /// Imports keys in good lines and in bad ones.
    fn import(&mut self) {
        let keys: Vec<String> =
            ["good", "bad-plan", "bad-id", "cut"].map(|n| mark(&format!("import-{n}"))).into();
        for key in &keys {
            self.secrets.push(Secret::new(key, key));
        }
        let lines = format!(
            "customer,plan,key\nimported,small,{}\nother,none,{}\n{},small,\nbroken,small,\"{}",
            keys[0],
            keys[1],
            keys[2].replace("s3", "s 3"),
            keys[3]
        );
        self.secrets.push(Secret::new("key as an id", keys[2].replace("s3", "s 3")));
        let (_, text) = self.admin("POST", "/v1/import", &[("content-type", "text/csv")], &lines);
        assert!(text.contains("\"done\":true"), "{text}");
        self.outputs.push(Output::new("answer to an import", text));
        fs::write(self.path("customers.csv"), lines).unwrap();
        self.command(&["import", "customers.csv"]);
        fs::remove_file(self.path("customers.csv")).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a command and keeps what it prints.
    pub(super) fn command(&mut self, arguments: &[&str]) {
        let mut command = Command::new(FAREGATE);
        command.args(arguments).current_dir(self.directory.path()).env_remove("FAREGATE_CONFIG");
        let output = command.stdin(Stdio::null()).output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        assert!(!printed.is_empty(), "{arguments:?}");
        self.outputs.push(Output::new(format!("faregate {}", arguments.join(" ")), printed));
    }

    /// Keeps what every reading call answers.
    pub(super) fn read_everything(&mut self) {
        let usage = "/v1/usage?from=2020-01-01&to=2040-01-01&by=customer,key,route,ending,day";
        let paths = [
            "/v1/config",
            "/openapi.json",
            "/v1/audit?limit=1000",
            "/v1/events?limit=1000",
            "/v1/customers?limit=1000",
            "/v1/customers/hooked",
            "/v1/customers/hooked/keys",
            "/v1/customers/hooked/usage",
            "/v1/keys/hooked-key",
            "/v1/log",
            "/v1/nodes",
            "/v1/enforcement",
            "/metrics",
            "/v1/live",
            usage,
        ];
        for path in paths {
            let (status, body) = self.admin("GET", path, &[], "");
            assert_eq!(status, 200, "{path}: {body}");
            self.outputs.push(Output::new(format!("GET {path}"), body));
        }
        for media in ["text/csv", "application/x-ndjson"] {
            let (status, body) = self.admin("GET", usage, &[("accept", media)], "");
            assert_eq!(status, 200, "{body}");
            self.outputs.push(Output::new(format!("usage as {media}"), body));
        }
    }

    /// Runs every command that shows something.
    pub(super) fn run_commands(&mut self) {
        for arguments in [
            &["check"][..],
            &["config"],
            &["config", "--json"],
            &["usage", "hooked"],
            &["customer", "show", "hooked"],
            &["customer", "list"],
            &["key", "list", "hooked"],
            &["audit", "--all"],
            &["events"],
            &["export", "--from", "2020-01-01", "--to", "2040-01-01", "--by", "customer,key"],
            &["log"],
            &["backup", "backup.db"],
            &["reload"],
        ] {
            self.command(arguments);
        }
    }

    /// Keeps every file that the program wrote, under its name.
    pub(super) fn read_files(&mut self, directory: &Path) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.read_files(&path);
                continue;
            }
            let name = path.strip_prefix(self.directory.path()).unwrap().display().to_string();
            let is_given = path.parent() == Some(self.directory.path())
                && (name == "faregate.toml"
                    || self.secrets.iter().any(|secret| secret.name == name));
            if !is_given {
                self.outputs.push(Output::new(name, fs::read(&path).unwrap()));
            }
        }
    }

    /// Keeps what was sent to others: to the collector, and to the receiver of webhooks.
    pub(super) fn read_sent(&mut self) {
        for (name, requests) in
            [("spans", self.collector.requests()), ("webhook", self.receiver.requests())]
        {
            assert!(!requests.is_empty(), "{name}");
            for request in requests {
                // The collector's own headers and the receiver's own path are for these to see.
                let mut bytes = request.body;
                if name == "webhook" {
                    bytes.extend(format!("{:?}", request.fields).into_bytes());
                }
                self.outputs.push(Output::new(name, bytes));
            }
        }
    }
}

/// An upstream that answers; that gives back what it was told; or that answers with what it was told
/// in the place of a status.
fn upstream() -> Upstream {
    Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        let target = exchange.request().target().to_owned();
        let told = exchange.request().field("authorization").unwrap_or_default().to_owned();
        if target.starts_with("/garbage") {
            exchange.send(format!("HTTP/1.1 {told}\r\n{told}\r\n\r\n"))?;
            return Ok(Then::Close);
        }
        if target.starts_with("/echo") {
            let length = told.len();
            exchange.send(format!(
                "HTTP/1.1 200 OK\r\nX-Told: {told}\r\nContent-Length: {length}\r\n\r\n{told}"
            ))?;
            return Ok(Then::KeepAlive);
        }
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    })
}
