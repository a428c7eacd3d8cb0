//! Floods of frames that cost their sender next to nothing (`SECURITY.md`, B1 to B5): the connection ends, memory
//! stays where it is, and others are served meanwhile.

use std::{
    fs,
    net::SocketAddr,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use faregate::model::KeyDigest;
use tokio::time::Instant;

use super::raw::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING,
    PRIORITY, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, block, frame, pseudo,
};
use crate::{
    process::{self, CountingUpstream, free_address},
    support::{KEY, wait_until_equal},
};

/// Gives how long each flood goes on: 2 s, or as many as `FAREGATE_FLOOD_SECONDS` says.
fn time() -> Duration {
    let seconds = std::env::var("FAREGATE_FLOOD_SECONDS").map(|text| text.parse().unwrap());
    Duration::from_secs(seconds.unwrap_or(2))
}

/// What a flood may add to the memory of the program.
const GROWTH_KIB: u64 = 32 << 10;

/// The real program before an upstream that answers at once.
struct Scene {
    gateway: process::Gateway,
    upstream: CountingUpstream,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let upstream = CountingUpstream::start();
        let directory = tempfile::tempdir().unwrap();
        let (address, admin) = (free_address(), free_address());
        let file = format!(
            "[server]\nlisten = \"{address}\"\nworkers = 2\n[admin]\nlisten = \"{admin}\"\n\
             [log]\naccess = \"off\"\n[upstreams.api]\nurl = \"http://{}\"\n\
             [[routes]]\npath = \"/{{*path}}\"\nupstream = \"api\"\n\
             [plans.all]\nquotas = [{{ limit = 100000000, window = \"lifetime\" }}]\n\
             [customers.acme]\nplan = \"all\"\nkeys = [\"{}\"]\n",
            upstream.address,
            KeyDigest::of(KEY.as_bytes())
        );
        fs::write(directory.path().join("faregate.toml"), file).unwrap();
        let command = Command::new(process::program());
        let gateway = process::Gateway::start_by(command, directory.path(), address, admin);
        Self { gateway, upstream, address, _directory: directory }
    }

    /// Gives how long the slowest of a hundred requests takes that come one after the other until told.
    fn p99(&self, goes_on: impl Fn() -> bool) -> Duration {
        let mut client = process::Client::connect(self.address).unwrap();
        let mut times = Vec::new();
        while goes_on() || times.len() < 200 {
            let begun = Instant::now();
            let (status, _) = client.ask("/x", KEY).unwrap();
            assert_eq!(status, 200);
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        times[times.len() * 99 / 100]
    }

    /// Floods again and again, on one connection after the other, and asserts what must hold. Gives the reasons
    /// of the connections' ends.
    fn withstands(
        &self,
        name: &str,
        open: impl Fn() -> Raw + Sync,
        bytes: &[u8],
    ) -> Vec<Option<u32>> {
        let usual = self.p99(|| false);
        let before = self.gateway.peak_memory_kib();
        let is_over = AtomicBool::new(false);
        let (reasons, meanwhile) = std::thread::scope(|scope| {
            let flooding = scope.spawn(|| {
                let (until, mut reasons) = (Instant::now() + time(), Vec::new());
                while Instant::now() < until {
                    let left = until - Instant::now();
                    reasons.extend(open().flood(bytes, left));
                }
                is_over.store(true, Ordering::Relaxed);
                reasons
            });
            let meanwhile = self.p99(|| !is_over.load(Ordering::Relaxed));
            (flooding.join().unwrap(), meanwhile)
        });
        let growth = self.gateway.peak_memory_kib().saturating_sub(before);
        println!(
            "{name}: {} connections ended, {growth} KiB more, p99 {usual:?} then {meanwhile:?}",
            reasons.len()
        );
        assert!(growth < GROWTH_KIB, "{name}: {growth} KiB");
        // On a machine that others use the sender takes time from everybody; a second would be a harm.
        assert!(
            meanwhile < usual * 10 + Duration::from_millis(100),
            "{name}: {usual:?} then {meanwhile:?}"
        );
        reasons
    }

    /// Asserts that what reached the upstream is charged, and what was never begun is not.
    fn assert_charged_what_went_up(&self) {
        wait_until_equal(
            || {
                let quota = &self.gateway.usage("acme")["quotas"][0];
                [&quota["used"], &quota["reserved"]].map(|units| units.as_u64().unwrap())
            },
            &[self.upstream.received(), 0],
        );
    }

    fn open(&self) -> Raw {
        Raw::open(self.address)
    }

    /// A connection with a request whose body is awaited.
    fn open_with_upload(&self) -> Raw {
        let mut raw = self.open();
        raw.send(raw::post(1, "/x", &[]));
        raw
    }
}

