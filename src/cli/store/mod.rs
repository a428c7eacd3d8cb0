//! `faregate store copy`: from one gateway with a file to several with a server.

mod bar;
mod journal;

use std::{
    env, fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use self::{bar::Bar, journal::Kind};
use crate::{
    cli::{
        input::WrongUsage,
        print::{json_text, out, plain},
    },
    store::{self, Copied, Destination, Server, Sqlite, SqliteError},
};

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(super) enum Store {
    /// Copy everything from a file into a database on a PostgreSQL server, and compare both
    Copy(Copy),
}

/// Where the password is that does not stand in the URL, as in the example of the configuration.
const PASSWORD: &str = "FAREGATE_STORE_PASSWORD";

/// The longest file that may hold a password.
const PASSWORD_BYTES_MAX: u64 = 64 * 1024;

/// The arguments of `copy`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    faregate store copy sqlite:faregate.db postgres://faregate@db.example/faregate\n  \
    faregate store copy sqlite:backup.db postgres://faregate@db.example/rehearsal --from-backup\n\n\
    The gateway is stopped for it. What a crash left in its journal is brought into the file first, as a start does.\n\
    The database is one without tables. A copy that was broken off, by whatever, goes on when it is called again;\n\
    until it is done no gateway starts on the database. The file stays as it is.\n\n\
    The password is read from --password-file, or from the variable FAREGATE_STORE_PASSWORD. TLS is spoken and\n\
    verified as with `url` in [store]: \"postgres://…?sslrootcert=ca.pem\".")]
pub(super) struct Copy {
    /// The store of the stopped gateway: sqlite:FILE
    from: String,
    /// Where it goes: postgres://USER@HOST/DATABASE
    to: String,
    /// The gateway's journal directory; default: the file's path with .journal behind it
    #[arg(long, value_name = "DIRECTORY")]
    journal: Option<PathBuf>,
    /// The file is a backup, without the journal that it had; what was open is charged in full
    #[arg(long)]
    from_backup: bool,
    /// A file with the password of the database's user
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Store {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Copy(copy) => copy.run(),
        }
    }
}

impl Copy {
    fn run(self) -> anyhow::Result<()> {
        let Self { from, to, journal, from_backup, password_file, json } = self;
        let file = file(&from, &to)?;
        let server = server(&to, password_file.as_deref())?;
        let to = server.to_string();
        let destination = Destination::find(server)?;
        let journal = journal.unwrap_or_else(|| journal::beside(&file));
        let mut source = open(&file)?;
        let kind = if from_backup { Kind::Backup } else { Kind::Store };
        // Held to the end: a gateway that starts meanwhile is refused.
        let folded = journal::fold(&journal, &file, kind, &mut source)?;
        let mut bar = Bar::default();
        let copied = store::copy(&source, destination, &mut bar);
        bar.end();
        let copied = copied.with_context(|| format!("{} is not moved", file.display()))?;
        if json {
            return out(&json_text(&document(&copied, &to)));
        }
        out(&report(&copied, &file, &to, folded.as_ref().map(|_| journal.as_path())))
    }
}

/// Reads where the store is. Nothing of what was given is repeated: there may be a password in it.
fn file(from: &str, to: &str) -> Result<PathBuf, WrongUsage> {
    let wrong = |message: &str| Err(WrongUsage(message.to_owned()));
    let is_server = |url: &str| url.starts_with("postgres:") || url.starts_with("postgresql:");
    match (from.split_once(':'), is_server(to)) {
        (Some(("sqlite", path)), true) if path.starts_with("//") => wrong(
            "the path of the database is not a URL: write sqlite: and the path, such as sqlite:faregate.db",
        ),
        (Some(("sqlite", "" | ":memory:")), true) => {
            wrong("the database has no path: write it behind sqlite:, such as sqlite:faregate.db")
        }
        (Some(("sqlite", path)), true) => Ok(path.into()),
        _ => wrong(
            "a store is copied from a file to a PostgreSQL server, and in no other direction: \
             faregate store copy sqlite:FILE postgres://USER@HOST/DATABASE",
        ),
    }
}

/// Reads where the store goes.
fn server(url: &str, password_file: Option<&Path>) -> anyhow::Result<Server> {
    let server = Server::parse(url, Path::new("")).map_err(|error| {
        WrongUsage(format!("postgres://USER@HOST/DATABASE: {error}; {}", error.help()))
    })?;
    match password_file {
        Some(_) if server.has_password() => {
            let message = "the password stands in the URL too; leave it out there, where other users of this machine \
                           read it";
            Err(WrongUsage(message.to_owned()).into())
        }
        Some(file) => Ok(server.with_password(&of_file(file)?)),
        None if server.has_password() => Ok(server),
        None => Ok(match env::var(PASSWORD).map(Zeroizing::new) {
            Ok(password) => server.with_password(&password),
            Err(env::VarError::NotPresent) => server,
            Err(env::VarError::NotUnicode(_)) => bail!("the variable {PASSWORD} is not UTF-8"),
        }),
    }
}

