//! The tables about the gateway itself.

use std::{collections::HashMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use http::StatusCode;

use super::{listeners, networks, number::within, path::Pattern, server_limits, tls, url::Url};
use crate::{
    answer::Code,
    config::{
        AccessLog, Admin, KeyLocation, Log, Secret, Server,
        file::{
            AdminTable, AnswersTable, AuthTable, Field, GuessesTable, LimitsTable, LogTable,
            ServerTable, Spanned, Timeout,
        },
        report::{Problem, Problems, Span},
        secret::SecretSource,
        wording::{nearest, quote, suggest},
    },
    guesses::GuessLimit,
    telemetry::{access_log, level::Level},
};

/// Checks `[server]`, the one table that must be there.
pub(super) fn check_server(
    field: &Field<ServerTable>,
    admin: &Field<AdminTable>,
    directory: &Path,
    problems: &mut Problems,
) -> Option<Server> {
    let help = "write listen = \"127.0.0.1:8402\", or another address for callers to reach";
    let missing = || {
        Problem::error(Span::default(), "`[server]` is missing")
            .help(format!("add `[server]` and in it {help}"))
    };
    let ServerTable {
        span,
        listen,
        public_url,
        reserved_prefix,
        drain_timeout,
        workers,
        tls,
        trusted_proxies,
        proxy_protocol,
        listeners,
        limits,
    } = &field.required(problems, missing)?.value;
    let missing = || Problem::error(*span, "`listen` is missing in `[server]`").help(help);
    let listen = listen.required(problems, missing);
    if let Some(listen) = listen
        && public_url.is_absent()
        && !listen.value.ip().to_canonical().is_loopback()
    {
        let message = "without `public_url`, links in answers follow the Host of each request";
        let help = "set public_url = \"https://…\", the address that callers use";
        problems.add(Problem::warning(listen.span, message).help(help));
    }
    let first = listen.map(|of| (of.value, Some(of.span), "the data listener's address"));
    let admin_span = admin.value().and_then(|admin| admin.listen.span());
    let of_admin = (admin_listen(admin), admin_span, "the admin listener's address");
    let taken = first.into_iter().chain([of_admin]).collect();
    let server = Server {
        // A wrong address is reported; the stand-in lets the rest be checked.
        listen: listen.map_or(UNKNOWN_ADDRESS, |listen| listen.value),
        public_url: check_public_url(public_url, problems),
        reserved_prefix: check_reserved_prefix(reserved_prefix, problems),
        drain_timeout: drain_timeout.value().copied().unwrap_or(Duration::from_secs(30)),
        workers: workers.given().and_then(|workers| within(workers, 1..=1024, problems)),
        tls: tls::check(tls, public_url, directory, problems),
        proxy_protocol: networks::check_proxy_protocol(proxy_protocol, trusted_proxies, problems),
        trusted_proxies: networks::check_trusted(trusted_proxies, problems),
        listeners: listeners::check(listeners, tls, taken, trusted_proxies, directory, problems),
        limits: server_limits::check(limits.value().unwrap_or(&LimitsTable::default()), problems),
    };
    Some(server)
}

/// Port 0 is equal to no other address.
const UNKNOWN_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn check_public_url(field: &Field<String>, problems: &mut Problems) -> Option<Arc<str>> {
    let Spanned { value: text, span } = field.given()?;
    let problem = match Url::parse(text) {
        Err(bad) => bad.into_problem(*span),
        Ok(url) if !url.tail.is_empty() => Problem::error(*span, "the URL has a query or fragment")
            .help("leave it out; links are made by adding a path"),
        Ok(url) => match url.base_path() {
            Err(bad) => Problem::error(*span, bad.message).help(bad.help),
            Ok(_) => return Some(text.strip_suffix('/').unwrap_or(text).into()),
        },
    };
    problems.add(problem);
    None
}

fn check_reserved_prefix(field: &Field<String>, problems: &mut Problems) -> Arc<str> {
    let Some(Spanned { value, span }) = field.given() else { return "/_faregate".into() };
    if let Err(bad) = Pattern::parse_prefix(value) {
        problems.add(Problem::error(*span, bad.message).help(bad.help));
    }
    value.as_str().into()
}

/// Gives a time limit that may be "none"; the outer `None` means that none is given.
pub(super) fn check_timeout(
    field: &Field<Timeout>,
    problems: &mut Problems,
) -> Option<Option<Duration>> {
    let Spanned { value: Timeout(timeout), span } = field.given()?;
    if timeout.is_some_and(|timeout| timeout.is_zero()) {
        let message = "a duration of zero would end everything at once";
        problems.add(Problem::error(*span, message).help("for no limit write \"none\""));
    }
    Some(*timeout)
}

/// Checks `[admin]`. Its address must not be the data listener's, or callers would meet it.
pub(super) fn check_admin(
    field: &Field<AdminTable>,
    server_listen: Option<&Spanned<SocketAddr>>,
    directory: &Path,
    problems: &mut Problems,
) -> Admin {
    let default = AdminTable::default();
    let AdminTable { listen: given, token, read_token, hosts } = field.value().unwrap_or(&default);
    let listen = admin_listen(field);
    if let Some(server) = server_listen
        && is_same(listen, server.value)
    {
        let message = format!("both listeners would take port {}", listen.port());
        let problem = match given.given() {
            Some(admin) => Problem::error(admin.span, message)
                .related(server.span, "the data listener's address"),
            None => Problem::error(server.span, message),
        };
        let help = "give each listener its own port; `admin.listen` is \"127.0.0.1:8403\" unless \
                    it is set";
        problems.add(problem.help(help));
    }
    let read_span = read_token.span();
    let token = check_token(token, directory, problems);
    let read_token = check_token(read_token, directory, problems);
    if let (Some(token), Some(read), Some(span)) = (&token, &read_token, read_span)
        && token.expose() == read.expose()
    {
        let message = "both tokens are the same, so the read-only one could change everything";
        problems.add(Problem::error(span, message).help("give it a value of its own"));
    }
    Admin { listen, token, read_token, hosts: check_hosts(hosts, problems) }
}

/// Gives the address of the admin listener, or the default where none is given.
pub(super) fn admin_listen(field: &Field<AdminTable>) -> SocketAddr {
    let given = field.value().and_then(|admin| admin.listen.value());
    given.copied().unwrap_or(([127, 0, 0, 1], 8403).into())
}

fn check_token(
    field: &Field<SecretSource>,
    directory: &Path,
    problems: &mut Problems,
) -> Option<Secret> {
    let source = field.given()?;
    let secret = source.value.read(source.span, directory, problems)?;
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = "the token has a space, a line break or a letter beyond ASCII";
        let help = "a request could not carry it; make another, such as with \
                    `openssl rand -hex 32`";
        problems.add(Problem::error(source.span, message).help(help));
    }
    Some(Secret(secret))
}