/// Asserts that connections were ended, and each that could be told was told why.
fn assert_calmed(name: &str, reasons: &[Option<u32>]) {
    assert!(!reasons.is_empty(), "{name}: no connection was ended");
    let told: Vec<_> = reasons.iter().flatten().collect();
    assert!(told.iter().all(|reason| **reason == ENHANCE_YOUR_CALM), "{name}: {reasons:?}");
    assert!(!told.is_empty(), "{name}: nobody was told why");
}

/// One piece of a flood: so many of a frame, which are some kilobytes.
fn many(frame: &[u8], count: usize) -> Vec<u8> {
    frame.repeat(count)
}

#[test]
fn control_frames_are_answered_at_a_bounded_rate() {
    let scene = Scene::new();
    for (name, frame) in [
        ("PING", frame(PING, 0, 0, &[7; 8])),
        ("PING that acknowledges", frame(PING, 1, 0, &[7; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("SETTINGS that change", frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 1, 0])),
        ("PRIORITY", frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 9])),
        ("unknown", frame(99, 0, 0, b"x")),
    ] {
        let reasons = scene.withstands(name, || scene.open(), &many(&frame, 500));
        assert_calmed(name, &reasons);
    }
}

#[test]
fn window_updates_are_taken_at_a_bounded_rate() {
    let scene = Scene::new();
    // On a stream that is closed they do nothing at all.
    let open = || {
        let mut raw = scene.open();
        raw.send(raw::get(1, "/x"));
        assert_eq!(raw.answer(1).unwrap().kind, HEADERS);
        raw
    };
    let update = frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes());
    assert_calmed("WINDOW_UPDATE", &scene.withstands("WINDOW_UPDATE", open, &many(&update, 500)));
}

#[test]
fn empty_pieces_of_a_body_end_the_connection() {
    let scene = Scene::new();
    let empty = frame(DATA, 0, 1, b"");
    let reasons = scene.withstands("empty DATA", || scene.open_with_upload(), &many(&empty, 500));
    assert_calmed("empty DATA", &reasons);
    // Padding alone is empty too.
    let padded = frame(DATA, 8, 1, &[4, 0, 0, 0, 0]);
    let reasons = scene.withstands("padded DATA", || scene.open_with_upload(), &many(&padded, 500));
    assert_calmed("padded DATA", &reasons);
}

#[test]
fn continuations_without_end_end_the_connection() {
    let scene = Scene::new();
    let open = || {
        let mut raw = scene.open();
        raw.send(frame(HEADERS, END_STREAM, 1, &block(&pseudo("GET", "/x"))));
        raw
    };
    let empty = frame(CONTINUATION, 0, 1, b"");
    let reasons = scene.withstands("CONTINUATION", open, &many(&empty, 500));
    assert_calmed("CONTINUATION", &reasons);
    let wide = frame(CONTINUATION, 0, 1, &block(&[("x-wide", &"x".repeat(8000))]));
    let reasons = scene.withstands("CONTINUATION with fields", open, &many(&wide, 4));
    assert!(!reasons.is_empty());
}