fn of_file(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    let mut password = Zeroizing::new(String::new());
    let opened = fs::File::open(file);
    opened
        .and_then(|opened| opened.take(PASSWORD_BYTES_MAX).read_to_string(&mut password))
        .with_context(|| format!("the password file {} cannot be read", file.display()))?;
    let password = Zeroizing::new(password.trim_end_matches(['\r', '\n']).to_owned());
    if password.is_empty() {
        bail!("the password file {} is empty", file.display());
    }
    Ok(password)
}

/// Opens the store as a start does, so that one of an older version is brought up to date.
fn open(file: &Path) -> anyhow::Result<Sqlite> {
    // It would be made.
    match fs::metadata(file) {
        Ok(found) if found.len() == 0 => bail!("{} is empty: it is no store", file.display()),
        Ok(_) => {}
        Err(error) => {
            bail!("{} cannot be read: {error}; name the file of `url` in [store]", file.display())
        }
    }
    Sqlite::open(file).map_err(|error| match error {
        SqliteError::InUse { .. } => anyhow::anyhow!(
            "{} is in use by a gateway; stop that one first, so that nothing is counted behind the copy",
            file.display()
        ),
        other => other.into(),
    })
}

fn document(copied: &Copied, to: &str) -> serde_json::Value {
    let Copied { tables, verified, earlier, was_done } = copied;
    let tables: serde_json::Map<_, _> =
        tables.iter().map(|(name, rows)| ((*name).to_owned(), (*rows).into())).collect();
    json!({
        "to": to,
        "rows": copied.rows(),
        "rows_copied_before": earlier,
        "was_done": was_done,
        "tables": tables,
        "verified": {
            "accounts": verified.accounts, "grants": verified.grants, "entries": verified.entries,
            "differences": verified.differences,
        },
    })
}

/// Says what was done and what is to be done next.
fn report(copied: &Copied, file: &Path, to: &str, journal: Option<&Path>) -> String {
    let (file, to) = (plain(&file.display().to_string()), plain(to));
    if copied.was_done {
        return format!(
            "{file} was copied to {to} before, and has not changed since: nothing was done\n"
        );
    }
    let journal = journal.map_or_else(String::new, |journal| {
        format!(" and `journal = \"{}\"`", plain(&journal.display().to_string()))
    });
    let (rows, tables, verified) = (copied.rows(), copied.tables.len(), copied.verified);
    format!(
        "{file} is copied to {to}: {rows} rows of {tables} tables are the same there, and add up on both sides \
         ({} accounts, {} grants, {} entries)\n\n\
         Next: write the new `url`{journal} into [store], and start the gateway. Keep {file} as it is, and start none \
         on it.\n",
        verified.accounts, verified.grants, verified.entries
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_from_a_file_to_a_server() {
        let to = "postgres://u@h/d";
        assert_eq!(file("sqlite:a b.db", to).unwrap(), PathBuf::from("a b.db"));
        for (from, to) in [
            ("postgres://u:secret@h/d", "sqlite:faregate.db"),
            ("postgres://u:secret@h/d", "postgres://u:secret@h/d"),
            ("sqlite:faregate.db", "sqlite:other.db"),
            ("sqlite:", to),
            ("sqlite://faregate.db", to),
            ("sqlite::memory:", to),
            ("faregate.db", to),
        ] {
            let WrongUsage(told) = file(from, to).unwrap_err();
            assert!(told.contains("sqlite:") && !told.contains("secret"), "{told}");
        }
    }

    #[test]
    fn password_comes_from_a_file_and_stands_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        fs::write(&path, "secret\n").unwrap();
        assert!(server("postgres://u@h/d", Some(&path)).unwrap().has_password());
        let error = server("postgres://u:other@h/d", Some(&path)).unwrap_err();
        assert!(error.is::<WrongUsage>() && !error.to_string().contains("other@"), "{error}");
        fs::write(&path, "\n").unwrap();
        assert!(server("postgres://u@h/d", Some(&path)).unwrap_err().to_string().contains("empty"));
        let missing = server("postgres://u@h/d", Some(&path.with_extension("no"))).unwrap_err();
        assert!(missing.to_string().contains("cannot be read"), "{missing}");
        let error = server("postgres://u:secret@h/d?sslmode=prefer", None).unwrap_err();
        assert!(error.is::<WrongUsage>() && !error.to_string().contains("secret"), "{error}");
    }
}
