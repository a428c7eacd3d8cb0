use std::path::{Path, PathBuf};

use super::*;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

#[test]
fn examples_have_no_problems() {
    for name in ["faregate.toml", "minimal.toml"] {
        let loaded = load(&example(name)).unwrap();
        assert_eq!(loaded.report().render(Purpose::Run, Colour::Plain), "", "{name}");
        loaded.into_config().unwrap();
    }
}