/// Sends ten thousand times what a function writes for a stream, and asserts that the connection ends far before,
/// and that no more went up than was charged.
fn assert_ends_soon(name: &str, write: impl Fn(u32) -> Vec<u8>) {
    const REQUESTS: u32 = 10_000;
    // How many requests a client may spoil on one connection.
    const SPOILT_MAX: u64 = 1000;
    let scene = Scene::new();
    let usual = scene.p99(|| false);
    let before = (scene.gateway.peak_memory_kib(), scene.upstream.received());
    for pause in [Duration::ZERO, Duration::from_micros(200)] {
        let mut raw = scene.open();
        // What is sent to a connection that has ended is read and dropped for a moment.
        for number in 0..REQUESTS {
            if raw.try_send(write(2 * number + 1)).is_err() {
                break;
            }
            std::thread::sleep(pause);
        }
        if pause.is_zero() {
            // It reads nothing before it has sent everything, and may have lost the reason by that.
            assert!(matches!(raw.reason_of_end(), Some(ENHANCE_YOUR_CALM) | None), "{name}");
        }
    }
    let mut raw = scene.open();
    raw.send((0..400).flat_map(|number| write(2 * number + 1)).collect::<Vec<u8>>());
    assert_eq!(raw.reason_of_end(), Some(ENHANCE_YOUR_CALM), "{name}");
    let growth = scene.gateway.peak_memory_kib().saturating_sub(before.0);
    let spoilt = scene.upstream.received() - before.1;
    let after = scene.p99(|| false);
    println!("{name}: {spoilt} went up, {growth} KiB more, p99 {usual:?} then {after:?}");
    assert!(growth < GROWTH_KIB && spoilt < 3 * SPOILT_MAX, "{name}: {growth} KiB, {spoilt}");
    scene.assert_charged_what_went_up();
}

#[test]
fn requests_that_are_reset_at_once_end_the_connection() {
    assert_ends_soon("rapid reset", |stream| {
        let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        [raw::get(stream, "/x"), reset].concat()
    });
}

/// "MadeYouReset": the client sends what makes the gateway reset the streams, here a window beyond the largest
/// that there is (RFC 9113 section 6.9.1).
#[test]
fn resets_that_the_client_provokes_are_bounded() {
    assert_ends_soon("provoked resets", |stream| {
        let over = frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes());
        [raw::get(stream, "/x"), over].concat()
    });
}

/// Heads of thousands of references to one field, on as many streams as there may be, and no window for the
/// answers.
#[test]
fn heads_of_many_references_take_little_memory() {
    let scene = Scene::new();
    scene.p99(|| false);
    let before = scene.gateway.peak_memory_kib();
    let bomb = |stream: u32, references: usize| {
        let mut fields = block(&pseudo("GET", "/x"));
        // The first puts a cookie of one byte into the table; the others refer to it, as the newest entry
        // (RFC 7541 sections 2.3.3 and 6.2.1).
        match stream {
            1 => fields.extend([0x40 | 32, 1, b'a']),
            _ => fields.extend(vec![0x80 | 62; references]),
        }
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields)
    };
    // What is refused waits for a window that never opens.
    let mut raw = Raw::open_with(scene.address, &[(4, 0)]);
    for number in 0..100 {
        raw.send(bomb(2 * number + 1, 1000));
    }
    let mut heads = 0;
    while heads < 100 {
        let frame = raw.frame().unwrap();
        assert!(!matches!(frame.kind, GOAWAY | RST_STREAM), "{frame:?}");
        heads += usize::from(frame.kind == HEADERS);
    }
    let growth = scene.gateway.peak_memory_kib().saturating_sub(before);
    println!("{growth} KiB more");
    assert!(growth < GROWTH_KIB / 2, "{growth} KiB");
    // Still larger ones end the connection.
    let mut larger = Raw::open_with(scene.address, &[(4, 0)]);
    larger.send([bomb(1, 0), bomb(3, 16_000)].concat());
    assert_eq!(larger.reason_of_end(), Some(ENHANCE_YOUR_CALM));
    let growth = scene.gateway.peak_memory_kib().saturating_sub(before);
    assert!(growth < GROWTH_KIB / 2, "{growth} KiB");
    scene.assert_charged_what_went_up();
}
