//! `faregate demo`: a sample paid API, the gateway before it, and the lines that show what it does.
//!
//! The gateway is the ordinary one: it is started with a configuration that is made here and written
//! beside its database, and nothing in it knows that it is a demo.

mod config;
mod guide;
mod pay;
mod state;
mod statistics;
mod upstream;

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::Args;

use crate::{
    cli::run,
    cli::signals::Signals,
    clock::Clock,
    config::{Colour, Loaded, Purpose},
    process::{self, Options, Running, StartError},
    telemetry::access_log::TEXT_HEADING,
};

use self::{guide::Guide, pay::Programs, state::State, upstream::Sample};

/// The arguments.
#[derive(Args, Debug)]
pub(super) struct Demo {
    /// Keep keys, usage and configuration in this directory, and go on with them the next time;
    /// default: a temporary directory, removed at the end
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Address of the gateway
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8402")]
    listen: SocketAddr,
    /// Address of its admin listener
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8403")]
    admin_listen: SocketAddr,
    /// Also show a call that is paid for as it is made, with a chain and a wallet of its own; needs Node.js
    #[arg(long)]
    pay: bool,
}

impl Demo {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { state, listen, admin_listen, pay } = self;
        // Before a signal is waited for, so that one breaks it off: it may take minutes.
        let programs = pay.then(Programs::install).transpose()?;
        // First, so that from here on a signal ends the demo in order and no directory is left.
        let mut signals = Signals::install()?;
        let chain = programs.map(Programs::start).transpose()?;
        let state = State::open(state)?;
        let keys = state.keys()?;
        let sample = Sample::start().context("the sample API cannot be started")?;
        let addresses = config::Addresses { listen, admin_listen, sample: sample.address() };
        let payments = chain.as_ref().map(|chain| config::payments(chain.url(), chain.terms()));
        let text = config::text(&addresses, &keys) + &payments.unwrap_or_default();
        let file = state.config_file();
        let running = start(&text, &file)?;
        // Only now: the file beside a demo that runs is never overwritten by one that fails to.
        state.write_config(&text)?;
        let guide = Guide {
            url: url(running.address()),
            admin_url: url(running.admin_address()),
            sample_url: url(sample.address()),
            units_left: units_left(&running),
            is_temporary: state.is_temporary(),
            admin_by_config: admin_listen.port() != 0,
            program: std::env::current_exe().unwrap_or_else(|_| "faregate".into()),
            token_file: crate::admin::token::path(&state.journal()),
            file,
            keys,
        };
        if let Some(chain) = &chain {
            let (told, payer) = chain.pay(&guide.url)?;
            let ledger = guide.operator(&format!("ledger {payer}"));
            print(&format!("\n{told}What the ledger says of it:\n{ledger}\n\n"))?;
        }
        print(&format!("{}\n{TEXT_HEADING}\n", guide.text()))?;
        signals.wait(&running);
        signals.cut_by_the_next(running.cutter());
        running.stop();
        sample.stop();
        Ok(())
    }
}

/// Checks the text as if it stood in the file, and starts a gateway with it.
fn start(text: &str, file: &Path) -> anyhow::Result<Running> {
    let loaded = Loaded::parse(text, file);
    let config = loaded
        .into_config()
        .map_err(|report| anyhow!("{}", report.render(Purpose::Run, Colour::Plain).trim_end()))?;
    let level = run::log_to_stderr(&config.log);
    let options =
        Options { file: Some(file.to_owned()), level: Some(level), clock: Clock::system() };
    process::start(&config, options).map_err(|error| match error {
        StartError::Listen { key, address, source } => {
            let option = if key == "admin.listen" { "--admin-listen" } else { "--listen" };
            anyhow!(
                "cannot listen on {address}: {source}; name another address with {option}, \
                 such as {option} 127.0.0.1:0"
            )
        }
        error => error.into(),
    })
}

/// Tells how many units the customer that runs out has left. A demo that goes on with its state may
/// find none, and then says so instead of promising answers that will not come.
fn units_left(running: &Running) -> u64 {
    let gateway = running.gateway();
    let snapshot = gateway.snapshot();
    let lookup = gateway.lookup(&snapshot, gateway.clock().now());
    let Some(customer) = lookup.customer(config::SMALL) else { return 0 };
    let accounts = gateway.ledger().customer(&customer.id);
    let standing = accounts.standing(&customer.limits, gateway.clock().now());
    let quotas = standing.quotas.iter().zip(&customer.limits.quotas);
    quotas.map(|(state, quota)| state.remaining(quota.limit)).min().unwrap_or(0)
}

/// Gives the URL under which this machine reaches a listener.
fn url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

/// Prints without the panic that `println!` makes of a closed pipe.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot print")
}
