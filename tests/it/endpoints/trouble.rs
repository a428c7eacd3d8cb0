//! Three endpoints under load: one is killed, one hangs, one lies, and each comes back. What callers
//! notice of it, and that the books are exact.

use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::actor::{Actor, Mood};
use crate::support::{
    Client, Gateway, KEY, SMALL,
    client::{bearer, head},
    wait_for, wait_until_equal,
};

/// Callers of each method.
const CALLERS: usize = 4;

/// Between an answer and the next question of a caller.
const PAUSE: Duration = Duration::from_millis(4);

/// For how long each is in trouble.
const TROUBLE: Duration = Duration::from_millis(1500);

/// What one question came to.
#[derive(Clone, Copy)]
struct Seen {
    at: Instant,
    method: &'static str,
    status: u16,
}

/// Asks without a pause until it is told to stop.
fn call(address: SocketAddr, method: &'static str, stop: &AtomicBool, seen: &Mutex<Vec<Seen>>) {
    let mut client = Client::connect(address);
    let ask = head(method, "/x", &[&bearer(KEY), "Content-Length: 0"]);
    while !stop.load(Ordering::Relaxed) {
        client.send(&ask);
        let status = client.response().status();
        seen.lock().unwrap().push(Seen { at: Instant::now(), method, status });
        std::thread::sleep(PAUSE);
    }
}

/// What came of the trouble of one endpoint.
struct Trouble {
    mood: Mood,
    from: Instant,
    to: Instant,
    /// From its end until the endpoint answered again.
    back: Duration,
}

fn make(actor: &Actor, mood: Mood) -> Trouble {
    let from = Instant::now();
    actor.set(mood);
    std::thread::sleep(TROUBLE);
    actor.set(Mood::Good);
    let (to, before) = (Instant::now(), actor.answered());
    wait_for("the endpoint that comes back", || (actor.answered() > before).then_some(()));
    Trouble { mood, from, to, back: to.elapsed() }
}

/// Waits until the endpoint answers its part of the requests of half a second.
fn wait_for_share(actors: &[Actor], index: usize) -> f64 {
    let counts = || actors.iter().map(Actor::answered).collect::<Vec<_>>();
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let before = counts();
        std::thread::sleep(Duration::from_millis(500));
        let now: Vec<_> = counts().iter().zip(&before).map(|(now, then)| now - then).collect();
        let share = now[index] as f64 / now.iter().sum::<u64>() as f64;
        if share >= 0.25 {
            return share;
        }
        assert!(Instant::now() < deadline, "it has {share} of all: {now:?}");
    }
}

fn tables(actors: &[Actor], lines: &str) -> String {
    let urls: Vec<_> = actors.iter().map(|of| format!("\"http://{}\"", of.address)).collect();
    let given =
        format!("urls = [{}]\nresponse_timeout = \"300ms\"\nretries = 1\n{lines}", urls.join(", "));
    let tables = SMALL.replace("url = \"http://@UPSTREAM@\"", &given);
    let tables = tables.replace("limit = 1000,", "limit = 1000000,");
    format!("[server]\nlisten = \"127.0.0.1:0\"\nworkers = 2\n{tables}")
}

/// Has all the trouble, and tells it in lines of a table.
fn run(name: &str, lines: &str) {
    let actors = [Actor::start(), Actor::start(), Actor::start()];
    let gateway = Gateway::start_with(&tables(&actors, lines), None);
    let (stop, seen) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let address = gateway.running().address();
    let (troubles, share) = std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| call(address, "GET", &stop, &seen));
            scope.spawn(|| call(address, "POST", &stop, &seen));
        }
        std::thread::sleep(Duration::from_secs(1));
        let moods = [Mood::Gone, Mood::Hangs, Mood::Lies];
        let troubles: Vec<_> = actors.iter().zip(moods).map(|(of, mood)| make(of, mood)).collect();
        let back = troubles.last().unwrap().to;
        let share = (wait_for_share(&actors, 2), back.elapsed());
        stop.store(true, Ordering::Relaxed);
        (troubles, share)
    });
    let seen = seen.into_inner().unwrap();
    for trouble in &troubles {
        tell(name, trouble, &seen);
    }
    println!(
        "{name}: {:.0} % of all {:.1} s after it was well",
        share.0 * 100.0,
        share.1.as_secs_f64()
    );
    let end = troubles.iter().map(|trouble| trouble.to + trouble.back).max().unwrap();
    let late = seen.iter().filter(|seen| seen.at > end + Duration::from_secs(1));
    assert_eq!(late.filter(|seen| seen.status != 200).count(), 0, "errors when all are well");
    audit(&gateway, &actors, &seen);
}

/// Holds one trouble to its bounds, which leave a loaded machine room.
fn tell(name: &str, trouble: &Trouble, seen: &[Seen]) {
    let Trouble { mood, from, to, back } = *trouble;
    let within = seen.iter().filter(|seen| seen.at > from && seen.at <= to + back);
    let (bad, good): (Vec<Seen>, Vec<Seen>) = within.copied().partition(|seen| seen.status != 200);
    let of = |method: &str| bad.iter().filter(|seen| seen.method == method).count();
    let (gets, posts) = (of("GET"), of("POST"));
    let last = bad.iter().map(|seen| seen.at - from).max().unwrap_or_default();
    println!(
        "{name}, {mood:?}: {gets} GET and {posts} POST of {} failed, the last after {:.2} s; asked {:.2} s after its end",
        bad.len() + good.len(),
        last.as_secs_f64(),
        back.as_secs_f64(),
    );
    let expected: &[u16] = if mood == Mood::Hangs { &[504] } else { &[502] };
    assert!(bad.iter().all(|seen| expected.contains(&seen.status)), "{mood:?}");
    if mood == Mood::Gone {
        // What breaks may be asked again, and what is not sent goes elsewhere.
        assert_eq!(gets, 0, "a GET failed because an endpoint was killed");
        assert!(posts <= CALLERS, "{posts}");
    } else {
        // Those in flight, three in succession, and one each time that it is tried again.
        assert!(bad.len() <= 2 * CALLERS + 12, "{mood:?}: {}", bad.len());
    }
    assert!(good.len() >= 50, "{mood:?}: others are served meanwhile, {}", good.len());
}

/// Compares the books with what callers got and what the endpoints answered.
fn audit(gateway: &Gateway, actors: &[Actor], seen: &[Seen]) {
    let served = seen.iter().filter(|seen| seen.status == 200).count() as u64;
    let failed = seen.len() as u64 - served;
    gateway.wait_used("acme", served);
    let sum = |charged: bool| {
        let recorded = gateway.recorded("acme");
        let these = recorded.values().filter(|(_, units)| (*units > 0) == charged);
        these.fold((0, 0), |sum, these| (sum.0 + these.0, sum.1 + these.1))
    };
    // What was answered is charged once, and nothing else is.
    wait_until_equal(|| (sum(true), sum(false)), &((served, served), (failed, 0)));
    assert_eq!(gateway.recorded("acme")["completed"], (served, served));
    // An answer that was on its way to a GET when its endpoint was killed came from another one.
    let answered: u64 = actors.iter().map(Actor::answered).sum();
    assert!(answered.abs_diff(served) <= 2 * CALLERS as u64, "{answered} for {served}");
}

#[test]
fn callers_notice_little_and_books_are_exact() {
    run("without checks", "");
}

#[test]
fn checks_change_nothing_about_the_books() {
    let lines =
        "health = { path = \"/healthz\", interval = \"200ms\", timeout = \"200ms\", fails = 2 }";
    run("with checks", lines);
}
