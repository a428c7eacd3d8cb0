//! Checks `[store]`.

use std::path::{Path, PathBuf};

use crate::{
    config::{
        Store,
        file::{Field, Spanned, StoreTable},
        report::{Problem, Problems},
        secret::SecretSource,
    },
    model::Durability,
    store::{Database, Server},
};

/// The database where none is named.
const DEFAULT: &str = "faregate.db";

/// Checks the table. The port is the data listener's, if it is known: gateways that share a server's database and
/// a directory are told apart by it.
pub(super) fn check(
    field: &Field<StoreTable>,
    port: Option<u16>,
    directory: &Path,
    problems: &mut Problems,
) -> Store {
    let default = StoreTable::default();
    let StoreTable { url, password, journal, durability, retention: _ } =
        field.value().unwrap_or(&default);
    let database = url.given().and_then(|url| check_url(url, directory, problems));
    let database = database.unwrap_or_else(|| Database::Sqlite(directory.join(DEFAULT)));
    let database = with_password(database, url, password, directory, problems);
    let journal = match journal.given() {
        Some(Spanned { value, span }) => {
            if value.is_empty() {
                let help = "write a directory, or leave it out";
                problems.add(Problem::error(*span, "the path is empty").help(help));
            }
            directory.join(value)
        }
        None => beside(&database, port, directory),
    };
    let durability = durability.value().copied().unwrap_or(Durability::Normal);
    Store { database, journal, durability }
}

/// Gives the directory of the journal where none is named.
fn beside(database: &Database, port: Option<u16>, directory: &Path) -> PathBuf {
    match database {
        Database::Postgres(_) => directory.join(format!("faregate-{}.journal", port.unwrap_or(0))),
        Database::Sqlite(path) => {
            let mut journal = path.clone().into_os_string();
            journal.push(".journal");
            journal.into()
        }
    }
}

fn check_url(url: &Spanned<String>, directory: &Path, problems: &mut Problems) -> Option<Database> {
    const HELP: &str = "write \"sqlite:\" and the path of the database, such as \
                        \"sqlite:faregate.db\", or a URL of PostgreSQL, such as \
                        \"postgres://db.example/faregate\"";
    let Spanned { value: text, span } = url;
    let problem = match text.split_once(':') {
        Some(("postgres" | "postgresql", _)) => {
            // Its user name and password are not repeated, whatever else is wrong.
            problems.conceal(*span);
            return check_server(url, directory, problems);
        }
        Some(("sqlite", path)) if path.starts_with("//") => {
            Problem::error(*span, "the path of the database is not a URL")
        }
        Some(("sqlite", "" | ":memory:")) => {
            Problem::error(*span, "the database has no path; usage must survive a restart")
        }
        Some(("sqlite", path)) => return Some(Database::Sqlite(directory.join(path))),
        // It may be another database's URL, with a password in it.
        _ => Problem::error(*span, "this kind of store is not known").hidden(),
    };
    problems.add(problem.help(HELP));
    None
}

fn check_server(
    url: &Spanned<String>,
    directory: &Path,
    problems: &mut Problems,
) -> Option<Database> {
    let Spanned { value: text, span } = url;
    match Server::parse(text, directory) {
        Ok(server) => Some(Database::Postgres(Box::new(server))),
        Err(error) => {
            problems.add(Problem::error(*span, error.to_string()).help(error.help()).hidden());
            None
        }
    }
}

/// Puts in the password that stands elsewhere.
fn with_password(
    database: Database,
    url: &Field<String>,
    password: &Field<SecretSource>,
    directory: &Path,
    problems: &mut Problems,
) -> Database {
    let Some(Spanned { value: source, span }) = password.given() else { return database };
    match database {
        Database::Sqlite(path) => {
            // Nothing is said twice of a URL that is wrong.
            if url.given().is_none_or(|url| url.value.starts_with("sqlite:")) {
                let message = "a file has no password";
                let help = "leave `password` out, or write a URL of PostgreSQL";
                problems.add(Problem::error(*span, message).help(help));
            }
            Database::Sqlite(path)
        }
        Database::Postgres(server) if server.has_password() => {
            let message = "the password stands in `url` too";
            let help = "leave it out of `url`, where everybody who may read the file reads it";
            problems.add(Problem::error(*span, message).help(help));
            Database::Postgres(server)
        }
        Database::Postgres(server) => {
            Database::Postgres(match source.read(*span, directory, problems) {
                Some(secret) => Box::new(server.with_password(&secret)),
                None => server,
            })
        }
    }
}
