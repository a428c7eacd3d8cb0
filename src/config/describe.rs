//! The configuration in force, written in the shape of the file with every default filled in.
//!
//! Invariant: no secret is in it. Every struct is taken apart whole, so that whoever adds a field
//! has to say whether it may be shown.

use std::path::Path;

use http::{HeaderName, HeaderValue};
use rustls::pki_types::ServerName;
use serde_json::{Map, Value, json};

use super::{
    AccessLog, Admin, Certificate, ClientAuth, Config, Cors, KeyLocation, Listener, Log,
    MemoryLimit, Retention, Secret, Server, ServerLimits, ServerTls, Store, TlsVersion, Webhooks,
};
use crate::{
    answer::Code,
    guesses::GuessLimit,
    model::{
        Access, Address, Endpoint, Health, HostHeader, HttpVersion, Limit, Methods, Plan, Question,
        Route, Upstream, WebSocket, duration_text,
    },
    pay::{
        mpp,
        x402::{Service, Terms},
    },
    store::Database,
    telemetry::{
        access_log, messages,
        traces::{Parent, Traces},
    },
    upstream::{self, tls::Settings},
};

/// What stands in the place of a secret.
const MASK: &str = "***";

/// Writes the configuration as a document. Of customers there is the number alone: they have calls
/// of their own.
pub fn describe(config: &Config) -> Value {
    let Config {
        server,
        admin,
        store,
        retention,
        log,
        key_locations,
        cors,
        guesses,
        status_by_code,
        webhooks,
        traces,
        x402,
        mpp,
        upstreams,
        routes,
        plans,
        customers,
        keys: _,
    } = config;
    let locations: Vec<String> = key_locations.iter().map(location).collect();
    let status: Map<String, Value> = status_by_code
        .iter()
        .map(|(code, status): (&Code, _)| (code.name().to_owned(), status.as_u16().into()))
        .collect();
    let upstreams: Map<String, Value> =
        upstreams.iter().map(|upstream| (upstream.id.to_string(), of_upstream(upstream))).collect();
    let plans: Map<String, Value> =
        plans.iter().map(|plan| (plan.id.to_string(), of_plan(plan))).collect();
    json!({
        "server": of_server(server),
        "admin": of_admin(admin),
        "store": of_store(store, retention),
        "log": of_log(log),
        "auth": {"locations": locations, "guesses": guesses.as_ref().map(of_guesses)},
        "cors": cors.as_ref().map(of_cors),
        "answers": {"status": status},
        "webhooks": of_webhooks(webhooks),
        "traces": traces.as_deref().map(of_traces),
        "payments": {
            "secret": mpp.as_ref().map(|_| MASK),
            "x402": x402.as_deref().map(of_x402),
            "mpp": mpp.as_deref().map(of_mpp),
        },
        "upstreams": upstreams,
        "routes": routes.iter().map(|route| of_route(route)).collect::<Vec<_>>(),
        "plans": plans,
        "customers": {"declared": customers.len()},
    })
}

fn of_server(server: &Server) -> Value {
    let Server {
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
    } = server;
    let ServerLimits {
        connections,
        handshakes,
        streams,
        connections_per_address,
        header_bytes,
        headers,
        body_bytes,
        header_timeout,
        idle_timeout,
        request_timeout,
        minimum_rate,
        memory,
    } = limits;
    json!({
        "listen": listen,
        "public_url": public_url,
        "reserved_prefix": reserved_prefix,
        "drain_timeout": duration_text(*drain_timeout),
        "workers": workers.unwrap_or_else(processors),
        "tls": tls.as_ref().map(of_tls),
        "trusted_proxies": trusted_proxies,
        "proxy_protocol": proxy_protocol,
        "listeners": listeners.iter().map(of_listener).collect::<Vec<_>>(),
        "limits": {
            "connections": connections,
            "handshakes": handshakes,
            "streams": streams,
            "connections_per_address": connections_per_address,
            "header_bytes": size(u64::try_from(*header_bytes).unwrap_or(u64::MAX)),
            "headers": headers,
            "body_bytes": size(*body_bytes),
            "header_timeout": duration_text(*header_timeout),
            "idle_timeout": duration_text(*idle_timeout),
            "request_timeout": request_timeout.map_or("none".to_owned(), duration_text),
            "minimum_rate": minimum_rate.map_or("none".to_owned(), |rate| size(rate.get())),
            "memory": of_memory(*memory),
        },
    })
}

