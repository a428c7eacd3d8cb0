//! What a panic of the gateway's own prints. The failpoints are armed within the process, so the test
//! runs itself again and reads what that one prints.

use std::process::Command;

use faregate::failpoint::{Point, arm};

use super::{Output, Secret, search};
use crate::support::{
    Gateway, KEY, SMALL, Upstream,
    client::{bearer, head},
};

const MARK: &str = "s3cr3t-of-a-panic-m4rk";

/// Runs into two panics with secrets at hand.
#[test]
fn panicking() {
    let upstream = Upstream::ok();
    let tables = SMALL.replace("name = \"api\"", "name = \"panics-with-secrets\"");
    let tables = format!("{tables}\n[upstreams.api.set_headers]\nx-gate = \"{MARK}\"\n");
    let gateway = Gateway::start(&tables, &upstream);
    for point in [Point::BeforeHead, Point::AfterHead] {
        arm(point, "panics-with-secrets");
        let mut client = gateway.client();
        let path = format!("/x?token={MARK}");
        let length = format!("Content-Length: {}", MARK.len());
        let cookie = format!("Cookie: a={MARK}");
        client.send(head("POST", &path, &[&bearer(KEY), &cookie, &length]) + MARK);
        let answer = client.drain();
        assert!(!String::from_utf8_lossy(&answer).contains(MARK));
    }
}

#[test]
fn panics_tell_no_secret() {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "secrets::panics::panicking", "--nocapture"]);
    let output = again.env("RUST_BACKTRACE", "1").output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&printed).into_owned();
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches("a test armed this failpoint").count(), 2, "{text}");
    let secrets = [Secret::new("mark", MARK), Secret::new("key", KEY)];
    let found = search(&[Output::new("panics", printed)], &secrets);
    assert!(found.is_empty(), "{found:?}: {text}");
}
