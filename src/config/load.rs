//! Finding and reading the file.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::config::{
    Config, check,
    file::File,
    online,
    report::{Problems, Report, Severity},
};

/// Why no file was read at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// None was named and none stands where one is looked for.
    #[error(
        "there is no configuration: looked for {}; write one there, or name one with --config or \
         FAREGATE_CONFIG",
        listed(looked_for)
    )]
    NotFound {
        /// Where it was looked for.
        looked_for: Vec<PathBuf>,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {cause}; {}", path.display(), what_to_do(cause))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not; the message tells it before what to do, so it is no `source` besides.
        cause: io::Error,
    },
    /// The file is not a text.
    #[error(
        "cannot read the configuration {}: byte {at} is not UTF-8; save the file as UTF-8 text",
        path.display()
    )]
    NotText {
        /// The file.
        path: PathBuf,
        /// The first byte that is wrong, counted from 0.
        at: usize,
    },
}

fn listed(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(" and ")
}

fn what_to_do(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::IsADirectory => "name the file in the directory",
        io::ErrorKind::NotFound => "name another file with --config or FAREGATE_CONFIG",
        io::ErrorKind::PermissionDenied => "let the gateway's user read it",
        _ => "name another file with --config or FAREGATE_CONFIG, or repair this one",
    }
}

/// Where the file is looked for when none is named.
const DEFAULT_PATHS: [&str; 2] = ["./faregate.toml", "/etc/faregate/faregate.toml"];

/// Finds the file: the one that is named, else the first that is there. A named one is not looked
/// for, since taking another in its place would be a surprise.
pub fn find(named: Option<PathBuf>) -> Result<PathBuf, LoadError> {
    named.map_or_else(|| first_of(&DEFAULT_PATHS), Ok)
}

fn first_of(paths: &[&str]) -> Result<PathBuf, LoadError> {
    let found = paths.iter().map(PathBuf::from).find(|path| path.exists());
    found.ok_or_else(|| LoadError::NotFound {
        looked_for: paths.iter().map(PathBuf::from).collect(),
    })
}

/// Reads and checks a file.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    Ok(Loaded::parse(&read(path)?, path))
}

/// Reads and checks a file, and asks those whom it names whether they agree with it.
pub fn load_online(path: &Path) -> Result<Loaded, LoadError> {
    Ok(Loaded::parse_and(&read(path)?, path, online::check))
}

/// Gives the address of the admin listener, also from a file with mistakes: a gateway does not take
/// such a file and goes on with the one before, and how it is must still be asked for.
pub fn admin_listen(path: &Path) -> Result<SocketAddr, LoadError> {
    Ok(check::admin_listen(&File::glance(&read(path)?)))
}

fn read(path: &Path) -> Result<String, LoadError> {
    let bytes =
        fs::read(path).map_err(|cause| LoadError::Unreadable { path: path.to_owned(), cause })?;
    String::from_utf8(bytes).map_err(|error| LoadError::NotText {
        path: path.to_owned(),
        at: error.utf8_error().valid_up_to(),
    })
}

/// A file that was read, with what was found.
#[derive(Debug)]
pub struct Loaded {
    config: Option<Config>,
    report: Report,
}

impl Loaded {
    /// Checks a text as if it stood in a file at `path`: messages name it, and relative paths are
    /// relative to its directory. The secrets that it names are read, the file is not.
    pub fn parse(text: &str, path: &Path) -> Self {
        Self::parse_and(text, path, |_, _, _| ())
    }

    /// Checks a text, and where it is sound in yet another way.
    fn parse_and(
        text: &str,
        path: &Path,
        also: impl FnOnce(&File, &Config, &mut Problems),
    ) -> Self {
        let directory = path.parent().unwrap_or(Path::new(""));
        let mut problems = Problems::default();
        let file = File::parse(text, &mut problems);
        let config = file.as_ref().and_then(|file| check::check(file, directory, &mut problems));
        if let (Some(file), Some(config), false) = (&file, &config, problems.has_errors()) {
            also(file, config, &mut problems);
        }
        let report = problems.into_report(text, path);
        let is_sound = !report.has(Severity::Error);
        debug_assert!(config.is_some() || !is_sound, "a file that cannot be used has a reason");
        Self { config: config.filter(|_| is_sound), report }
    }

    /// Gives what was found.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Gives the configuration if it can be run on: no error, and every secret there. Warnings are
    /// no obstacle; whoever wants to show them asks for the report before.
    pub fn into_config(self) -> Result<Config, Report> {
        let is_complete = !self.report.has(Severity::MissingSecret);
        self.config.filter(|_| is_complete).ok_or(self.report)
    }

    /// Gives the configuration of a gateway that runs elsewhere or as another user: its secrets may
    /// be missing here, and are left out then.
    pub fn into_config_of_another(self) -> Result<Config, Report> {
        self.config.ok_or(self.report)
    }
}