fn of_listener(listener: &Listener) -> Value {
    let Listener { listen, tls, proxy_protocol } = listener;
    json!({
        "listen": listen,
        "tls": tls.as_ref().map(of_tls),
        "proxy_protocol": proxy_protocol,
    })
}

fn of_tls(tls: &ServerTls) -> Value {
    let ServerTls { certificates, client_ca, client_auth, min_version, hsts, redirect, ready: _ } =
        tls;
    let pair = |Certificate { cert, key }: &_| json!({"cert": path(cert), "key": path(key)});
    json!({
        "certificates": certificates.iter().map(pair).collect::<Vec<_>>(),
        "client_ca": client_ca.as_deref().map(path),
        "client_auth": client_auth.map(|auth| name_of(&ClientAuth::ALL, auth)),
        "min_version": name_of(&TlsVersion::ALL, *min_version),
        "hsts": hsts.map(duration_text),
        "redirect": redirect,
    })
}

/// Gives the name of a choice in the file.
fn name_of<T: Copy + PartialEq>(all: &[(&'static str, T)], choice: T) -> Option<&'static str> {
    all.iter().find(|(_, of)| *of == choice).map(|(name, _)| *name)
}

/// Nothing stands for the limit of the control group, which is not the configuration's.
fn of_memory(limit: MemoryLimit) -> Option<String> {
    match limit {
        MemoryLimit::Bytes(bytes) => Some(size(bytes)),
        MemoryLimit::None => Some("none".to_owned()),
        MemoryLimit::OfGroup => None,
    }
}

/// How many workers there are where the file does not say it.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn of_admin(admin: &Admin) -> Value {
    let Admin { listen, token: _, read_token, hosts } = admin;
    // Where the file has no token one was made: there is one in any case.
    let read_token = read_token.as_ref().map(|_: &Secret| MASK);
    json!({"listen": listen, "token": MASK, "read_token": read_token, "hosts": hosts})
}

fn of_store(store: &Store, retention: &Retention) -> Value {
    let Store { database, journal, durability } = store;
    let Retention { requests, requests_size, entries, answers } = retention;
    json!({
        "url": match database {
            Database::Postgres(server) => format!("postgres://{server}"),
            Database::Sqlite(path) => format!("sqlite:{}", path.display()),
        },
        "password": match database {
            Database::Postgres(server) => server.has_password().then_some(MASK),
            Database::Sqlite(_) => None,
        },
        "journal": path(journal),
        "durability": durability.name(),
        "retention": {
            "requests": duration_text(*requests),
            "requests_size": size(*requests_size),
            "entries": duration_text(*entries),
            "answers": duration_text(*answers),
        },
    })
}

/// Many receivers put a secret into the path of their URL, so that is left out.
fn of_webhooks(webhooks: &Webhooks) -> Value {
    let Webhooks { endpoint, thresholds, ahead } = webhooks;
    let previous = endpoint.as_ref().filter(|endpoint| endpoint.secrets.count() > 1);
    json!({
        "url": endpoint.as_ref().map(|endpoint| format!("{}/{MASK}", endpoint.target.origin())),
        "secret": endpoint.as_ref().map(|_| MASK),
        "previous_secret": previous.map(|_| MASK),
        "thresholds": thresholds,
        "ahead": duration_text(*ahead),
    })
}

/// The path may hold a secret, as that of a webhook may.
fn of_traces(traces: &Traces) -> Value {
    let Traces { endpoint, headers, sample, parent, service } = traces;
    json!({
        "endpoint": format!("{}/{MASK}", endpoint.origin()),
        "headers": headers.iter().map(masked).collect::<Map<String, Value>>(),
        "sample": sample.to_string(),
        "parent": match parent {
            Parent::Continue => "continue",
            Parent::Ignore => "ignore",
        },
        "service": service,
    })
}

/// Whether a header's value is a secret only its writer knows.
fn masked((name, _): &(HeaderName, HeaderValue)) -> (String, Value) {
    (name.to_string(), MASK.into())
}

fn of_log(log: &Log) -> Value {
    let Log { access, access_format, format, level } = log;
    let access = match access {
        AccessLog::File(file) => path(file),
        AccessLog::Off => "off".to_owned(),
        AccessLog::Stdout => "stdout".to_owned(),
    };
    let access_format = match access_format {
        access_log::Format::Json => "json",
        access_log::Format::Text => "text",
    };
    let format = match format {
        messages::Format::Json => "json",
        messages::Format::Text => "text",
    };
    json!({
        "access": access,
        "access_format": access_format,
        "format": format,
        "level": level.to_string(),
    })
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn location(location: &KeyLocation) -> String {
    match location {
        KeyLocation::Basic => "basic".to_owned(),
        KeyLocation::Bearer => "bearer".to_owned(),
        KeyLocation::Cookie(name) => format!("cookie:{name}"),
        own if *own == KeyLocation::x_api_key() => "x-api-key".to_owned(),
        KeyLocation::Header(name) => format!("header:{name}"),
        KeyLocation::Query(name) => format!("query:{name}"),
    }
}

fn of_cors(cors: &Cors) -> Value {
    let Cors { origins, headers, expose, credentials, max_age } = cors;
    let names = |list: &[HeaderName]| list.iter().map(HeaderName::to_string).collect::<Vec<_>>();
    json!({
        "origins": origins,
        "headers": names(headers),
        "expose": names(expose),
        "credentials": credentials,
        "max_age": duration_text(*max_age),
    })
}

fn of_guesses(guesses: &GuessLimit) -> Value {
    let GuessLimit { limit, window } = guesses;
    json!({"limit": limit, "window": duration_text(*window)})
}

fn of_upstream(upstream: &Upstream) -> Value {
    let Upstream {
        id: _,
        endpoints,
        base_path,
        version,
        connect_timeout,
        response_timeout,
        idle_timeout,
        keepalive_timeout,
        set_headers,
        host_header,
        health,
        limit,
        retries,
        tls,
    } = upstream;
    let scheme = if tls.is_some() { "https" } else { "http" };
    // As it stands in a URL: with brackets, and without the scheme's own port.
    let url = |Endpoint { address, name, authority }: &Endpoint| match address {
        Address::Tcp { .. } => {
            format!("{scheme}://{}{base_path}", authority.to_str().unwrap_or_default())
        }
        Address::Unix(_) if base_path.is_empty() => name.to_string(),
        Address::Unix(_) => format!("{name}:{base_path}"),
    };
    let (name, place): (_, Value) = if endpoints.is_single() {
        ("url", url(endpoints.first()).into())
    } else {
        ("urls", endpoints.iter().map(url).collect())
    };
    json!({
        (name): place,
        "http_version": match version {
            HttpVersion::Http1 => "1.1",
            HttpVersion::Http2 => "2",
        },
        "connect_timeout": duration_text(*connect_timeout),
        "response_timeout": duration_text(*response_timeout),
        "idle_timeout": duration_text(*idle_timeout),
        "keepalive_timeout": duration_text(*keepalive_timeout),
        "host": match host_header {
            HostHeader::Preserve => "preserve",
            HostHeader::Upstream => "upstream",
        },
        "set_headers": set_headers.iter().map(masked).collect::<Map<String, Value>>(),
        "health": health.as_ref().map(of_health),
        "connections": limit.as_ref().map(|limit| limit.connections),
        "queue": limit.as_ref().map(of_queue),
        "retries": retries,
        "tls": tls.as_deref().map(of_upstream_tls),
    })
}

fn of_upstream_tls(tls: &upstream::tls::Tls) -> Value {
    let Settings { ca, cert, key, server_name, min_version, version: _ } = tls.settings();
    json!({
        "ca": ca.as_deref().map(path),
        "cert": cert.as_deref().map(path),
        "key": key.as_deref().map(path),
        "server_name": server_name.as_ref().map(ServerName::to_str),
        "min_version": name_of(&TlsVersion::ALL, *min_version),
    })
}

fn of_health(health: &Health) -> Value {
    let Health { question, interval, timeout, fails, passes } = health;
    let (path, status, grpc) = match question {
        Question::Get { path, status } => {
            (Some(path), Some(format!("{}-{}", status.start(), status.end())), None)
        }
        Question::Grpc { service } => (None, None, Some(service)),
    };
    json!({
        "path": path,
        "grpc": grpc,
        "interval": duration_text(*interval),
        "timeout": duration_text(*timeout),
        "fails": fails,
        "passes": passes,
        "status": status,
    })
}

fn of_queue(limit: &Limit) -> Value {
    let Limit { connections: _, queue_length, queue_timeout } = limit;
    json!({"length": queue_length, "timeout": duration_text(*queue_timeout)})
}

fn of_x402(terms: &Terms) -> Value {
    let Terms {
        facilitators,
        chain: _,
        asset,
        asset_name,
        asset_version,
        decimals,
        rate: _,
        rate_text,
        pay_to,
        order,
        method,
        v1,
    } = terms;
    let facilitators: Vec<String> = facilitators.iter().map(Service::origin).collect();
    json!({
        "facilitator": facilitators,
        "network": terms.network(),
        "asset": asset.to_string(),
        "asset_name": asset_name,
        "asset_version": asset_version,
        "decimals": decimals,
        "usd_rate": rate_text,
        "pay_to": pay_to.to_string(),
        "asset_transfer_method": method.name(),
        "settle": order.name(),
        "v1": v1.is_some(),
    })
}

fn of_mpp(terms: &mpp::Terms) -> Value {
    let mpp::Terms { secret: _, realm, is_beside_keys: _ } = terms;
    json!({"realm": realm, "methods": ["evm"]})
}

fn of_route(route: &Route) -> Value {
    let Route {
        name,
        host,
        path,
        methods,
        upstream,
        strip_prefix,
        access,
        cost,
        price,
        offer,
        settle,
        scopes,
        enforce,
        charge_on,
        websocket,
        request_timeout,
    } = route;
    let methods: Option<Vec<&str>> = match methods {
        Methods::Any => None,
        Methods::Only(methods) => Some(methods.iter().map(http::Method::as_str).collect()),
    };
    json!({
        "name": name,
        "host": host,
        "path": path,
        "methods": methods,
        "upstream": upstream.id,
        "strip_prefix": strip_prefix,
        "access": match access {
            Access::Key => "key",
            Access::Payment => "payment",
            Access::Public => "public",
        },
        "cost": cost,
        "price": price,
        // Of what cannot be paid for as it is made it says nothing.
        "settle": offer.as_ref().map(|_| settle.name()),
        "scopes": scopes,
        "enforce": enforce,
        "charge_on": charge_on.ranges(),
        "websocket": match websocket {
            WebSocket::Connection => "connection".to_owned(),
            WebSocket::Message => "message".to_owned(),
            WebSocket::Off => "off".to_owned(),
            WebSocket::Time(time) => duration_text(*time),
        },
        "request_timeout": request_timeout.map_or("none".to_owned(), duration_text),
    })
}

fn of_plan(plan: &Plan) -> Value {
    let Plan {
        id: _,
        title,
        routes,
        quotas,
        rate,
        concurrency,
        trial,
        grace,
        upgrade_url,
        on_sale,
        archived,
        change,
        enforce,
    } = plan;
    json!({
        "title": title,
        "routes": routes,
        "quotas": quotas,
        "rate": rate,
        "concurrency": concurrency,
        "trial": trial.map(duration_text),
        "grace": duration_text(*grace),
        "upgrade_url": upgrade_url,
        "on_sale": on_sale,
        "archived": archived,
        "change": change,
        "enforce": enforce,
    })
}

/// Writes a size in the largest unit that leaves a whole number.
fn size(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let whole = units.iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{bytes}B"), |(name, unit)| format!("{}{name}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Loaded;

    #[test]
    fn every_option_of_the_example_is_described() {
        let text = include_str!("../../config/faregate.toml");
        let loaded = Loaded::parse(text, Path::new("/etc/faregate/faregate.toml"));
        let mut described = describe(&loaded.into_config().unwrap());
        // As many as there are processors.
        described["server"]["workers"].take();
        insta::assert_json_snapshot!(described);
    }

    #[test]
    fn sizes_are_written_in_whole_units() {
        for (bytes, text) in [(0, "0B"), (1000, "1000B"), (32 << 10, "32KiB"), (3 << 30, "3GiB")] {
            assert_eq!(size(bytes), text);
        }
    }
}
