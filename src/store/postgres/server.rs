//! Which server, and how it is reached: the URL of the store.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio_postgres::config::{Config, Host, SslMode, TargetSessionAttrs};

/// A database on a server.
#[derive(Clone, Eq, PartialEq)]
pub struct Server {
    config: Config,
    trust: Option<Trust>,
}

/// Who vouches for the server where TLS is spoken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trust {
    /// The certificates in this file.
    File(PathBuf),
    /// The system.
    System,
}

/// What is wrong with a URL. It does not repeat it: there may be a password in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UrlError {
    /// Of another form.
    #[error("this is not the URL of a PostgreSQL database")]
    Form,
    /// No host.
    #[error("the URL names no host")]
    Host,
    /// No database.
    #[error("the URL names no database")]
    Name,
    /// An `sslmode` that says nothing of who is on the other side.
    #[error("this `sslmode` would speak to anybody who answers")]
    Trust,
    /// An `sslmode` that nobody knows.
    #[error("this `sslmode` is not known")]
    Mode,
    /// Certificates for a connection without TLS.
    #[error("`sslrootcert` means nothing where no TLS is spoken")]
    Certificates,
}

impl UrlError {
    /// Says what to write instead.
    pub fn help(self) -> &'static str {
        match self {
            Self::Certificates => "leave it out, or write `sslmode=verify-full`",
            Self::Form | Self::Host | Self::Name => {
                "write it as for `psql`, with user, host and database; special characters are written as in \
                 other URLs (`%40` for `@`)"
            }
            Self::Mode | Self::Trust => {
                "write `sslmode=verify-full`, which is the default but for servers on this \
                 machine, with `sslrootcert=FILE` where the system does not know the CA; or \
                 `sslmode=disable`"
            }
        }
    }
}

/// How long a connection may take to be made, for each address.
const CONNECT: Duration = Duration::from_secs(5);

/// How long nobody answers on the network before a connection is given up.
const UNANSWERED: Duration = Duration::from_secs(15);

impl Server {
    /// Reads a URL; a relative file of certificates is in the directory.
    pub fn parse(url: &str, directory: &Path) -> Result<Self, UrlError> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut certificates, mut rest) = (None, None, String::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => certificates = Some(decoded(value)?),
                _ => {
                    rest.push(if rest.is_empty() { '?' } else { '&' });
                    rest.push_str(parameter);
                }
            }
        }
        let config: Config = format!("{address}{rest}").parse().map_err(|_| UrlError::Form)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(UrlError::Host);
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err(UrlError::Name);
        }
        let is_secured = match mode {
            None => !is_local(&config),
            Some("disable") => false,
            // Who asks for more than TLS gets all of it.
            Some("require" | "verify-ca" | "verify-full") => true,
            Some("allow" | "prefer") => return Err(UrlError::Trust),
            Some(_) => return Err(UrlError::Mode),
        };
        let trust = match certificates {
            Some(_) if !is_secured => return Err(UrlError::Certificates),
            Some(file) => Some(Trust::File(directory.join(file))),
            None => is_secured.then_some(Trust::System),
        };
        Ok(Self { config: completed(config, is_secured), trust })
    }

    /// Tells whether the URL has a password.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Gives the password, which did not stand in the URL.
    pub fn with_password(mut self, password: &str) -> Self {
        self.config.password(password);
        self
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Gives who vouches for it; `None` where no TLS is spoken.
    pub fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }
}

/// Sets what the URL does not say.
fn completed(mut config: Config, is_secured: bool) -> Config {
    config.ssl_mode(if is_secured { SslMode::Require } else { SslMode::Disable });
    // Of several, and after a failover, the one that takes what is written.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(UNANSWERED);
    }
    if config.get_application_name().is_none() {
        config.application_name("faregate");
    }
    config
}

/// Undoes the percent encoding of a value, as is done with those of other parameters.
fn decoded(value: &str) -> Result<String, UrlError> {
    let url = format!("postgres://host/name?application_name={value}");
    let config: Config = url.parse().map_err(|_| UrlError::Form)?;
    config.get_application_name().map(str::to_owned).ok_or(UrlError::Form)
}

/// Tells whether nothing leaves the machine.
fn is_local(config: &Config) -> bool {
    let is_local = |host: &Host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
        Host::Unix(_) => true,
    };
    config.get_hosts().iter().all(is_local)
        && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

/// The server and the database, as an error names them: without user and password.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = self.config.get_ports();
        for (at, host) in self.config.get_hosts().iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) if name.contains(':') => write!(f, "{comma}[{name}]:{port}")?,
                Host::Tcp(name) => write!(f, "{comma}{name}:{port}")?,
                Host::Unix(path) => write!(f, "{comma}{}:{port}", path.display())?,
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("server", &format_args!("{self}"))
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Server, UrlError> {
        Server::parse(url, Path::new("/etc/faregate"))
    }

    #[test]
    fn the_server_is_named_without_user_and_password() {
        for (url, name) in [
            ("postgres://u:secret@db.example/books", "db.example:5432/books"),
            ("postgresql://u:secret@[::1]:99/books", "[::1]:99/books"),
            ("postgres://a:1,b:2/books?user=u&password=secret", "a:1,b:2/books"),
            ("postgres://u:secret@%2Frun%2Fpg/books", "/run/pg:5432/books"),
        ] {
            let server = parse(url).unwrap();
            assert_eq!(server.to_string(), name);
            assert!(server.has_password());
            assert!(!format!("{server:?}").contains("secret"), "{server:?}");
        }
        let server = parse("postgres://u@h/d").unwrap();
        assert!(!server.has_password());
        assert!(server.with_password("secret").has_password());
    }

    #[test]
    fn tls_is_spoken_unless_nothing_leaves_the_machine_or_it_is_switched_off() {
        let trust = |url: &str| parse(url).unwrap().trust().cloned();
        assert_eq!(trust("postgres://db/d"), Some(Trust::System));
        assert_eq!(trust("postgres://db/d?sslmode=require"), Some(Trust::System));
        let file = Some(Trust::File("/etc/faregate/my ca.pem".into()));
        assert_eq!(trust("postgres://db/d?sslmode=verify-full&sslrootcert=my%20ca.pem"), file);
        for url in [
            "postgres://db/d?sslmode=disable",
            "postgres://localhost/d",
            "postgres://127.0.0.2/d",
            "postgres://[::1]/d",
            "postgres://%2Frun/d",
        ] {
            assert_eq!(trust(url), None, "{url}");
        }
        // One of two is elsewhere.
        assert_eq!(trust("postgres://localhost,db/d"), Some(Trust::System));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (url, error) in [
            ("postgres://db:port/d", UrlError::Form),
            ("postgres://db/d?no_such_option=1", UrlError::Form),
            ("postgres:///d", UrlError::Host),
            ("postgres://db", UrlError::Name),
            ("postgres://db/", UrlError::Name),
            ("postgres://db/d?sslmode=prefer", UrlError::Trust),
            ("postgres://db/d?sslmode=sometimes", UrlError::Mode),
            ("postgres://localhost/d?sslrootcert=ca.pem", UrlError::Certificates),
        ] {
            assert_eq!(parse(url).unwrap_err(), error, "{url}");
        }
    }
}
