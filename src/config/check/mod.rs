//! From the configuration as written to the one the program runs on: ranges, references, and what
//! contradicts what.
//!
//! Where a value is wrong, its default stands in, so that the rest is judged as well; the result is
//! only used when there was no error.

mod claim;
mod cors;
mod customers;
mod endpoints;
mod health;
mod host;
mod keys;
mod limits;
mod listeners;
mod mpp;
mod names;
mod networks;
mod number;
mod overlap;
mod path;
mod payments;
mod pem;
mod plans;
mod retention;
mod routes;
mod server;
mod server_limits;
mod statuses;
mod store;
mod tls;
mod traces;
mod upstream_tls;
mod upstreams;
mod url;
mod webhooks;

use std::{net::SocketAddr, path::Path};

use crate::config::{Config, file::File, report::Problems};

/// Gives the address of the admin listener, whatever else the file says.
pub(super) fn admin_listen(file: &File) -> SocketAddr {
    server::admin_listen(&file.admin)
}

/// Checks a whole file. Relative paths in it are relative to `directory`.
pub(super) fn check(file: &File, directory: &Path, problems: &mut Problems) -> Option<Config> {
    let File {
        server,
        admin,
        store,
        log,
        auth,
        cors,
        answers,
        webhooks,
        traces,
        payments,
        upstreams,
        routes,
        plans,
        customers,
    } = file;
    let server_listen = server.value().and_then(|server| server.listen.given());
    let checked = server::check_server(server, admin, directory, problems);
    let admin = server::check_admin(admin, server_listen, directory, problems);
    let server = checked;
    let retention = retention::check(store, problems);
    let port = server.as_ref().map(|server| server.listen.port());
    let store = store::check(store, port, directory, problems);
    let log = server::check_log(log, directory, problems);
    let key_locations = server::check_locations(auth, problems);
    let cors = cors::check(cors, &key_locations, problems);
    let guesses = server::check_guesses(auth, problems);
    let status_by_code = server::check_answers(answers, problems);
    let webhooks = webhooks::check(webhooks, directory, problems);

    let listeners = upstreams::Listeners {
        server: server_listen.map(|listen| listen.value),
        admin: admin.listen,
    };
    let traces = traces::check(traces, &listeners, directory, problems);
    let upstreams = upstreams::check(upstreams, &listeners, directory, problems);
    let is_x402_written = payments.value().is_none_or(|table| !table.x402.is_absent());
    let is_written = !payments.is_absent() && is_x402_written;
    let x402 = payments::check(payments, problems);
    let public_url = server.as_ref().and_then(|server| server.public_url.as_deref());
    let beside = mpp::Beside { key_locations: &key_locations, public_url, directory };
    let mpp = mpp::check(payments, beside, problems);
    let surroundings = routes::Surroundings {
        x402: x402.as_ref(),
        mpp: mpp.as_ref(),
        is_x402_wrong: is_written && x402.is_none(),
        upstreams: &upstreams,
        reserved_prefix: server.as_ref().map(|server| &*server.reserved_prefix),
        request_timeout: server.as_ref().and_then(|server| server.limits.request_timeout),
    };
    let routes = routes::check(routes, &surroundings, problems);
    let plans = plans::check(plans, &routes.names, problems);
    let customers = customers::check(customers, &plans, problems);

    Some(Config {
        server: server?,
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
        upstreams: upstreams.into_iter().filter_map(|upstream| upstream.checked).collect(),
        routes: routes.checked,
        plans: plans.into_iter().map(|plan| plan.checked).collect(),
        customers: customers.checked,
        keys: customers.keys,
    })
}
