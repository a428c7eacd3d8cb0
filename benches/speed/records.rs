//! What the record costs that explains a request: the same requests with it and without, in turns.
//!
//! Choice: the processor's time of this thread, and the best of many short turns. What a record costs is so
//! little that by the clock it is lost in what the machine does besides.

use rustix::time::{ClockId, clock_gettime};

use faregate::clock::Clock;

use crate::support::{
    gateway::{Call, SmallGateway},
    tables::{SPENT, customer, key, tables},
};

const CUSTOMERS: usize = 10_000;
const KEYS_EACH: usize = 10;

/// How many requests are measured at once, and how often.
const CALLS: usize = 2_000;
const TURNS: usize = 200;

pub(crate) fn measure() {
    if !std::env::args().any(|argument| argument == "records") {
        return;
    }
    let text = tables(CUSTOMERS, KEYS_EACH);
    let (without, _place) = SmallGateway::new(&text, Clock::system());
    let (with, _records) = SmallGateway::recording(&text, Clock::system());
    let path = "/v1/forecast/berlin?days=3";
    let call = |of: usize, nth: usize| Call::get(path, &key(&customer(of * 7919 % CUSTOMERS), nth));
    let many = (0..CUSTOMERS).map(|n| call(n, 3)).collect();
    let every = (0..CUSTOMERS * KEYS_EACH).map(|n| call(n, n / CUSTOMERS)).collect();
    println!("ns of a processor for each request: without, with, what it costs");
    for (what, calls) in [
        ("one caller", vec![call(7, 3)]),
        ("402", vec![Call::get(path, &key(SPENT, 0))]),
        ("10,000 callers", many),
        ("100,000 keys", every),
    ] {
        let (mut first, mut second) = (calls.iter().cycle(), calls.iter().cycle());
        for _ in 0..calls.len() {
            let _ = without.pass(first.next().unwrap());
            let _ = with.pass(second.next().unwrap());
        }
        let mut times = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            times.0.push(turn(&without, &mut first));
            times.1.push(turn(&with, &mut second));
        }
        let told = |times: &mut Vec<u64>| {
            times.sort_unstable();
            (*times.first().unwrap(), *times.get(TURNS / 4).unwrap())
        };
        let ((a, a_quarter), (b, b_quarter)) = (told(&mut times.0), told(&mut times.1));
        let (best, quarter) = (b as i64 - a as i64, b_quarter as i64 - a_quarter as i64);
        println!(
            "{what:<16} best {a:>6} {b:>6} {best:>+6}   quarter {a_quarter:>6} {b_quarter:>6} {quarter:>+6}"
        );
    }
}

/// Gives the nanoseconds that a request took.
fn turn<'c>(gateway: &SmallGateway, calls: &mut impl Iterator<Item = &'c Call>) -> u64 {
    // The thread that writes is not measured, and must not fall behind.
    std::thread::sleep(std::time::Duration::from_millis(2));
    let begun = processor_ns();
    for call in calls.take(CALLS) {
        let _ = gateway.pass(call);
    }
    (processor_ns() - begun) / CALLS as u64
}

fn processor_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap()
}
