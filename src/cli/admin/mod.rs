//! Calls to the admin listener of a running gateway.

mod call;
mod client;
mod refusal;
#[cfg(test)]
pub(super) mod scripted;
mod token;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use crate::{
    cli::print::{json_text, out},
    config::{self, Config, Purpose},
};

pub(super) use self::{
    call::{Call, random_key},
    client::{Answer, Client, Watched},
    refusal::CallError,
};

/// Where the admin listener is and how it knows us.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which gateway")]
pub(super) struct Admin {
    /// Address of the admin listener; default: the one in the configuration
    #[arg(long, value_name = "URL")]
    pub(super) admin: Option<String>,
    /// File with the admin token; default: the one in the configuration
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// The configuration that says both; default: ./faregate.toml, then /etc/faregate/faregate.toml
    #[arg(long, env = "FAREGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What every command has that asks a running gateway and shows the answer.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Remote {
    /// Print the gateway's document as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) admin: Admin,
}

impl Remote {
    /// Makes a call and prints its answer: the document itself, or what is made of it for people.
    pub(super) fn show(
        &self,
        call: &Call,
        render: impl FnOnce(&Value) -> String,
    ) -> anyhow::Result<()> {
        let answer = self.admin.client()?.json(call)?;
        match (self.json, &answer) {
            // A deletion has no document.
            (true, Value::Null) => Ok(()),
            (true, document) => out(&json_text(document)),
            (false, document) => out(&render(document)),
        }
    }
}

impl Admin {
    /// Finds address and token, and gets ready to call.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let (file, config) = self.config()?.unzip();
        let authority = self.authority(config.as_ref())?;
        let token = match (&self.token_file, file.zip(config)) {
            (Some(file), _) => token::of_file(file)?,
            (None, Some((file, config))) => token::of_config(&config, &file)?,
            (None, None) => bail!("the admin token is unknown: give --token-file or --config"),
        };
        Client::new(authority, Some(token))
    }

    /// Gets ready for calls that need no token, and so nothing of the configuration but the address:
    /// who asks how a gateway is must not be told that the file was edited badly meanwhile.
    pub(super) fn client_without_token(&self) -> anyhow::Result<Client> {
        let authority = match &self.admin {
            Some(url) => authority_of(url)?,
            None => {
                let file = config::find(self.config.clone())?;
                reachable(config::admin_listen(&file)?).to_string()
            }
        };
        Client::new(authority, None)
    }

    /// Reads the configuration when something is to be learnt from it.
    fn config(&self) -> anyhow::Result<Option<(PathBuf, Config)>> {
        if self.admin.is_some() && (self.token_file.is_some() || self.config.is_none()) {
            return Ok(None);
        }
        let file = config::find(self.config.clone())?;
        match config::load(&file)?.into_config_of_another() {
            Ok(config) => Ok(Some((file, config))),
            Err(report) => bail!("{}; see `faregate check`", report.summary(Purpose::Check)),
        }
    }

    fn authority(&self, config: Option<&Config>) -> anyhow::Result<String> {
        match (&self.admin, config) {
            (Some(url), _) => authority_of(url),
            (None, Some(config)) => Ok(reachable(config.admin.listen).to_string()),
            (None, None) => {
                bail!("the address of the gateway is unknown: give --admin or --config")
            }
        }
    }
}

fn authority_of(url: &str) -> anyhow::Result<String> {
    let rest = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let authority = rest.parse::<http::uri::Authority>().ok();
    let is_whole = |authority: &http::uri::Authority| {
        authority.port_u16().is_some() && !authority.as_str().contains('@')
    };
    match authority.filter(is_whole) {
        Some(authority) => Ok(authority.to_string()),
        None if url.starts_with("https://") => {
            bail!("--admin {url}: the admin listener has no TLS; write it as http://HOST:PORT")
        }
        None => bail!("--admin {url}: write it as http://HOST:PORT"),
    }
}

/// Who listens on every address is reached on this machine's own.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (url, authority) in [
            ("http://127.0.0.1:8403", "127.0.0.1:8403"),
            ("http://gateway:8403/", "gateway:8403"),
            ("[::1]:8403", "[::1]:8403"),
        ] {
            assert_eq!(authority_of(url).unwrap(), authority);
        }
        for wrong in ["", "http://", "gateway", "http://a:1/v1", "http://me@gateway:8403", "a b:1"]
        {
            let error = authority_of(wrong).unwrap_err().to_string();
            assert!(error.contains("http://HOST:PORT"), "{wrong}: {error}");
        }
        assert!(authority_of("https://a:1").unwrap_err().to_string().contains("no TLS"));
        assert_eq!(reachable("0.0.0.0:8403".parse().unwrap()).to_string(), "127.0.0.1:8403");
        assert_eq!(reachable("[::]:8403".parse().unwrap()).to_string(), "[::1]:8403");
        assert_eq!(reachable("10.0.0.1:8403".parse().unwrap()).to_string(), "10.0.0.1:8403");
    }

    #[test]
    fn what_is_missing_is_said() {
        let admin = Admin { admin: Some("http://127.0.0.1:1".to_owned()), ..Admin::default() };
        assert!(admin.client().err().unwrap().to_string().contains("--token-file"));
        assert!(admin.client_without_token().is_ok());
    }
}
