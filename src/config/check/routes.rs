//! Routes: each on its own, and all of them beside one another.

use std::{sync::Arc, time::Duration};

use super::{
    claim::{self, Claim},
    limits::check_price,
    names::Unique,
    number::{UNITS, integer},
    overlap,
    payments::{self, Priced},
    server::check_timeout,
    statuses,
    upstreams::Declared,
};
use crate::{
    config::{
        file::{Field, RouteTable, Spanned},
        report::{Problem, Problems, Span},
        wording::{quote, suggest},
    },
    model::{Access, HttpVersion, Methods, Route, Upstream, WebSocket, is_scope},
    pay::{mpp, x402::Terms},
};

/// What was found of the routes.
#[derive(Debug)]
pub(super) struct Routes {
    /// The names of all of them, right or wrong, for plans to refer to.
    pub(super) names: Vec<Arc<str>>,
    /// Those without mistakes.
    pub(super) checked: Vec<Arc<Route>>,
}

/// What the routes refer to.
#[derive(Debug)]
pub(super) struct Surroundings<'c> {
    /// The upstreams they lead to.
    pub(super) upstreams: &'c [Declared],
    /// The paths that are not theirs.
    pub(super) reserved_prefix: Option<&'c str>,
    /// What payments with requests go by.
    pub(super) x402: Option<&'c Arc<Terms>>,
    /// What the scheme `Payment` goes by.
    pub(super) mpp: Option<&'c Arc<mpp::Terms>>,
    /// Whether the first is written, and wrong.
    pub(super) is_x402_wrong: bool,
    /// The time limit of those without one of their own.
    pub(super) request_timeout: Option<Duration>,
}

/// Checks all routes.
pub(super) fn check(
    field: &Field<Vec<Spanned<RouteTable>>>,
    surroundings: &Surroundings<'_>,
    problems: &mut Problems,
) -> Routes {
    let tables = field.value().map_or(&[][..], Vec::as_slice);
    if tables.is_empty() && !matches!(field, Field::Wrong) {
        let help = "add `[[routes]]` with a `path` such as \"/{*path}\" and an `upstream`";
        let span = field.span().unwrap_or_default();
        problems.add(Problem::error(span, "there is no route").help(help));
    }
    let claims: Vec<Option<Claim>> = tables
        .iter()
        .map(|table| claim::check(&table.value, surroundings.reserved_prefix, problems))
        .collect();
    let methods = overlap::resolve(&claims, problems);
    let names = check_names(tables, &claims, &methods, problems);

    let mut checked = Vec::new();
    for (((table, claim), methods), name) in tables.iter().zip(claims).zip(methods).zip(&names) {
        let identity = name.clone().zip(claim).zip(methods);
        let identity = identity.map(|((name, claim), methods)| Identity { name, claim, methods });
        checked.extend(check_one(&table.value, identity, surroundings, problems).map(Arc::new));
    }
    Routes { names: names.into_iter().flatten().collect(), checked }
}

/// Gives each route its name: the one it has, else a default. All given names come first, so that
/// none is refused because a route before it would be called so by default.
fn check_names(
    tables: &[Spanned<RouteTable>],
    claims: &[Option<Claim>],
    methods: &[Option<Methods>],
    problems: &mut Problems,
) -> Vec<Option<Arc<str>>> {
    let mut taken = Unique::new("routes", "give this one another name");
    let mut names = Vec::new();
    for table in tables {
        let name = table.value.name.given().map(|Spanned { value, span }| {
            let name: Arc<str> = value.as_str().into();
            check_name(&name, *span, problems);
            taken.claim(&name, *span, problems);
            name
        });
        names.push(name);
    }
    for (((name, table), claim), methods) in names.iter_mut().zip(tables).zip(claims).zip(methods) {
        let Some(path) = table.value.path.given().filter(|_| name.is_none()) else { continue };
        *name = choose_name(path, claim.as_ref(), &mut taken, problems);
        // An overlapping route is wrong anyway, most likely a copy of the one that has the name.
        if name.is_none() && methods.is_some() {
            let message = format!("two routes would be called {}", quote(&path.value));
            let help = "a route without a name is called by its path; give this one a `name`";
            problems.add(Problem::error(path.span, message).help(help));
        }
    }
    names
}

/// Takes the default name of a route, if one is free.
fn choose_name(
    path: &Spanned<String>,
    claim: Option<&Claim>,
    taken: &mut Unique,
    problems: &mut Problems,
) -> Option<Arc<str>> {
    let mut names = default_names(&path.value, claim).into_iter();
    let name = names.find(|name| !taken.contains(name))?;
    taken.claim(&name, path.span, problems).then_some(name)
}

/// Lists a route's default names: its path; where that is taken, with the host before it; where
/// that is taken too, with the first method behind it.
fn default_names(path: &str, claim: Option<&Claim>) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = vec![path.into()];
    let mut longer = path.to_owned();
    if let Some(host) = claim.and_then(|claim| claim.host.as_ref()) {
        longer.insert_str(0, host);
        names.push(longer.as_str().into());
    }
    if let Some(Methods::Only(methods)) = claim.map(|claim| &claim.methods)
        && let Some(method) = methods.first()
    {
        names.push(format!("{longer} {method}").into());
    }
    names
}

/// The longest name of a route; it stands in logs and as a label of metrics.
const NAME_MAX: usize = 128;

fn check_name(name: &str, span: Span, problems: &mut Problems) {
    let is_allowed = |c: char| c == ' ' || c.is_ascii_graphic();
    if !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(is_allowed) {
        return;
    }
    let message = format!("{} cannot be the name of a route", quote(name));
    let help = format!("a name is 1 to {NAME_MAX} printable ASCII characters");
    problems.add(Problem::error(span, message).help(help));
}

