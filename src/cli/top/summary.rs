//! The lines above the lists: how much comes, how long it takes, what the gateway has in hand.

use super::{
    panel::Mark,
    quantile::Quantiles,
    sample::{Figures, Rates},
    words,
};

/// A line, with what it is about.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) about: &'static str,
    pub(super) items: Vec<Item>,
}

/// A value with its name.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) mark: Mark,
}

/// Makes the lines.
pub(super) fn lines(figures: &Figures) -> Vec<Line> {
    vec![
        traffic(figures.rates),
        times("gateway", figures.gateway, ""),
        times("whole", figures.whole, "(~ is estimated)"),
        process(figures),
        books(figures),
    ]
}

fn item(name: &'static str, value: String, mark: Mark) -> Item {
    Item { name, value, mark }
}

fn plain(name: &'static str, value: String) -> Item {
    item(name, value, Mark::Plain)
}

fn mark_if(is_so: bool, mark: Mark) -> Mark {
    if is_so { mark } else { Mark::Plain }
}

fn traffic(rates: Rates) -> Line {
    let Rates { requests, refused, failed, units } = rates;
    let share = words::percent(refused, requests);
    let items = vec![
        plain("", format!("{}/s", words::rate(requests))),
        plain("refused", format!("{}/s ({share})", words::rate(refused))),
        item("5xx", format!("{}/s", words::rate(failed)), mark_if(failed > 0.0, Mark::Bad)),
        plain("units", format!("{}/s", words::rate(units))),
    ];
    Line { about: "requests", items }
}

fn times(about: &'static str, times: Option<Quantiles>, note: &'static str) -> Line {
    let Some(Quantiles { p50, p95, p99 }) = times else {
        return Line { about, items: vec![plain("", "no requests".to_owned())] };
    };
    let times = [("p50", p50), ("p95", p95), ("p99", p99)];
    // As wide as the widest, so that both lines stand under each other.
    let times = times.map(|(name, time)| plain(name, format!("{:<7}", words::estimate(time))));
    let note = (!note.is_empty()).then(|| plain(note, String::new()));
    Line { about, items: times.into_iter().chain(note).collect() }
}

fn process(figures: &Figures) -> Line {
    let connections = figures.connections;
    let open = connections.head + connections.idle + connections.request;
    let limit = connections.limit;
    let is_full = u64::try_from(open).unwrap_or(0).saturating_mul(10) >= limit.saturating_mul(9);
    let mut items = vec![
        plain("", connections.request.to_string()),
        item("connections", format!("{open} of {limit}"), mark_if(is_full, Mark::Warning)),
    ];
    if let Some(cpu) = figures.cpu {
        items.push(plain("cpu", words::percent(cpu, 1.0)));
    }
    if let Some(resident) = figures.process.resident_bytes {
        items.push(plain("memory", words::bytes(resident)));
    }
    if let Some((open, max)) = figures.process.open_fds.zip(figures.process.max_fds) {
        let is_full = open.saturating_mul(10) >= max.saturating_mul(9);
        items.push(item("files", open.to_string(), mark_if(is_full, Mark::Warning)));
    }
    Line { about: "serving", items }
}

fn books(figures: &Figures) -> Line {
    let books = figures.books;
    let is_late = books.fold_lag_seconds > 5.0;
    let (store, store_mark) =
        if books.store_up { ("up", Mark::Plain) } else { ("DOWN", Mark::Bad) };
    let mut items = vec![
        plain("", format!("{} not in the store", words::bytes(books.unfolded_bytes))),
        item("lag", words::time(books.fold_lag_seconds), mark_if(is_late, Mark::Warning)),
        item("store", store.to_owned(), store_mark),
        plain("reserved", figures.reservations_open.to_string()),
    ];
    if !figures.enforcing {
        items.push(item("REFUSALS", "OFF".to_owned(), Mark::Bad));
    }
    Line { about: "journal", items }
}
