//! `faregate top`: off a terminal, and on one that `script` makes.

use std::{
    fs,
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use serde_json::Value;

use super::Shop;
use crate::{process::FAREGATE, support::wait_for};

/// Keeps calling the API while something else is done.
fn busy<T>(shop: &Shop, key: &str, work: impl FnOnce() -> T) -> T {
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                shop.call(key);
            }
        });
        let done = work();
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        done
    })
}

fn open() -> (Shop, String) {
    let shop = Shop::open();
    shop.done(&["customer", "create", "acme", "--plan", "pro"]);
    let (_, key) = shop.key(&["create", "acme"]);
    (shop, key)
}

#[test]
fn one_picture_is_printed_where_there_is_no_terminal() {
    let (shop, key) = open();
    let picture = busy(&shop, &key, || shop.done(&["top"]));
    for word in [
        "faregate 0.1.0 at 127.0.0.1:",
        "customers, last",
        "acme",
        "402 quota_exceeded",
        "quotas near their end",
        "yearly",
        "calls",
        "p95 ~",
        "api",
    ] {
        assert!(picture.contains(word), "{word:?} is not in: {picture}");
    }
    assert!(!picture.contains('\u{1b}'), "{picture}");
}

#[test]
fn figures_are_printed_as_json() {
    let (shop, key) = open();
    let figures = busy(&shop, &key, || shop.json(&["top", "--once", "--interval", "1500ms"]));
    let number = |value: &Value| value.as_f64().unwrap();
    assert!((1.4..5.0).contains(&number(&figures["seconds"])), "{figures}");
    let all = &figures["rates"];
    // Ten of these are within the quota, the rest is refused.
    assert!(number(&all["requests"]) > 10.0, "{figures}");
    assert!(number(&all["refused"]) > number(&all["requests"]) / 2.0, "{figures}");
    assert_eq!(figures["customers"][0]["customer"], "acme");
    assert!(number(&figures["customers"][0]["requests"]) > 10.0, "{figures}");
    let quota = &figures["quotas"][0];
    assert_eq!((&quota["limit"], &quota["remaining"]), (&10.into(), &0.into()));
    let p50 = number(&figures["whole"]["p50"]["seconds"]);
    assert!(p50 > 0.0 && p50 < 1.0, "{figures}");
}

#[test]
fn who_may_not_or_finds_nobody_is_told_so() {
    let mut shop = Shop::open();
    fs::write(shop.path("wrong"), "wrong\n").unwrap();
    let wrong = shop.path("wrong").to_str().unwrap().to_owned();
    shop.refused(
        &["top", "--token-file", &wrong],
        &format!(
            "faregate: the gateway refuses the admin token from the file {wrong}; give the right \
             one with --token-file"
        ),
    );
    assert_eq!(shop.run(&["top", "--interval", "1h"]).status.code(), Some(2));
    shop.close();
    let output = shop.run(&["top"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with("faregate: no gateway answers at"), "{said}");
}

/// A terminal of 80 columns and 24 rows with the program in it.
struct Terminal {
    script: Child,
    seen: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

/// What a terminal is told to show another page, and to leave it again.
const ENTERED: &str = "\u{1b}[?1049h";
const LEFT: &str = "\u{1b}[?1049l";

impl Terminal {
    fn open(shop: &Shop) -> Self {
        let within = format!(
            "stty rows 24 cols 80; before=$(stty -g); \
             sh -c 'echo $$ > {pid}; exec {FAREGATE} top --config {config}'; echo \"code $?\"; \
             [ \"$before\" = \"$(stty -g)\" ] && echo as before",
            pid = shop.path("pid").display(),
            config = shop.path("faregate.toml").display(),
        );
        let mut script = Command::new("script")
            .args(["-qec", &within, "/dev/null"])
            .env_remove("FAREGATE_CONFIG")
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let seen = Arc::new(Mutex::new(String::new()));
        let (mut output, read) = (script.stdout.take().unwrap(), Arc::clone(&seen));
        let reading = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                read.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { script, seen, reading: Some(reading) }
    }

    fn seen(&self) -> String {
        self.seen.lock().unwrap().clone()
    }

    fn wait(&self, word: &str) {
        wait_for(word, || self.seen().contains(word).then_some(()));
    }

    fn press(&mut self, keys: &str) {
        let input = self.script.stdin.as_mut().unwrap();
        input.write_all(keys.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    /// Waits for the end of the program and tells what was seen.
    fn end(mut self) -> String {
        self.wait("code ");
        wait_for("the end of the terminal", || self.script.try_wait().unwrap());
        self.reading.take().unwrap().join().unwrap();
        self.seen()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

/// Asserts that the terminal is as it was: its page, its cursor, its modes.
fn assert_restored(seen: &str, code: &str) {
    let (_, after) = seen.rsplit_once(LEFT).unwrap_or_else(|| panic!("not left: {seen:?}"));
    assert!(!after.contains(ENTERED), "{after:?}");
    assert!(seen.rfind("\u{1b}[?25h") > seen.rfind("\u{1b}[?25l"), "no cursor: {seen:?}");
    assert!(after.contains(&format!("code {code}")), "{after:?}");
    assert!(after.contains("as before"), "{after:?}");
}

#[test]
fn terminal_is_left_as_it_was() {
    let (shop, key) = open();
    shop.calls(&key, 3);
    let mut terminal = Terminal::open(&shop);
    terminal.wait(ENTERED);
    terminal.wait("answers");
    terminal.press("?");
    terminal.wait("Shift-Tab");
    terminal.press("?\tp");
    terminal.wait("paused");
    terminal.press("q");
    assert_restored(&terminal.end(), "0");

    // By a signal.
    let terminal = Terminal::open(&shop);
    terminal.wait("answers");
    let pid = fs::read_to_string(shop.path("pid")).unwrap();
    assert!(Command::new("kill").args(["-s", "TERM", pid.trim()]).status().unwrap().success());
    assert_restored(&terminal.end(), "0");

    // By a panic, which F12 brings about in this build.
    let mut terminal = Terminal::open(&shop);
    terminal.wait("answers");
    terminal.press("\u{1b}[24~");
    let seen = terminal.end();
    assert_restored(&seen, "101");
    let (_, after) = seen.split_once(LEFT).unwrap();
    assert!(
        after.contains("a test pressed the key for this"),
        "told where it can be read: {seen:?}"
    );
}

#[test]
fn gateway_that_goes_away_is_waited_for() {
    let (mut shop, _) = open();
    let mut terminal = Terminal::open(&shop);
    terminal.wait("answers");
    shop.close();
    terminal.wait("no answer since");
    let gateway = crate::process::Gateway::start(shop.directory.path(), shop.address, shop.admin);
    shop.gateway = Some(gateway);
    terminal.wait("started anew");
    terminal.press("\u{3}");
    assert_restored(&terminal.end(), "0");
}

#[test]
fn token_that_is_refused_later_ends_it() {
    let (mut shop, _) = open();
    let terminal = Terminal::open(&shop);
    terminal.wait("answers");
    shop.close();
    fs::write(shop.path("faregate.db.journal/admin-token"), "another\n").unwrap();
    let gateway = crate::process::Gateway::start(shop.directory.path(), shop.address, shop.admin);
    shop.gateway = Some(gateway);
    let seen = terminal.end();
    assert_restored(&seen, "1");
    assert!(seen.contains("refuses the admin token from the file"), "{seen:?}");
}
