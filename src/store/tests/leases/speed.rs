//! What letters cost the server.

use super::*;

/// What the server's process has used of a processor so far, in microseconds.
fn used_by(process: i64) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/schedstat")).unwrap();
    stat.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1000
}

#[test]
fn leases_cost_the_server_little() {
    let place = Place::new();
    let leases = Leases::new(server(place.name())).unwrap();
    let run = begin(&place, 0);
    let process = leases.process().unwrap();
    let mut next = 0;
    for together in [1, 10, 100, 1000] {
        for kind in ["cold, new", "cold, known", "hot, asks", "hot, says"] {
            let rounds = 2000_usize.div_ceil(together).min(400);
            let first = next;
            if kind == "cold, new" {
                next += rounds * together;
            }
            let began = tokio::time::Instant::now();
            let before = used_by(process);
            for round in 0..rounds {
                let at = match kind {
                    "cold, new" => first + round * together,
                    "cold, known" => next - (rounds - round) * together,
                    _ => next - together,
                };
                let turn = match kind {
                    "cold, new" => 1,
                    "cold, known" => 2,
                    "hot, asks" => round as u64 + 3,
                    _ => round as u64 + 500,
                };
                let letter = if kind.ends_with("says") {
                    Letter { limit: 1 << 40, ..says(turn, turn, 0, turn) }
                } else {
                    Letter { limit: 1 << 40, spent: turn, ceiling: turn, ..asks(turn, 1) }
                };
                let letters: Vec<_> =
                    (at..at + together).map(|number| addressed(number, letter)).collect();
                let replies = leases.exchange(node_id(0), run, &letters, None).unwrap().unwrap();
                assert!(replies.iter().all(Option::is_some), "{kind} {round}");
            }
            let count = rounds * together;
            let cpu = (used_by(process) - before) as f64 / count as f64;
            let each = began.elapsed().as_secs_f64() / count as f64;
            println!(
                "{together:5} {kind:12} {cpu:8.1} us of the server, {:8.0} letters/s",
                1.0 / each
            );
        }
    }
}

#[test]
fn leases_cost_folds_little() {
    let mut place = Place::new();
    let process = place.store.process().unwrap();
    let quotas: Vec<String> = (0..5_000).map(|number| format!("quota-{number}")).collect();
    for sequence in 1..=6 {
        let usage: Vec<_> = quotas
            .iter()
            .map(|quota| {
                let window = Window { start: at(0), end: None };
                UsageRow { customer: "acme", scope: "", quota, window, used: 3 }
            })
            .collect();
        let began = tokio::time::Instant::now();
        let before = used_by(process);
        place.store.put(&Commit { usage, ..empty(sequence) }).unwrap();
        let cpu = (used_by(process) - before) as f64 / 5_000.0;
        println!("fold {sequence}: {cpu:.1} us of the server a row, {:?} in all", began.elapsed());
    }
}
