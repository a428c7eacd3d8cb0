//! What is served, beside its clocks and what the worker tells: a connection, or a stream of one.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{sync::watch as signal, time::Instant};

use crate::worker::{
    Signals, Stop, Worker,
    watch::{Expired, Watch},
};

/// Serves until that is done, a clock runs out, or there is no time left before a stop.
pub(super) async fn run(
    worker: &Worker,
    watch: &Watch,
    first: Duration,
    is_closing: &Cell<bool>,
    mut serving: Pin<&mut impl Future>,
) {
    let mut sleep = pin!(tokio::time::sleep_until(Instant::now() + first));
    follow(worker, watch, |context| {
        let stop = watch.signals().stop;
        is_closing.set(stop != Stop::No);
        if stop == Stop::Now {
            // A request without a head is answered in this poll; everything else ends here.
            let _ = serving.as_mut().poll(context);
            return Poll::Ready(());
        }
        loop {
            if serving.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            match watch.poll_expired(context, sleep.as_mut()) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Expired::Close) => return Poll::Ready(()),
                // The request sees its cut, and the answer that it is looked at, when it is polled again.
                Poll::Ready(Expired::Answer | Expired::Look) => {}
            }
        }
    })
    .await;
}

/// Takes turns until one is the last. Before each the watch is told what is new.
pub(super) async fn follow<T>(
    worker: &Worker,
    watch: &Watch,
    mut turn: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> T {
    let mut signals = worker.signals();
    signals.mark_changed();
    let mut waking = pin!(wake_at_changes(signals.clone()));
    poll_fn(|context| {
        // To poll it takes a lock, to look whether there is something to see does not.
        while signals.has_changed().unwrap_or(false) {
            watch.tell(*signals.borrow_and_update());
            let _ = waking.as_mut().poll(context);
        }
        turn(context)
    })
    .await
}

/// Wakes whoever polls it whenever there is something new. It never ends by itself.
async fn wake_at_changes(mut signals: signal::Receiver<Signals>) {
    while signals.changed().await.is_ok() {}
    // Nobody is left who could tell anything.
    std::future::pending::<()>().await;
}