/// Checks the names by which the admin listener may be called, beside addresses and `localhost`.
fn check_hosts(field: &Field<Vec<Spanned<String>>>, problems: &mut Problems) -> Vec<String> {
    let names = field.value().map_or(&[][..], Vec::as_slice);
    for Spanned { value: name, span } in names {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if name.is_empty() || !name.chars().all(allowed) {
            let message = format!("{} is not a host name", quote(name));
            let help = "write a name without scheme and port, such as \"faregate.internal\"";
            problems.add(Problem::error(*span, message).help(help));
        }
    }
    names.iter().map(|name| name.value.clone()).collect()
}

/// Tells whether two listeners cannot both be opened. Port 0 is a new port each time.
pub(super) fn is_same(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() != 0
        && a.port() == b.port()
        && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}

/// Checks `[log]`.
pub(super) fn check_log(field: &Field<LogTable>, directory: &Path, problems: &mut Problems) -> Log {
    let default = LogTable::default();
    let LogTable { access, access_format, format, level } = field.value().unwrap_or(&default);
    let access = match access.given().map(|access| (access.value.as_str(), access.span)) {
        None | Some(("stdout", _)) => AccessLog::Stdout,
        Some(("off", _)) => AccessLog::Off,
        Some((path, span)) => {
            // A misspelled word would make a file of that name, and no log where it is looked for.
            if !path.contains(['/', '.']) {
                let message = format!("{} is not a place for the access log", quote(path));
                let help = match nearest(path, &["stdout", "off"]) {
                    Some(_) => suggest(path, ["stdout", "off"]),
                    None => "write \"stdout\", \"off\", or a file's path with a `/` or `.` in it"
                        .to_owned(),
                };
                problems.add(Problem::error(span, message).help(help));
            }
            AccessLog::File(directory.join(path))
        }
    };
    Log {
        access,
        access_format: access_format.value().copied().unwrap_or(access_log::Format::Json),
        format: format.value().copied().unwrap_or_default(),
        level: level.value().cloned().unwrap_or(Level::of(tracing::Level::INFO)),
    }
}

