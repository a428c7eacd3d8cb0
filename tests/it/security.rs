//! `SECURITY.md` names a test for each pitfall: each of them must be there.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lists the sources below a directory.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// Gives the module that a source is, as names of tests have it.
fn module(path: &Path, root: &Path) -> String {
    let path = path.strip_prefix(root).unwrap().with_extension("");
    let text = path.to_str().unwrap().replace('/', "::");
    text.strip_suffix("::mod").unwrap_or(&text).to_owned()
}

#[test]
fn tests_that_are_named_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let named: Vec<&str> =
        text.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
    assert!(named.len() > 60, "{}", named.len());
    let mut known = Vec::new();
    for directory in [root.join("src"), root.join("tests/it")] {
        for path in sources(&directory) {
            known.push((module(&path, &directory), fs::read_to_string(&path).unwrap_or_default()));
        }
    }
    for name in named {
        let (place, function) = name.rsplit_once("::").unwrap();
        let is_it = |(module, text): &&(String, String)| {
            let is_there = place == module || place.strip_suffix("::tests") == Some(module);
            is_there && text.contains(&format!("fn {function}("))
        };
        assert!(known.iter().find(is_it).is_some(), "there is no test {name}");
    }
}

#[test]
fn no_pitfall_is_left_out() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("SECURITY.md")).unwrap();
    let ids = |letter: char, last: u32| (1..=last).map(move |number| format!("{letter}{number}"));
    let all = [
        ('A', 14),
        ('B', 9),
        ('C', 8),
        ('D', 6),
        ('E', 10),
        ('F', 7),
        ('G', 12),
        ('H', 13),
        ('I', 5),
        ('J', 5),
        ('K', 6),
        ('L', 3),
        ('M', 3),
        ('N', 8),
        ('O', 4),
        ('P', 5),
        ('Q', 6),
    ];
    for id in all.into_iter().flat_map(|(letter, last)| ids(letter, last)) {
        let is_row = |line: &str| {
            let first = line.strip_prefix("| ").and_then(|rest| rest.split(" |").next());
            first.is_some_and(|first| first.split(", ").any(|named| named == id))
        };
        assert!(text.lines().any(is_row), "{id}");
    }
}
