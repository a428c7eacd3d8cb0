//! What ships beside the program: the unit of systemd, the sidecar and the image agree with the program
//! and with one another.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::process::FAREGATE;

/// How much of the machine the unit may reach, in tenths, as `systemd-analyze security` counts it.
const EXPOSURE_MAX: &str = "12";

fn shipped(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(path)).unwrap()
}

/// Gives what stands behind `before`, up to the end of the line or the `until`.
fn after<'t>(text: &'t str, before: &str, until: char) -> &'t str {
    let found = text.split_once(before).unwrap_or_else(|| panic!("no {before:?} in:\n{text}")).1;
    found.split([until, '\n']).next().unwrap().trim()
}

fn seconds(text: &str) -> u64 {
    text.trim_end_matches('s').parse().unwrap()
}

fn systemd_analyze(arguments: &[&str]) -> Output {
    let run = Command::new("systemd-analyze").args(arguments).output();
    run.expect("systemd-analyze is installed, as by scripts/test")
}

/// An unknown key or a value that is not understood is a warning to systemd; here it is a failure.
#[test]
fn unit_is_understood() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("faregate.service");
    let unit = shipped("config/systemd/faregate.service");
    let said = |unit: String| {
        fs::write(&file, unit.replace("/usr/local/bin/faregate", FAREGATE)).unwrap();
        let output = systemd_analyze(&["verify", "--man=no", file.to_str().unwrap()]);
        let said = String::from_utf8(output.stderr).unwrap();
        // Units of the machine that this one depends on may have warnings too.
        let ours = said.lines().filter(|line| line.contains("faregate.service"));
        (output.status.success(), ours.collect::<Vec<_>>().join("\n"))
    };
    assert_eq!(said(unit.clone()), (true, String::new()));
    let (_, told) = said(unit.replace("PrivateTmp=", "PrivatTmp="));
    assert!(told.contains("PrivatTmp"), "a mistake is not told: {told}");
}

#[test]
fn unit_leaves_little_exposed() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/systemd/faregate.service");
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let arguments = ["security", "--offline=true", &threshold, unit.to_str().unwrap()];
    let output = systemd_analyze(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Who stops the gateway waits for longer than the gateway waits for its requests.
#[test]
fn stops_wait_for_the_drain() {
    let drain = |toml: &str| seconds(after(&shipped(toml), "drain_timeout = \"", '"'));
    let unit = shipped("config/systemd/faregate.service");
    let stop = seconds(after(&unit, "TimeoutStopSec=", '\n'));
    assert!(stop >= drain("config/systemd/faregate.toml") + 10, "{stop}");
    let compose = shipped("config/sidecar/compose.yaml");
    let stop = seconds(after(&compose, "stop_grace_period:", '#'));
    assert!(stop >= drain("config/sidecar/faregate/faregate.toml") + 10, "{stop}");
}

/// Whatever is read-only but for some directories must have its files in those.
#[test]
fn files_are_where_they_may_be_written() {
    let unit = shipped("config/systemd/faregate.service");
    assert_eq!(after(&unit, "StateDirectory=", '\n'), "faregate");
    assert_eq!(after(&unit, "LogsDirectory=", '\n'), "faregate");
    let toml = shipped("config/systemd/faregate.toml");
    assert!(toml.contains("url = \"sqlite:/var/lib/faregate/"));
    assert!(after(&toml, "access = \"", '"').starts_with("/var/log/faregate/"));
    let rotated = shipped("config/systemd/logrotate.conf");
    assert!(rotated.contains("/var/log/faregate/*.log {"));
    assert!(rotated.contains("--kill-whom=main faregate.service"));

    let image = shipped("Dockerfile");
    let volume = after(&image, "VOLUME ", '\n');
    let configuration = after(&image, "FAREGATE_CONFIG=", ' ');
    assert_eq!(after(&image, "SQLITE_TMPDIR=", '\n'), volume);
    let toml = shipped("config/sidecar/faregate/faregate.toml");
    assert!(toml.contains(&format!("url = \"sqlite:{volume}/")));
    let compose = shipped("config/sidecar/compose.yaml");
    assert!(compose.contains(&format!("- faregate:{volume}\n")));
    let (directory, file) = configuration.rsplit_once('/').unwrap();
    assert!(compose.contains(&format!("- ./faregate:{directory}:ro\n")));
    assert_eq!(file, "faregate.toml");
    assert_eq!(after(&unit, "FAREGATE_CONFIG=", '\n'), configuration);
}