/// Checks `[auth]`.
pub(super) fn check_locations(
    field: &Field<AuthTable>,
    problems: &mut Problems,
) -> Vec<KeyLocation> {
    let Some(Spanned { value: list, span }) = field.value().and_then(|auth| auth.locations.given())
    else {
        return KeyLocation::defaults();
    };
    // A list of which nothing could be read has its own problems.
    if list.is_empty() && !problems.any_within(*span) {
        let message = "without a location no key would ever be found";
        let help = "write [\"bearer\", \"x-api-key\", \"basic\"], or leave it out";
        problems.add(Problem::error(*span, message).help(help));
    }
    let mut locations: Vec<KeyLocation> = Vec::new();
    for (at, Spanned { value, span }) in list.iter().enumerate() {
        let first = list.iter().take(at).find(|first| first.value == *value);
        match first {
            Some(first) => problems.add(
                Problem::error(*span, "the location is listed twice")
                    .related(first.span, "first here"),
            ),
            None => locations.push(value.clone()),
        }
    }
    locations
}

/// The longest window of guesses; who failed is not kept out for longer.
const GUESSES_WINDOW_MAX: Duration = Duration::from_secs(24 * 3600);

/// Checks `guesses` in `[auth]`.
pub(super) fn check_guesses(
    field: &Field<AuthTable>,
    problems: &mut Problems,
) -> Option<GuessLimit> {
    const HELP: &str = "write guesses = { limit = 20, window = \"1m\" }";
    let GuessesTable { span, limit, window } = field.value()?.guesses.value()?;
    let missing = || Problem::error(*span, "`guesses` has no `limit`").help(HELP);
    let limit = limit.required(problems, missing);
    let limit = limit.and_then(|limit| within(limit, 1..=1_000_000, problems));
    let missing = || Problem::error(*span, "`guesses` has no `window`").help(HELP);
    let window = window.required(problems, missing);
    if let Some(Spanned { value, span }) = window
        && (value.is_zero() || *value > GUESSES_WINDOW_MAX)
    {
        let message = "the window of guesses is out of range";
        problems.add(Problem::error(*span, message).help("it is from \"1ms\" to \"24h\""));
    }
    Some(GuessLimit { limit: limit?, window: window?.value })
}

/// Checks `[answers]`.
pub(super) fn check_answers(
    field: &Field<AnswersTable>,
    problems: &mut Problems,
) -> HashMap<Code, StatusCode> {
    let mut status_by_code = HashMap::new();
    let Some(table) = field.value().and_then(|answers| answers.status.value()) else {
        return status_by_code;
    };
    for entry in table {
        let name = &entry.name;
        let code = Code::find(&name.value);
        if code.is_none() {
            let message = format!("unknown code {}", quote(&name.value));
            let help = suggest(&name.value, Code::ALL.iter().map(|code| code.name()));
            problems.add(Problem::error(name.span, message).help(help));
        }
        let status = entry.value.as_ref().and_then(|status| within(status, 400..=599, problems));
        let status = status.and_then(|status: u16| StatusCode::from_u16(status).ok());
        if let (Some(code), Some(status)) = (code, status) {
            status_by_code.insert(code, status);
        }
    }
    status_by_code
}
