//! The committed inputs of the targets hold, and each target has its program and its inputs.

use std::{fs, path::Path};

use super::*;

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

/// Gives the names in a folder, sorted, without what stands behind their dot.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> =
        entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn committed_inputs_hold() {
    for (name, target) in TARGETS {
        let (mut count, folder) = (0, folder("seeds").join(name));
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}")) {
            let path = entry.unwrap().path();
            let data = fs::read(&path).unwrap();
            let outcome = std::panic::catch_unwind(|| target(&data));
            assert!(outcome.is_ok(), "{path:?}");
            count += 1;
        }
        assert!(count >= 3, "{name} has {count} inputs");
    }
}

#[test]
fn targets_have_programs_and_inputs() {
    let targets = TARGETS.map(|(name, _)| name.to_owned());
    assert!(targets.is_sorted());
    assert_eq!(names(&folder("seeds")), targets);
    assert_eq!(names(&folder("targets")), targets);
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    for name in &targets {
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"targets/{name}.rs\"\n")));
    }
}
