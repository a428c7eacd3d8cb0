mod cors;
mod damage;
mod payments;
mod reports;
mod secrets;
mod traces;
mod upstreams;
mod values;
mod webhooks;

use std::path::{Path, PathBuf};

use super::*;

const PATH: &str = "faregate.toml";

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

/// Adds what a file cannot do without, behind the text, so that the lines of the text stay.
fn complete(text: &str) -> String {
    let mut text = text.trim_start().to_owned();
    for (header, rest) in [
        ("[server", "]\nlisten = \"127.0.0.1:8402\""),
        ("[upstreams.api", "]\nurl = \"http://127.0.0.1:9000\""),
        ("[[routes", "]]\npath = \"/{*path}\"\nupstream = \"api\""),
    ] {
        if !text.contains(header) {
            text.push_str(&format!("\n{header}{rest}\n"));
        }
    }
    text
}

fn parse(text: &str) -> Loaded {
    Loaded::parse(&complete(text), Path::new(PATH))
}

fn config(text: &str) -> Config {
    parse(text).into_config().unwrap_or_else(|report| panic!("{}", show(&report)))
}

fn show(report: &Report) -> String {
    report.render(Purpose::Run, Colour::Plain) + &report.summary(Purpose::Run)
}

fn report(text: &str) -> String {
    show(parse(text).report())
}

/// The TOML files of a directory and of those in it.
fn examples_in(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let mut examples: Vec<_> = directories.iter().flat_map(|within| examples_in(within)).collect();
    examples.extend(files.into_iter().filter(|file| file.extension() == Some("toml".as_ref())));
    examples
}

#[test]
fn examples_have_no_problems() {
    for name in ["faregate.toml", "minimal.toml"] {
        load(&example(name)).unwrap().into_config().unwrap();
    }
    let examples = examples_in(&example(""));
    assert!(examples.len() >= 4, "{examples:?}");
    for file in examples {
        let loaded = load(&file).unwrap();
        // The secrets are where the example will run.
        let is_mistake = |problem: &&Problem| problem.severity != Severity::MissingSecret;
        assert_eq!(loaded.report().problems().iter().find(is_mistake), None, "{}", file.display());
        loaded.into_config_of_another().unwrap();
    }
}

/// Each line of the example that is marked "later" is told apart from a mistake.
#[test]
fn later_options_are_not_available() {
    let text = std::fs::read_to_string(example("faregate.toml")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut tried = 0;
    for (at, line) in lines.iter().enumerate() {
        let Some(option) = line.strip_prefix("# ").filter(|_| line.ends_with("# later")) else {
            continue;
        };
        if !option.starts_with('[') && !option.contains('=') {
            continue;
        }
        let mut lines = lines.clone();
        lines[at] = option;
        let loaded = Loaded::parse(&lines.join("\n"), Path::new(PATH));
        let report = loaded.report();
        let [problem] = report.problems() else { panic!("{option}\n{}", show(report)) };
        assert!(problem.message.ends_with("is not available in this version"), "{option}");
        assert_eq!(report.position(problem).0, at + 1);
        tried += 1;
    }
    assert!(tried >= 1, "{tried}");
}

#[test]
fn missing_secret_is_a_warning_to_check_and_an_error_to_run() {
    let loaded = parse("[admin]\ntoken = { env = \"FAREGATE_SURELY_NOT_SET\" }");
    let report = loaded.report();
    assert!(report.has(Severity::MissingSecret) && !report.has(Severity::Error));
    assert_eq!(report.summary(Purpose::Check), "faregate.toml: 1 warning");
    assert!(report.render(Purpose::Check, Colour::Plain).starts_with("warning: environment"));
    assert_eq!(report.summary(Purpose::Run), "faregate.toml: 1 error");
    assert!(report.render(Purpose::Run, Colour::Plain).starts_with("error: environment"));
    assert!(loaded.into_config().is_err());
}

#[test]
fn warnings_alone_give_a_configuration() {
    let loaded = parse("[server]\nlisten = \"0.0.0.0:8402\"");
    assert!(loaded.report().has(Severity::Warning));
    assert!(loaded.into_config().is_ok());
}

#[test]
fn find_takes_the_named_file() {
    let named = PathBuf::from("/surely/not/there.toml");
    assert_eq!(find(Some(named.clone())).unwrap(), named);
    let error = load(&named).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot read the configuration /surely/not/there.toml: No such file or directory (os error \
         2); name another file with --config or FAREGATE_CONFIG"
    );
}

#[test]
fn load_refuses_what_is_no_text() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("faregate.toml");
    std::fs::write(&path, b"[server]\n\xff").unwrap();
    let error = load(&path).unwrap_err().to_string();
    assert!(error.ends_with("byte 9 is not UTF-8; save the file as UTF-8 text"), "{error}");
    let error = load(directory.path()).unwrap_err().to_string();
    assert!(error.ends_with("name the file in the directory"), "{error}");
}
