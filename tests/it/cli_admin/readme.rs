//! The walk of the README about customers at run time, as a newcomer pastes it into a shell.

use std::{fs, os::unix::fs::symlink, process::Command};

use crate::process::{CountingUpstream, FAREGATE, Gateway, free_address};

const README: &str = include_str!("../../../README.md");

/// Gives the fenced blocks of a language in a section.
fn blocks(heading: &str, language: &str) -> Vec<&'static str> {
    let (_, section) = README.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let fence = format!("```{language}\n");
    let blocks = section.split(fence.as_str()).skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

/// Gives the statuses that stand as comments behind the calls.
fn promised(script: &str) -> Vec<&str> {
    let comments = script.lines().filter(|line| line.contains("call ") || line.contains("call;"));
    let comments = comments.filter_map(|line| line.split_once(" # "));
    comments.flat_map(|(_, comment)| comment.split_whitespace()).collect()
}

#[test]
fn every_line_does_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = CountingUpstream::start();
    let (address, admin) = (free_address(), free_address());
    let example = blocks("Five minutes with an API of your own", "toml")[0]
        .replace("127.0.0.1:8402", &address.to_string())
        .replace("127.0.0.1:9000", &upstream.address.to_string());
    let file = format!("{example}\n[admin]\nlisten = \"{admin}\"\n");
    fs::write(directory.path().join("faregate.toml"), file).unwrap();
    symlink(FAREGATE, directory.path().join("faregate")).unwrap();
    let gateway = Gateway::start(directory.path(), address, admin);

    let script = blocks("Customers at run time", "sh").concat();
    let statuses = promised(&script);
    assert_eq!(statuses, ["200", "200", "200", "402", "200", "200", "200", "401"]);
    let output = Command::new("bash")
        .args(["-euc", &script.replace("127.0.0.1:8402", &address.to_string())])
        .current_dir(directory.path())
        .env("PATH", format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap()))
        .env_remove("FAREGATE_CONFIG")
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{printed}{said}");
    let is_status = |line: &&str| line.len() == 3 && line.bytes().all(|b| b.is_ascii_digit());
    let given: Vec<&str> = printed.lines().filter(is_status).collect();
    assert_eq!(given, statuses, "{printed}");
    for word in ["2 units given back", "customer.suspend", "globex is deleted", "cancelled at"] {
        assert!(printed.contains(word), "{word:?} is not in: {printed}");
    }
    assert!(gateway.stop());
}
