//! Secrets: named in the file, read from the environment or from a file of their own.

use std::{env, fs, io::Read as _, path::Path};

use toml::de::DeValue;
use zeroize::Zeroizing;

use crate::config::{
    file::{Field, FromToml, Table, Value, conceal_strings, expected},
    report::{Problem, Problems, Span},
    wording::quote,
};

/// Where a secret is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum SecretSource {
    /// In a variable of the environment.
    Env(String),
    /// In a file; a relative path is relative to the configuration.
    File(String),
}

const FORMS: &str = "write { env = \"NAME\" } or { file = \"/run/secrets/name\" }";

impl FromToml for SecretSource {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        if !matches!(value.toml, DeValue::Table(_)) {
            conceal_strings(value, problems);
            let message = "a secret does not stand in the configuration";
            problems.add(Problem::error(value.span, message).help(FORMS).hidden());
            return None;
        }
        conceal_others(value, problems);
        let mut table = Table::open(value, "a secret", problems)?;
        let env: Field<String> = table.field("env");
        let file: Field<String> = table.field("file");
        table.finish();
        match (env, file) {
            (Field::Given(name), Field::Absent) if is_variable(&name.value) => {
                Some(Self::Env(name.value))
            }
            (Field::Given(name), Field::Absent) => {
                // It may be the secret itself.
                let message = "this is not the name of an environment variable";
                problems.add(Problem::error(name.span, message).help(FORMS).hidden());
                None
            }
            (Field::Absent, Field::Given(path)) => Some(Self::File(path.value)),
            (Field::Wrong, _) | (_, Field::Wrong) => None,
            (Field::Absent, Field::Absent) | (Field::Given(_), Field::Given(_)) => {
                let message = "a secret has either `env` or `file`";
                problems.add(Problem::error(value.span, message).help(FORMS));
                None
            }
        }
    }
}

/// Conceals what stands under another name than the two, which may be the secret itself.
fn conceal_others(value: Value<'_>, problems: &mut Problems) {
    let DeValue::Table(table) = value.toml else { return };
    let others = table.iter().filter(|(key, _)| !["env", "file"].contains(&&**key.get_ref()));
    for (_, value) in others {
        conceal_strings(Value { toml: value.get_ref(), span: value.span().into() }, problems);
    }
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl SecretSource {
    /// Reads the secret, without the line break at its end. What is missing or empty is reported.
    pub(super) fn read(
        &self,
        span: Span,
        directory: &Path,
        problems: &mut Problems,
    ) -> Option<Zeroizing<String>> {
        let (read, place, help) = match self {
            Self::Env(name) => {
                let place = format!("environment variable {}", quote(name));
                (from_environment(name), place, "set it where the gateway runs")
            }
            Self::File(path) => {
                let place = format!("secret file {}", quote(path));
                let help = "write the secret into it, readable for the gateway's user";
                (from_file(&directory.join(path)), place, help)
            }
        };
        let problem = match read {
            Ok(secret) if !secret.is_empty() => return Some(secret),
            Ok(_) => format!("{place} is empty"),
            Err(cause) => format!("{place} {cause}"),
        };
        problems.add(Problem::missing_secret(span, problem).help(help));
        None
    }
}

fn from_environment(name: &str) -> Result<Zeroizing<String>, String> {
    match env::var(name) {
        Ok(secret) => Ok(trim(secret)),
        Err(env::VarError::NotPresent) => Err("is not set".to_owned()),
        // The error would print the value.
        Err(env::VarError::NotUnicode(_)) => Err("is not UTF-8".to_owned()),
    }
}

/// The longest secret; a file beyond it is something else, perhaps without an end.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

fn from_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let mut secret = Zeroizing::new(String::new());
    let file = fs::File::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
    file.take(SECRET_BYTES_MAX + 1)
        .read_to_string(&mut secret)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if secret.len() as u64 > SECRET_BYTES_MAX {
        return Err(format!("is longer than {SECRET_BYTES_MAX} bytes"));
    }
    Ok(trim(std::mem::take(&mut secret)))
}

fn trim(secret: String) -> Zeroizing<String> {
    let mut secret = Zeroizing::new(secret);
    let length = secret.trim_end_matches(['\r', '\n']).len();
    secret.truncate(length);
    secret
}

/// The value of a header field: most are no secret and stand in the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum HeaderSource {
    /// Written in the file.
    Plain(String),
    /// Named in the file.
    Secret(SecretSource),
}

impl FromToml for HeaderSource {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        match value.toml {
            DeValue::String(text) => {
                // Whether it is a secret only its writer knows, so it is not repeated.
                problems.conceal(value.span);
                Some(Self::Plain(text.clone().into_owned()))
            }
            DeValue::Table(_) => SecretSource::from_toml(value, problems).map(Self::Secret),
            _ => {
                conceal_strings(value, problems);
                expected(value, "a string or a secret", problems);
                None
            }
        }
    }
}
