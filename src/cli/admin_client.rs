//! Calls to the admin listener of a running gateway.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{
    config::{self, Config, Purpose},
    process::token_path,
};

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where the admin listener is and how it knows us.
#[derive(Args, Clone, Debug)]
pub(super) struct Admin {
    /// Address of the admin listener; default: the one in the configuration
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// File with the admin token; default: the one in the configuration
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The configuration that says both
    #[arg(long, env = "FAREGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Admin {
    /// Asks for a path and gives status and body.
    pub(super) fn get(&self, path: &str, with_token: bool) -> anyhow::Result<(StatusCode, Bytes)> {
        let config = self.config()?;
        let authority = self.authority(config.as_ref())?;
        let mut request = Request::get(path).header(header::HOST, &authority);
        if with_token {
            let token = self.token(config.as_ref())?;
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Empty::new())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let called = tokio::time::timeout(TIMEOUT, call(&authority, request)).await;
            called.with_context(|| format!("no answer from the gateway at {authority}"))?
        })
    }

    /// Reads the configuration when something is to be learnt from it.
    fn config(&self) -> anyhow::Result<Option<Config>> {
        if self.config.is_none() && self.admin.is_some() {
            return Ok(None);
        }
        let file = config::find(self.config.clone())?;
        match config::load(&file)?.into_config_of_another() {
            Ok(config) => Ok(Some(config)),
            Err(report) => bail!("{}; see `faregate check`", report.summary(Purpose::Check)),
        }
    }

    fn authority(&self, config: Option<&Config>) -> anyhow::Result<String> {
        if let Some(url) = &self.admin {
            let rest = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
            if rest.is_empty() || rest.contains('/') {
                bail!("--admin {url}: write it as http://HOST:PORT");
            }
            return Ok(rest.to_owned());
        }
        let listen = config.map(|config| config.admin.listen).context("--admin is missing")?;
        // Who listens on every address is reached on this machine's own.
        let ip = match listen.ip() {
            ip if !ip.is_unspecified() => ip,
            std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        Ok(SocketAddr::new(ip, listen.port()).to_string())
    }

    fn token(&self, config: Option<&Config>) -> anyhow::Result<String> {
        let file = match (&self.token_file, config) {
            (Some(file), _) => file.clone(),
            (None, Some(config)) => match &config.admin.token {
                Some(token) => return Ok(token.expose().to_owned()),
                None => token_path(&config.store.journal),
            },
            (None, None) => bail!("the admin token is unknown: give --token-file or --config"),
        };
        let token = fs::read_to_string(&file)
            .with_context(|| format!("the admin token {} cannot be read", file.display()))?;
        Ok(token.trim().to_owned())
    }
}

async fn call(
    authority: &str,
    request: Request<Empty<Bytes>>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(authority)
        .await
        .with_context(|| format!("no gateway answers at {authority}; is it running?"))?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(driver);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    driver.abort();
    Ok((status, body))
}
