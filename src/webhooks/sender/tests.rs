use super::*;

fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn failure() -> Failure {
    Failure { status: Some(503), reason: "the receiver answered 503".to_owned() }
}

fn verdict_after(attempts_before: u32, retry_after: Option<u64>) -> Verdict {
    let retry_after = retry_after.map(Duration::from_secs);
    let outcome = Outcome::Failed { failure: failure(), retry_after };
    decide(DeliveryId(1), outcome, attempts_before, now(), 0).verdict
}

#[test]
fn failures_are_retried_until_they_are_dead() {
    let mut time = now();
    for attempts_before in 0..schedule::ATTEMPTS_MAX - 1 {
        let delay = schedule::delay_after(attempts_before + 1, None, 0).unwrap();
        let due = now() + delay;
        assert_eq!(
            verdict_after(attempts_before, None),
            Verdict::Retry { failure: failure(), due }
        );
        time += delay;
    }
    assert_eq!(time.to_string(), "2026-11-23T13:35:05Z");
    for attempts_before in [schedule::ATTEMPTS_MAX - 1, u32::MAX] {
        assert_eq!(verdict_after(attempts_before, Some(5)), Verdict::Dead(failure()));
    }
}

#[test]
fn retry_after_moves_the_next_attempt() {
    for (asked, due) in [
        (1, "2026-11-20T10:00:05Z"),
        (600, "2026-11-20T10:10:00Z"),
        (u64::MAX, "2026-11-21T10:00:00Z"),
    ] {
        let due = due.parse().unwrap();
        assert_eq!(verdict_after(0, Some(asked)), Verdict::Retry { failure: failure(), due });
    }
}

#[test]
fn other_outcomes_are_final() {
    let verdict = |outcome| decide(DeliveryId(1), outcome, 3, now(), 0).verdict;
    let delivered = verdict(Outcome::Delivered { status: 202 });
    assert_eq!(delivered, Verdict::Delivered { status: 202 });
    assert_eq!(verdict(Outcome::Gone), Verdict::Gone);
}

#[test]
fn waits_are_never_negative() {
    let later = now() + Duration::from_secs(5);
    assert_eq!(until(later, now()), Duration::from_secs(5));
    assert_eq!(until(now(), later), Duration::ZERO);
    assert_eq!(after(Timestamp::MAX, Duration::from_secs(5)), Timestamp::MAX);
}
