use std::{collections::HashSet, net::Ipv4Addr};

use super::*;

const LIMIT: GuessLimit = GuessLimit { limit: 4, window: Duration::from_secs(60) };

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

/// Counts the keys that may fail at one instant.
fn fail_all(guesses: &Guesses, address: IpAddr, limit: GuessLimit, now: Timestamp) -> u32 {
    let mut count = 0;
    while guesses.fail(address, limit, now).is_none() {
        assert!(count < 1000, "there is no limit");
        count += 1;
    }
    count
}

#[test]
fn attempts_are_used_up_and_come_back_one_by_one() {
    let guesses = Guesses::default();
    let client = address("192.0.2.1");
    for _ in 0..4 {
        assert_eq!(guesses.wait(client, LIMIT, at(0)), None);
        assert_eq!(guesses.fail(client, LIMIT, at(0)), None);
    }
    assert_eq!(guesses.wait(client, LIMIT, at(0)), seconds(15));
    assert_eq!(guesses.fail(client, LIMIT, at(0)), seconds(15), "a late one counts no more");
    assert_eq!(guesses.wait(client, LIMIT, at(5_000)), seconds(10));
    assert_eq!(guesses.wait(client, LIMIT, at(14_999)), Some(Duration::from_millis(1)));
    assert_eq!(guesses.wait(client, LIMIT, at(15_000)), None);
    assert_eq!(guesses.fail(client, LIMIT, at(15_000)), None);
    assert_eq!(guesses.wait(client, LIMIT, at(15_000)), seconds(15));
    assert_eq!(guesses.wait(client, LIMIT, at(75_000)), None);
    assert_eq!(fail_all(&guesses, client, LIMIT, at(75_000)), 4);
}

#[test]
fn windows_that_do_not_divide_lose_no_attempt() {
    let client = address("192.0.2.1");
    for (limit, window) in [(1, 1), (3, 10), (7, 1), (997, 60_000), (1000, 1)] {
        let guesses = Guesses::default();
        let limit = GuessLimit { limit, window: Duration::from_millis(window) };
        assert_eq!(fail_all(&guesses, client, limit, at(0)), limit.limit);
        assert!(guesses.wait(client, limit, at(0)).is_some());
    }
}

#[test]
fn address_is_one_of_version_4_or_a_network_of_version_6() {
    let guesses = Guesses::default();
    let is_free = |text: &str| guesses.wait(address(text), LIMIT, at(0)).is_none();
    fail_all(&guesses, address("192.0.2.1"), LIMIT, at(0));
    fail_all(&guesses, address("2001:db8:0:1::1"), LIMIT, at(0));
    assert!(!is_free("192.0.2.1"));
    assert!(!is_free("::ffff:192.0.2.1"));
    assert!(is_free("192.0.2.2"));
    assert!(!is_free("2001:db8:0:1:ffff::2"));
    assert!(is_free("2001:db8:0:2::1"));
}

#[test]
fn address_that_has_all_attempts_again_is_forgotten() {
    let guesses = Guesses::default();
    let client = address("192.0.2.1");
    assert_eq!(guesses.fail(client, LIMIT, at(0)), None);
    assert_eq!(guesses.wait(client, LIMIT, at(14_999)), None);
    assert_eq!(count(&guesses), 1);
    assert_eq!(guesses.wait(client, LIMIT, at(15_000)), None);
    assert_eq!(count(&guesses), 0);
}

#[test]
fn clock_set_back_and_limit_lowered_keep_nobody_longer_than_a_window() {
    let guesses = Guesses::default();
    let client = address("192.0.2.1");
    fail_all(&guesses, client, LIMIT, at(0));
    let hour = 3_600_000;
    assert_eq!(guesses.wait(client, LIMIT, at(-hour)), seconds(15));
    assert_eq!(guesses.wait(client, LIMIT, at(15_000 - hour)), None);
    fail_all(&guesses, client, LIMIT, at(15_000 - hour));
    let short = GuessLimit { limit: 2, window: Duration::from_secs(10) };
    assert_eq!(guesses.wait(client, short, at(15_000 - hour)), seconds(5));
}

fn count(guesses: &Guesses) -> usize {
    let count = |shard: &Shard| {
        let buckets = shard.lock();
        assert_eq!(buckets.len(), shard.count.load(Ordering::Relaxed));
        assert!(buckets.len() <= SHARD_MAX);
        buckets.len()
    };
    guesses.shards.iter().map(count).sum()
}

/// A flood of addresses takes no more memory, and frees none that is refused.
#[test]
fn table_is_bounded_and_forgets_the_fullest() {
    let guesses = Guesses::default();
    let refused: Vec<IpAddr> = (0..100).map(|n| Ipv4Addr::new(192, 0, 2, n).into()).collect();
    for client in &refused {
        fail_all(&guesses, *client, LIMIT, at(0));
    }
    for n in 0..200_000 {
        let client = Ipv4Addr::from_bits(0x0A00_0000 + n).into();
        assert_eq!(guesses.fail(client, LIMIT, at(i64::from(n / 100))), None);
    }
    assert!(count(&guesses) <= 65_536, "{}", count(&guesses));
    assert!(count(&guesses) > 65_536 / 8 * 6, "{}", count(&guesses));
    for client in &refused {
        assert!(guesses.wait(*client, LIMIT, at(2_000)).is_some(), "{client}");
    }
}

#[test]
fn threads_together_get_no_more_than_the_limit() {
    let guesses = Guesses::default();
    let limit = GuessLimit { limit: 100, window: Duration::from_secs(60) };
    let client = address("192.0.2.1");
    let tried: u32 = std::thread::scope(|scope| {
        let run = || fail_all(&guesses, client, limit, at(0));
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(tried, 100);
}

#[test]
fn addresses_spread_over_the_shards() {
    let guesses = Guesses::default();
    let used: HashSet<*const Shard> = (0..1000)
        .map(|n| std::ptr::from_ref(guesses.shard(ClientNetwork::V4(Ipv4Addr::from_bits(n)))))
        .collect();
    assert_eq!(used.len(), SHARDS);
}
