//! The admin token, and where it came from: who is refused should know which file or variable to
//! mend.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::{admin::token, config::Config};

/// The longest file that may hold a token.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// A token in the form in which it is sent.
pub(super) struct Token {
    pub(super) field: HeaderValue,
    /// As it stands in a message: "the file …".
    pub(super) origin: String,
}

impl Token {
    fn new(token: &str, origin: String) -> anyhow::Result<Self> {
        if token.is_empty() {
            bail!("the admin token is missing: {origin} is empty");
        }
        let field = HeaderValue::from_str(&Zeroizing::new(format!("Bearer {token}")));
        let Ok(mut field) = field else {
            bail!("the admin token has a line break or a letter beyond ASCII: see {origin}");
        };
        field.set_sensitive(true);
        Ok(Self { field, origin })
    }
}

/// Reads the token that a file holds.
pub(super) fn of_file(file: &Path) -> anyhow::Result<Token> {
    let mut token = Zeroizing::new(String::new());
    let opened = fs::File::open(file);
    opened
        .and_then(|opened| opened.take(TOKEN_BYTES_MAX).read_to_string(&mut token))
        .with_context(|| {
            format!(
                "the admin token {} cannot be read; run this as the gateway's user, or name \
                 another file with --token-file",
                file.display()
            )
        })?;
    Token::new(token.trim(), format!("the file {}", file.display()))
}

/// Finds the token of a configuration: the one that it names, else the one that the gateway made.
pub(super) fn of_config(config: &Config, file: &Path) -> anyhow::Result<Token> {
    match (&config.admin.token, named(file)) {
        (Some(token), place) => {
            let origin = place.unwrap_or_else(|| format!("`admin.token` of {}", file.display()));
            Token::new(token.expose(), origin)
        }
        (None, Some(place)) => {
            bail!("the admin token is missing: {place} gives none here; give --token-file")
        }
        (None, None) => of_file(&token::path(&config.store.journal)),
    }
}

/// Tells where the configuration says that the token is. The checked form has the token alone.
fn named(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let document: toml::Table = text.parse().ok()?;
    let token = document.get("admin")?.get("token")?;
    let variable = token.get("env").and_then(toml::Value::as_str);
    let path = || {
        let path = token.get("file").and_then(toml::Value::as_str)?;
        Some(file.parent().map_or_else(|| PathBuf::from(path), |directory| directory.join(path)))
    };
    variable
        .map(|name| format!("the environment variable {name}"))
        .or_else(|| path().map(|path| format!("the file {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("faregate.toml");
        for (line, origin) in [
            ("token = { env = \"ADMIN_TOKEN\" }", Some("the environment variable ADMIN_TOKEN")),
            ("token = { file = \"/run/token\" }", Some("the file /run/token")),
            ("", None),
        ] {
            fs::write(&file, format!("[admin]\n{line}\n")).unwrap();
            assert_eq!(named(&file).as_deref(), origin);
        }
    }

    #[test]
    fn token_is_sent_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        fs::write(&file, "secret\n").unwrap();
        let token = of_file(&file).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(token.field, "Bearer secret");
        assert!(token.field.is_sensitive());
        for (wrong, word) in [("\n", "is empty"), ("two\nlines", "line break")] {
            fs::write(&file, wrong).unwrap();
            let error = of_file(&file).err().unwrap().to_string();
            assert!(error.contains(word) && error.contains("token"), "{error}");
        }
        let error = of_file(&directory.path().join("none")).err().unwrap();
        assert!(error.to_string().contains("--token-file"), "{error}");
    }
}
