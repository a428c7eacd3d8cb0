//! The ordinary clients: a few that ask again and again, each on its own connection.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::time::Instant;

use crate::{process::Client, support::KEY};

pub(super) const CLIENTS: usize = 4;

/// Between an answer and the next question of a client.
const PAUSE: Duration = Duration::from_millis(5);

/// Clients at work. They end when it is dropped.
pub(super) struct Ordinary {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<(Vec<Duration>, usize)>>,
}

/// What they saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Answers.
    pub(super) count: usize,
    /// Questions that came to nothing, or to anything but what the upstream says.
    pub(super) errors: usize,
    pub(super) median: Duration,
    /// What 99 of 100 were faster than.
    pub(super) late: Duration,
    pub(super) latest: Duration,
}

impl Ordinary {
    pub(super) fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let start_one = |_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || ask_until(address, &stop))
        };
        Self { clients: (0..CLIENTS).map(start_one).collect(), stop }
    }

    /// Ends them; gives what they saw.
    pub(super) fn stop(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.clients.drain(..).map(|client| client.join().unwrap());
        let (times, errors): (Vec<_>, Vec<_>) = ended.unzip();
        let mut times = times.concat();
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        Seen {
            count: times.len(),
            errors: errors.iter().sum(),
            median: at(50),
            late: at(99),
            latest: at(100),
        }
    }
}

impl Drop for Ordinary {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn ask_until(address: SocketAddr, stop: &AtomicBool) -> (Vec<Duration>, usize) {
    let (mut times, mut errors, mut client) = (Vec::new(), 0, None);
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let connected = match client.take() {
            Some(client) => Ok(client),
            None => Client::connect(address),
        };
        match connected.and_then(|mut client| Ok((client.ask("/paid/x", KEY)?, client))) {
            Ok(((200, _), kept)) => {
                times.push(began.elapsed());
                client = Some(kept);
            }
            Ok(((status, body), _)) => {
                println!("an ordinary client got {status}: {body}");
                errors += 1;
            }
            Err(error) => {
                println!("an ordinary client: {error}");
                errors += 1;
            }
        }
        std::thread::sleep(PAUSE);
    }
    (times, errors)
}
