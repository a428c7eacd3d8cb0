//! What mistakes look like to whoever made them. A change in a snapshot is a change in the contract.

use super::*;

/// Compares the report of a text with the committed one.
macro_rules! reports {
    ($($name:ident: $text:expr;)*) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(report($text));
        })*
    };
}

// The file as a whole.
reports! {
    unclosed_bracket: "
[plans.pro]
quotas = [
  { limit = 5, window = \"day\" },
  { limit = 5, window = \"month\",
]
[customers.acme]
plan = \"pro\"
";
    unclosed_bracket_around_keys: "
[customers.acme]
keys = [ \"my-secret-key\"
plan = \"pro\"
";
    unknown_table: "[customer.acme]\nplan = \"x\"\n[metrics]\nlisten = \"127.0.0.1:1\"";
    not_tables: "server = 5\nupstreams = []\nroutes = { path = \"/\" }\nplans = \"pro\"";
    syntax: "
[server]
listen = 127.0.0.1:8402
workers =
drain_timeout = \"30s
[log]
level = \"loud\"
level = \"info\"
[admin
token = { env = \"A\" \"B\" }
";
    syntax_hides_what_may_be_secret: "
[admin]
token = { env = \"FAREGATE_SURELY_NOT_SET\", file = \"my-secret-token
[customers.acme]
keys = [
  \"my-secret-key,
  my-secret-key==
]
[upstreams.api]
url = \"http://127.0.0.1:9000\"
set_headers = { x-gate = my-secret-value }
[upstreams.b.set_headers]
x-gate = my-secret-value
";
    several_mistakes: "
[server]
lisen = \"127.0.0.1:8402\"
workers = \"two\"
[upstreams.api]
url = \"http://127.0.0.1:9000\"
connect_timeout = \"2 s\"
[[routes]]
path = \"/v1/{*rest}\"
upstream = \"apii\"
acess = \"public\"
[plans.pro]
quotas = [{ limit = 100, window = \"moth\" }]
[customers.acme]
plan = \"por\"
keys = [\"sha256:00\"]
";
}

// [server] to [answers].
reports! {
    server_without_listen: "[server]\nworkers = 2";
    server_keys: "
[server]
listen = \"localhost:8402\"
public_url = \"api.example.com\"
reserved_prefix = \"/_faregate/\"
drain_timeout = 30
workers = 0
";
    listen_forms: "
[server]
listen = \":8402\"
[admin]
listen = 8403
";
    public_url_forms: "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://a.example/?x=1\"";
    public_url_is_missing: "[server]\nlisten = \"0.0.0.0:8402\"";
    reserved_prefix_forms: "[server]\nlisten = \"127.0.0.1:0\"\nreserved_prefix = \"/{any}\"";
    trusted_proxies: "
[server]
listen = \"127.0.0.1:8402\"
trusted_proxies = [\"10.0.0.1/8\", \"proxy.internal\", \"0.0.0.0/0\"]
proxy_protocol = \"v2\"
";
    proxy_protocol_without_proxies: "
[server]
listen = \"127.0.0.1:8402\"
proxy_protocol = true
";
    proxy_protocol_for_an_empty_list: "
[server]
listen = \"127.0.0.1:8402\"
trusted_proxies = []
proxy_protocol = true
";
    limits: "
[server]
listen = \"127.0.0.1:8402\"
[server.limits]
connections = 0
connections_per_address = 0
header_bytes = \"4KiB\"
headers = 1001
streams = 0
body_bytes = \"10 MB\"
header_timeout = \"0s\"
idle_timeout = \"1 minute\"
request_timeout = \"0s\"
minimum_rate = \"fast\"
memory = \"1MiB\"
connection_timeout = \"1s\"
";
    listeners_on_one_port: "
[server]
listen = \"0.0.0.0:8403\"
public_url = \"https://api.example.com\"
[admin]
listen = \"127.0.0.1:8403\"
";
    further_listeners: "
[server]
listen = \"127.0.0.1:8402\"
[[server.listeners]]
listen = \"127.0.0.1:8402\"
[[server.listeners]]
listen = \"0.0.0.0:8403\"
[[server.listeners]]
listen = \"127.0.0.1:8404\"
proxy_protocol = true
tls = { cert = \"missing.crt\", key = \"missing.key\" }
[[server.listeners]]
listen = \"[::]:8404\"
public_url = \"https://api.example.com\"
[[server.listeners]]
";
    default_admin_listener_is_taken: "[server]\nlisten = \"127.0.0.1:8403\"";
    store_postgres: "[store]\nurl = \"postgres://user:my-secret-password@db/faregate\"\njournal = \"\"";
    store_postgres_url: "[store]\nurl = \"postgres://user:my-secret-password@db\"";
    store_postgres_tls: "[store]\nurl = \"postgres://user:my-secret-password@db/faregate?sslmode=prefer\"";
    store_postgres_certificates: "[store]\nurl = \"postgres://localhost/faregate?sslrootcert=ca.pem\"";
    store_password_twice: "
[store]
url = \"postgres://user:my-secret-password@db/faregate\"
password = { env = \"FAREGATE_SURELY_NOT_SET\" }
";
    store_password_missing: "[store]\nurl = \"postgres://user@db/faregate\"\npassword = { env = \"FAREGATE_SURELY_NOT_SET\" }";
    store_password_of_a_file: "[store]\npassword = { file = \"password\" }";
    store_other: "[store]\nurl = \"mysql://user:my-secret-password@db/faregate\"\ndurability = \"strict\"";
    store_sqlite_url: "[store]\nurl = \"sqlite:///var/lib/faregate.db\"\ndurability = \"high\"";
    store_retention: "[store]\nretention = { requests = \"a week\", requests_size = \"1000\", entries = \"0s\", answers = \"25h\", keys = \"1d\" }";
    store_in_memory: "[store]\nurl = \"sqlite::memory:\"";
    log_values: "[log]\naccess = \"stdot\"\nlevel = \"warning\"\nformat = \"jsn\"\naccess_format = 5";
    log_level_by_module: "[log]\nlevel = \"info,faregate::jurnal=debug\"";
    log_access_elsewhere: "[log]\naccess = \"syslog\"";
    auth_locations: "[auth]\nlocations = [\"bearer\", \"bearer\", \"x-api-key\", \"header:X-API-Key\", \"x-api-keys\"]";
    auth_location_names: "[auth]\nlocations = [\"header:a b\", \"header:Cookie\", \"header:Faregate-Key\", \"cookie:\", \"query:a&b\"]";
    auth_without_location: "[auth]\nlocations = []";
    auth_guesses: "[auth.guesses]\nlimit = 0\nwindow = \"25h\"\nburst = 5";
    auth_guesses_without_numbers: "[auth]\nguesses = {}";
    auth_guesses_forms: "[auth]\nguesses = 20";
    answers_status: "[answers]\nstatus = { quota_exceded = 429, rate_limited = 200, overloaded = \"503\" }";
}

// Secrets.
reports! {
    secret_literal: "[admin]\ntoken = \"my-secret-token\"";
    secret_missing: "[admin]\ntoken = { env = \"FAREGATE_SURELY_NOT_SET\" }";
    secret_file_missing: "[admin]\ntoken = { file = \"/surely/not/there\" }";
    secret_forms: "
[upstreams.api]
url = \"http://127.0.0.1:9000\"
[upstreams.api.set_headers]
a = { env = \"A\", file = \"b\" }
b = {}
c = { env = \"my-secret-value\" }
d = { evn = \"my-secret-value\" }
e = [\"my-secret-value\"]
";
}

// Upstreams.
reports! {
    upstream_id: "[upstreams.Weather]\nurl = \"http://127.0.0.1:9000\"";
    upstream_without_url: "[upstreams.b]\nhost = \"caller\"";
    upstream_url_forms: "
[upstreams.a]
url = \"127.0.0.1:9000\"
[upstreams.b]
url = \"ftp://api.example.com\"
[upstreams.c]
url = \"http://api.example.com/base?x=1\"
[upstreams.d]
url = \"http://user:my-secret-password@api.example.com\"
[upstreams.e]
url = \"http://API.example.com\"
[upstreams.f]
url = \"http://[::1:9000\"
[upstreams.g]
url = \"http://api.example.com:99999\"
[upstreams.h]
url = \"http://api.example.com/a//b\"
[upstreams.i]
url = \"http://user:my/secret-password@api.example.com\"
[upstreams.j]
url = \"unix:/run/api.sock\"
";
    upstream_urls: "
[upstreams.a]
urls = [\"http://127.0.0.1:9000\", \"http://127.0.0.1:9001\"]
[upstreams.b]
url = \"http://127.0.0.1:9000\"
urls = [\"http://127.0.0.1:9000\"]
[upstreams.c]
urls = []
[upstreams.d]
urls = [\"http://127.0.0.1:9000/v1\", \"http://127.0.0.1:9001/v2\", \"http://127.0.0.1:9000/v1/\"]
[upstreams.e]
urls = [\"http://127.0.0.1:9000\", \"https://127.0.0.1:9001\", \"http://127.0.0.1:8403\"]
";
    upstream_sockets: "
[upstreams.a]
url = \"unix:/run/api.sock:/v1/\"
[upstreams.b]
url = \"unix:api.sock\"
[upstreams.c]
url = \"unix:/run/api.sock:/a//b\"
[upstreams.d]
urls = [\"unix:/run/api.sock\", \"http://127.0.0.1:9000\", \"unix:/run/api.sock\"]
[upstreams.e]
url = \"unix:/run/\"
[upstreams.f]
url = \"unix:///run/api.sock\"
";
    upstream_health: "
[upstreams.a]
url = \"http://127.0.0.1:9000\"
health = \"/healthz\"
[upstreams.b]
url = \"http://127.0.0.1:9000\"
health = { interval = \"5s\", uri = \"/healthz\" }
[upstreams.c]
url = \"http://127.0.0.1:9000\"
health = { path = \"healthz\", interval = \"50ms\", timeout = \"0s\", fails = 0, passes = 101, status = \"2\" }
[upstreams.d]
url = \"http://127.0.0.1:9000\"
health = { path = \"/health z\" }
[upstreams.e]
url = \"http://127.0.0.1:9000\"
health = { path = \"/healthz#now\" }
";
    upstream_health_by_grpc: "
[upstreams.a]
url = \"http://127.0.0.1:9000\"
health = { grpc = \"weather.v1.Weather\" }
[upstreams.b]
url = \"http://127.0.0.1:9000\"
http_version = \"2\"
health = { grpc = \"\", path = \"/healthz\", status = 200 }
[upstreams.c]
url = \"http://127.0.0.1:9000\"
http_version = \"1.1\"
health = { grpc = \"a\\u0000\", fails = 0 }
[upstreams.d]
url = \"http://127.0.0.1:9000\"
http_version = \"2\"
health = { grpc = true }
";
    upstream_limits: "
[upstreams.a]
url = \"http://127.0.0.1:9000\"
queue = { length = 10 }
[upstreams.b]
url = \"http://127.0.0.1:9000\"
connections = 0
queue = { length = -1, timeout = \"0s\", size = 5 }
retries = 4
";
    upstream_is_a_listener: "
[upstreams.a]
url = \"http://localhost:8403\"
[upstreams.b]
url = \"http://127.0.0.1:8402/v1\"
";
    upstream_headers: "
[upstreams.api]
url = \"http://127.0.0.1:9000\"
[upstreams.api.set_headers]
Host = \"a\"
transfer-encoding = \"chunked\"
Faregate-Customer = \"acme\"
\"bad name\" = \"a\"
x-lines = \"a\\nb\"
X-Twice = \"a\"
x-twice = \"b\"
authorization = \"Bearer my-secret-token\"
x-number = 5
";
    upstream_durations: "[upstreams.api]\nurl = \"http://127.0.0.1:9000\"\nconnect_timeout = \"0ms\"\nidle_timeout = \"99999999999999d\"";
}

// Routes.
reports! {
    no_route: "routes = [] # in place of [[routes]]";
    route_without_path_and_upstream: "[[routes]]\nname = \"a\"";
    route_paths: "
[[routes]]
path = \"v1\"
upstream = \"api\"
[[routes]]
path = \"/a//b\"
upstream = \"api\"
[[routes]]
path = \"/{id}.json\"
upstream = \"api\"
[[routes]]
path = \"/{*rest}/a\"
upstream = \"api\"
[[routes]]
path = \"/{id}/{id}\"
upstream = \"api\"
[[routes]]
path = \"/caf%c3%a9\"
upstream = \"api\"
[[routes]]
path = \"/a/../b\"
upstream = \"api\"
[[routes]]
path = \"/a?b\"
upstream = \"api\"
[[routes]]
path = \"/_faregate/usage\"
upstream = \"api\"
";
    route_hosts: "
[[routes]]
host = \"API.example.com.\"
path = \"/a\"
upstream = \"api\"
[[routes]]
host = \"api.example.com:443\"
path = \"/b\"
upstream = \"api\"
";
    route_methods: "
[[routes]]
path = \"/a\"
methods = [\"get\", \"CONNECT\", \"A B\", \"POST\", \"POST\"]
upstream = \"api\"
[[routes]]
path = \"/b\"
methods = []
upstream = \"api\"
[[routes]]
path = \"/c\"
methods = \"GET\"
upstream = \"api\"
";
    route_upstream_is_unknown: "
[upstreams.api]
url = \"http://127.0.0.1:9000\"
[[routes]]
path = \"/a\"
upstream = \"ap\"
[[routes]]
path = \"/b\"
upstream = \"weather\"
";
    route_names: "
[[routes]]
name = \"a\"
path = \"/a\"
upstream = \"api\"
[[routes]]
name = \"a\"
path = \"/b\"
upstream = \"api\"
[[routes]]
name = \"\"
path = \"/c\"
upstream = \"api\"
[[routes]]
name = \"/d\"
path = \"/e\"
upstream = \"api\"
[[routes]]
path = \"/d\"
upstream = \"api\"
";
    route_overlaps: "
[[routes]]
path = \"/a/{id}\"
upstream = \"api\"
[[routes]]
path = \"/a/{name}\"
methods = [\"POST\"]
upstream = \"api\"
[[routes]]
path = \"/b\"
methods = [\"GET\", \"PUT\"]
upstream = \"api\"
[[routes]]
path = \"/b\"
methods = [\"DELETE\", \"PUT\"]
upstream = \"api\"
[[routes]]
host = \"a.example\"
path = \"/b\"
upstream = \"api\"
[[routes]]
host = \"a.example\"
path = \"/b\"
upstream = \"api\"
";
    route_strip_prefix: "
[[routes]]
path = \"/v1/a/{id}\"
strip_prefix = \"/v1/\"
upstream = \"api\"
[[routes]]
path = \"/v2/{id}\"
strip_prefix = \"/v\"
upstream = \"api\"
";
    route_values: "
[[routes]]
path = \"/a\"
upstream = \"api\"
access = \"payment\"
cost = -1
scopes = [\"read write\", \"\"]
charge_on = [\"!404\", \"2xx\", 700, \"299-200\", 2.5]
request_timeout = \"never\"
[[routes]]
path = \"/b\"
upstream = \"api\"
access = \"free\"
cost = 1000000000000000
[[routes]]
path = \"/c\"
upstream = \"api\"
cost = 99999999999999999999
";
    route_websocket: "
[[routes]]
path = \"/a\"
upstream = \"api\"
websocket = \"each\"
[[routes]]
path = \"/b\"
upstream = \"api\"
websocket = 30
[[routes]]
path = \"/c\"
upstream = \"api\"
websocket = \"999ms\"
[[routes]]
path = \"/d\"
upstream = \"api\"
access = \"public\"
websocket = \"message\"
[[routes]]
path = \"/e\"
upstream = \"api\"
access = \"public\"
websocket = \"off\"
[[routes]]
path = \"/f\"
upstream = \"streams\"
websocket = \"message\"
[[routes]]
path = \"/g\"
upstream = \"streams\"
websocket = \"off\"
[upstreams.streams]
url = \"http://127.0.0.1:9001\"
http_version = \"2\"
";
    route_public_with_cost: "
[[routes]]
path = \"/a\"
upstream = \"api\"
access = \"public\"
cost = 2
scopes = [\"read\"]
enforce = false
";
}

// Plans.
reports! {
    plan_values: "
[plans.Pro]
title = 5
routes = [\"/{*paths}\"]
trial = \"two weeks\"
upgrade_url = \"example.com/billing\"
on_sale = \"yes\"
enforce = \"no\"
";
    plan_quotas: "
[plans.pro]
quotas = [
  { window = \"month\" },
  { limit = 5 },
  { limit = -5, window = \"day\" },
  { limit = 5, window = \"period\", align = \"calendar\" },
  { limit = 5, window = \"dya\", align = \"start\" },
  { limit = 5, window = \"lifetime\", align = \"anchor\" },
  { name = \"rate\", limit = 5, window = \"hour\" },
  { name = \"Per Hour\", limit = 5, window = \"hour\" },
  { limit = 5, window = \"week\", zone = \"Europe/Pariss\" },
  { name = \"z\", limit = 5, window = \"week\", zone = \"Middle Earth\" },
  { name = \"h\", limit = 5, window = \"hour\", zone = \"Europe/Paris\" },
  { name = \"key-rate\", limit = 5, window = \"day\" },
  { limit = 5, window = \"year\" },
  { limit = 6, window = \"year\" },
]
";
    renamed_quotas: "
[plans.pro]
quotas = [
  { name = \"calls\", limit = 5, window = \"month\", renamed_from = \"monthly\" },
  { name = \"more\", limit = 5, window = \"month\", renamed_from = \"monthly\" },
  { name = \"daily\", limit = 5, window = \"day\", renamed_from = \"calls\" },
  { name = \"hourly\", limit = 5, window = \"hour\", renamed_from = \"hourly\" },
  { limit = 5, window = \"year\", renamed_from = \"Per Year\" },
  { limit = 5, window = \"week\", renamed_from = \"key-rate\" },
]
";
    prices: "
[[routes]]
path = \"/a\"
upstream = \"api\"
price = \"0 USD\"
[[routes]]
path = \"/b\"
upstream = \"api\"
price = \"1000000.000000001 USD\"
[[routes]]
path = \"/c\"
upstream = \"api\"
price = \"0.002\"
[[routes]]
path = \"/d\"
upstream = \"api\"
price = 0.002
[[routes]]
path = \"/e\"
upstream = \"api\"
access = \"public\"
price = \"0.002 USD\"
";
    overage: "
[plans.a]
quotas = [
  { limit = 5, window = \"month\", overage = {} },
  { limit = 5, window = \"day\", overage = { price = \"-1 USD\" } },
]
[plans.b]
quotas = [
  { limit = 5, window = \"month\", overage = { price = \"1 USD\" } },
  { limit = 5, window = \"day\" },
  { limit = 5, window = \"hour\", overage = { price = \"1 USD\", cap = \"5 USD\" } },
]
[plans.c]
quotas = [{ limit = 5, window = \"month\", overage = \"1 USD\" }]
[customers.acme]
plan = \"b\"
keys = [{ digest = \"sha256:1a06df82cf0f5aa8a64b6ddc1da0a4e6fd1c5a5f0d45e7c0d2b0a9ebd8b7aa52\", quotas = [{ limit = 5, window = \"day\", overage = { price = \"1 USD\" } }] }]
[customers.acme.applications.mobile]
quotas = [{ limit = 5, window = \"day\", overage = { price = \"1 USD\" } }]
";
    spend_caps: "
[plans.pro]
quotas = [{ limit = 5, window = \"month\", overage = { price = \"0.001 USD\" } }]
[plans.hard]
quotas = [{ limit = 5, window = \"month\" }]
[customers.good]
plan = \"pro\"
spend_cap = \"50 USD\"
[customers.negative]
plan = \"pro\"
spend_cap = \"-1 USD\"
[customers.elsewhere]
plan = \"pro\"
spend_cap = \"50 EUR\"
[customers.own]
plan = \"pro\"
spend_cap = \"50 USD\"
quotas = [{ limit = 5, window = \"month\", overage = { price = \"0.001 EUR\" } }]
[customers.hard]
plan = \"hard\"
spend_cap = \"50 USD\"
[customers.nothing]
spend_cap = \"50 USD\"
[customers.number]
plan = \"pro\"
spend_cap = 50
";
    plan_rate_and_concurrency: "
[plans.a]
rate = { limit = 0, window = \"1s\", burst = 0 }
concurrency = 0
[plans.b]
rate = { window = \"25h\" }
concurrency = -1
[plans.c]
rate = 50
concurrency = 5000000000
";
}

// Customers.
reports! {
    customer_ids: "[customers.\"acme inc\"]\n[customers.\"\"]\n[customers.acme.applications.\"a b\"]";
    customer_plan_is_unknown: "
[plans.starter]
[plans.pro]
[customers.a]
plan = \"Starter\"
[customers.b]
plan = \"gold\"
";
    customer_status: "
[plans.pro]
[plans.trial]
trial = \"14d\"
[customers.a]
plan = \"pro\"
status = \"cancelled\"
[customers.b]
plan = \"pro\"
status = \"trialing\"
[customers.c]
plan = \"pro\"
status = \"trialing\"
anchor = \"2026-01-31T10:00:00Z\"
[customers.d]
plan = \"trial\"
status = \"trialing\"
[customers.e]
plan = \"pro\"
status = \"past_due\"
";
    customer_dates: "
[plans.pro]
[customers.a]
plan = \"pro\"
anchor = \"2026-01-31\"
starts = 2026-01-31T10:00:00
cancel_at = 1767225600
trial_end = \"31.1.2026 10:00\"
";
    customer_without_plan: "
[customers.a]
status = \"active\"
grace = \"5d\"
quotas = [{ limit = 5, window = \"day\" }]
";
    customer_needs_an_anchor: "
[plans.pro]
quotas = [{ limit = 5, window = \"month\", align = \"anchor\" }]
[customers.acme]
plan = \"pro\"
";
}

// Keys.
reports! {
    key_is_not_a_digest: "
[customers.acme]
keys = [
  \"my-secret-key\",
  { id = \"a\", digest = \"my-secret-key\" },
  \"sha256:abc\",
  { id = \"fg_live_my0secret0key\", digest = \"sha256:e2186dbdb1bb4193608605e84f33208765b5693b55edd4f730a719a100eeea6f\" },
  5,
]
";
    keys_are_no_list: "[customers.acme]\nkeys = \"my-secret-key\"";
    key_values: "
[customers.acme]
keys = [
  { id = \"a\" },
  { id = \"a b\", digest = \"sha256:e2186dbdb1bb4193608605e84f33208765b5693b55edd4f730a719a100eeea6f\", expires = \"soon\", scopes = [\"a b\"], allow_from = [\"192.0.2.7/24\", \"home\"], status = \"off\" },
  { digest = \"sha256:1a06df82cf0f5aa8a64b6ddc1da0a4e6fd1c5a5f0d45e7c0d2b0a9ebd8b7aa52\", allow_from = [], quotas = [] },
]
";
    keys_twice: "
[customers.a]
keys = [\"sha256:e2186dbdb1bb4193608605e84f33208765b5693b55edd4f730a719a100eeea6f\"]
[customers.b]
keys = [
  { id = \"ci\", digest = \"sha256:1a06df82cf0f5aa8a64b6ddc1da0a4e6fd1c5a5f0d45e7c0d2b0a9ebd8b7aa52\" },
  { id = \"ci\", digest = \"sha256:6b7f0d3cbbc3d1d1e6d4f5dd31ac0a6b1f6d68a14e1e33a7a27a1b5f5b6f3d10\" },
]
[customers.b.applications.mobile]
keys = [\"sha256:E2186DBDB1BB4193608605E84F33208765B5693B55EDD4F730A719A100EEEA6F\"]
";
}

#[test]
fn empty_file() {
    insta::assert_snapshot!(show(Loaded::parse("", Path::new(PATH)).report()));
}

#[test]
fn related_place_is_far_away() {
    let between = "\n".repeat(100);
    let plan = "[plans.pro]\nquotas = [{ limit = 5, window = \"day\", align = \"anchor\" }]";
    let customer = "[customers.acme]\nplan = \"pro\"";
    insta::assert_snapshot!(report(&format!("{plan}{between}{customer}")));
}

#[test]
fn colour_only_when_asked_for() {
    let loaded = parse("[server]\nlisten = \"a\"");
    let plain = loaded.report().render(Purpose::Run, Colour::Plain);
    let ansi = loaded.report().render(Purpose::Run, Colour::Ansi);
    assert!(!plain.contains('\u{1b}') && ansi.contains('\u{1b}'));
}

#[test]
fn positions_are_those_of_the_report() {
    let text = "# é\n[plans.pro]\nrate = { \"é\" = 1, limit = 0, window = \"ü\" }\r\n\ttrial = 5\n";
    let loaded = parse(text);
    let report = loaded.report();
    let positions: Vec<_> =
        report.problems().iter().map(|problem| report.position(problem)).collect();
    assert_eq!(positions, [(3, 10), (3, 27), (3, 39), (4, 10)]);
    let rendered = report.render(Purpose::Run, Colour::Plain);
    for (line, column) in positions {
        assert!(rendered.contains(&format!("{PATH}:{line}:{column}\n")), "{rendered}");
    }
}

#[test]
fn escape_sequences_of_the_file_do_not_reach_the_terminal() {
    let report =
        report("[customers.\"\\u001b[31m\"]\nplan = \"\\u001b]0;title\\u0007\"\n# \u{202e}");
    assert!(!report.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{report}");
}