/// What was found out about a route beside the others.
struct Identity {
    name: Arc<str>,
    claim: Claim,
    methods: Methods,
}

/// Checks the rest of a route, and makes it if nothing is wrong.
fn check_one(
    table: &RouteTable,
    identity: Option<Identity>,
    surroundings: &Surroundings<'_>,
    problems: &mut Problems,
) -> Option<Route> {
    let upstream = check_upstream(table, surroundings.upstreams, problems);
    let access = table.access.value().copied().unwrap_or_default();
    if access == Access::Public {
        warn_public(table, problems);
    }
    let scopes = check_scopes(&table.scopes, problems);
    let cost = integer(&table.cost, UNITS, 1, problems);
    let price = table.price.given().and_then(|price| check_price(price, problems));
    let name = identity.as_ref().map_or("", |identity| &identity.name);
    let priced = Priced { name, access, price: &table.price, checked: price, span: table.span };
    let Surroundings { x402, mpp, is_x402_wrong, .. } = *surroundings;
    let offer = payments::offer(x402, mpp, priced, is_x402_wrong, problems);
    let charge_on = statuses::check(&table.charge_on, problems);
    let request_timeout =
        check_timeout(&table.request_timeout, problems).unwrap_or(surroundings.request_timeout);
    let websocket = check_websocket(&table.websocket, upstream.as_deref(), problems);
    let Identity { name, claim, methods } = identity?;
    Some(Route {
        name,
        host: claim.host,
        path: claim.path,
        methods,
        upstream: upstream?,
        strip_prefix: table.strip_prefix.value().map(|prefix| prefix.as_str().into()),
        access,
        cost,
        price,
        offer,
        scopes,
        enforce: table.enforce.value().copied().unwrap_or(true),
        charge_on,
        websocket,
        request_timeout,
    })
}

fn check_upstream(
    table: &RouteTable,
    upstreams: &[Declared],
    problems: &mut Problems,
) -> Option<Arc<Upstream>> {
    let ids = || upstreams.iter().map(|upstream| upstream.id.as_str());
    let missing = || {
        let help = match upstreams {
            [] => "declare one, `[upstreams.api]`, and write upstream = \"api\"".to_owned(),
            _ => suggest("", ids()),
        };
        Problem::error(table.span, "the route has no `upstream`").help(help)
    };
    let Spanned { value: id, span } = table.upstream.required(problems, missing)?;
    let found = upstreams.iter().find(|upstream| upstream.id == *id);
    if found.is_none() {
        let help = match upstreams {
            [] => format!("declare it: {} with its `url`", quote(&format!("[upstreams.{id}]"))),
            _ => suggest(id, ids()),
        };
        let message = format!("there is no upstream {}", quote(id));
        problems.add(Problem::error(*span, message).help(help));
    }
    found?.checked.clone()
}

/// The shortest time that is charged by: a reservation for each is written to the journal.
const WEBSOCKET_TIME_MIN: Duration = Duration::from_secs(1);

fn check_websocket(
    field: &Field<WebSocket>,
    upstream: Option<&Upstream>,
    problems: &mut Problems,
) -> WebSocket {
    let Some(Spanned { value, span }) = field.given() else { return WebSocket::default() };
    let is_http2 = upstream.is_some_and(|upstream| upstream.version == HttpVersion::Http2);
    if is_http2 && *value != WebSocket::Off {
        let message = "no WebSocket is opened to an upstream that is spoken to by HTTP/2";
        let help = "write websocket = \"off\", or give the route an upstream of its own, at the same \
                    address and with http_version = \"1.1\"";
        problems.add(Problem::warning(*span, message).help(help));
    }
    if matches!(value, WebSocket::Time(time) if *time < WEBSOCKET_TIME_MIN) {
        let help = "the time is at least 1s; to charge by what the client says write \"message\"";
        problems.add(Problem::error(*span, "the time is too short").help(help));
    }
    *value
}

fn warn_public(table: &RouteTable, problems: &mut Problems) {
    let is_paid = |rule: &WebSocket| matches!(rule, WebSocket::Message | WebSocket::Time(_));
    let paid_websocket = table.websocket.given().filter(|websocket| is_paid(&websocket.value));
    let spans = [
        table.cost.given().map(|cost| (cost.span, "cost")),
        table.price.given().map(|price| (price.span, "price")),
        table.scopes.given().map(|scopes| (scopes.span, "scopes")),
        table.enforce.given().map(|enforce| (enforce.span, "enforce")),
        table.charge_on.given().map(|charge_on| (charge_on.span, "charge_on")),
        paid_websocket.map(|websocket| (websocket.span, "websocket")),
    ];
    for (span, name) in spans.into_iter().flatten() {
        let message = format!("`{name}` has no effect on a public route");
        let help = "calls of a public route need no key and are not counted; leave it out, or \
                    write access = \"key\"";
        problems.add(Problem::warning(span, message).help(help));
    }
}

/// Checks scopes, of a route or of a key.
pub(super) fn check_scopes(
    field: &Field<Vec<Spanned<String>>>,
    problems: &mut Problems,
) -> Vec<Arc<str>> {
    let list = field.value().map_or(&[][..], Vec::as_slice);
    for Spanned { value, span } in list.iter().filter(|scope| !is_scope(&scope.value)) {
        let message = format!("{} is not a scope", quote(value));
        let help = "a scope is printable ASCII without spaces, quotes and backslashes; write \
                    several as several texts";
        problems.add(Problem::error(*span, message).help(help));
    }
    list.iter().map(|scope| scope.value.as_str().into()).collect()
}
