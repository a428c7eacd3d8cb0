//! The demo as a newcomer meets it: every line that it prints, run by a shell, gives what it says.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::process::FAREGATE;

/// A demo that runs, with what it printed. It is ended when dropped.
struct Demo {
    child: Child,
    /// Each command with what is said to come of it.
    steps: Vec<(String, String)>,
}

impl Demo {
    fn start(state: &std::path::Path) -> Self {
        let mut child = Command::new(FAREGATE)
            .args(["demo", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--state"])
            .arg(state)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut steps = Vec::new();
        for line in lines.by_ref() {
            if line.starts_with("Decisions") {
                break;
            }
            if let Some(expected) = line.strip_prefix("# ") {
                steps.push((expected.to_owned(), String::new()));
            } else if let Some((_, command)) = steps.last_mut().filter(|(_, c)| c.is_empty()) {
                *command = line;
            }
        }
        // The decisions go on to be printed, so somebody must read them.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, steps }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a line as a person would and gives what it printed.
fn shell(command: &str) -> String {
    let output = Command::new("bash").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Finds the statuses in what curl printed.
fn statuses(printed: &str) -> Vec<&str> {
    let status = |line: &'_ str| -> Option<usize> {
        if line.starts_with("HTTP/1.1 ") { Some(9) } else { (line.trim().len() == 3).then_some(0) }
    };
    let found = printed.lines().filter_map(|line| status(line).map(|at| &line[at..at + 3]));
    found.collect()
}

#[test]
fn every_printed_line_gives_what_it_says() {
    let state = tempfile::tempdir().unwrap();
    let demo = Demo::start(&state.path().join("demo"));
    let mut seen = Vec::new();
    for (expected, command) in &demo.steps {
        let printed = shell(command);
        let (wanted, _) = expected.split_once(':').unwrap_or((expected, ""));
        let words: Vec<&str> = wanted.split(' ').collect();
        let is_status = |word: &&&str| word.len() == 3 && word.bytes().all(|b| b.is_ascii_digit());
        let wanted: Vec<&str> = words.iter().filter(is_status).copied().collect();
        assert_eq!(statuses(&printed), wanted, "{expected}\n{command}\n{printed}");
        // Behind a single status may stand the code of a refusal.
        if let [_, code] = words[..]
            && wanted.len() == 1
        {
            let code = format!("\"code\":\"{code}\"");
            assert!(printed.contains(&code), "{expected}\n{command}\n{printed}");
        }
        if wanted.is_empty() {
            assert!(printed.contains("monthly"), "{expected}\n{command}\n{printed}");
        }
        seen.extend(wanted.iter().map(|status| (*status).to_owned()));
    }
    for status in ["200", "401", "402", "403", "429", "503"] {
        assert!(seen.iter().any(|s| s == status), "{status} is not shown");
    }
}

#[test]
fn kept_state_goes_on_where_it_was() {
    let state = tempfile::tempdir().unwrap();
    let used_up = |demo: &Demo| {
        let found =
            demo.steps.iter().find(|(expected, _)| expected.starts_with("402 quota_exceeded"));
        found.unwrap().1.clone()
    };
    let first = Demo::start(state.path());
    let calls = first.steps.iter().find(|(expected, _)| expected.starts_with("200 200")).unwrap();
    assert_eq!(statuses(&shell(&calls.1)), ["200"; 5]);
    let id = first.child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
    let mut first = first;
    assert!(first.child.wait().unwrap().success(), "a demo ends well by SIGTERM");

    let second = Demo::start(state.path());
    assert!(!second.steps.iter().any(|(expected, _)| expected.starts_with("200 200")));
    assert_eq!(statuses(&shell(&used_up(&second))), ["402"]);
}

/// To pay, a wallet and a chain are needed, which are not in the program.
#[test]
fn what_paying_needs_is_told_where_it_is_missing() {
    let output = Command::new(FAREGATE).args(["demo", "--pay"]).env("PATH", "/none").output();
    let output = output.unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("`node` is missing, which --pay needs"), "{said}");
}
