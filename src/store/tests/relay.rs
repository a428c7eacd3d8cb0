//! Stands between a store and its server, and is the network or the server that fails.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What it does with connections and what comes on them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    /// What would end a transaction does not arrive, and the connection ends.
    CutBeforeCommit,
    /// Connections end as they are made.
    Down,
    /// Nothing passes, in either direction.
    Frozen,
    /// What ends a transaction arrives, its answer does not, and the connection ends.
    LoseAnswerToCommit,
    Pass,
    /// What passes is under way for a time.
    Slow,
}

/// How long that is, in each direction.
const SLOW: Duration = Duration::from_millis(25);

pub(super) struct Relay {
    pub(super) address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    mode: Mode,
    open: Vec<TcpStream>,
}

impl Relay {
    pub(super) fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared { mode: Mode::Pass, open: Vec::new() }));
        let of_thread = Arc::clone(&shared);
        // It ends with the process of the test.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if of_thread.lock().unwrap().mode == Mode::Down {
                    continue;
                }
                let server = TcpStream::connect(server).unwrap();
                let ends = [client.try_clone().unwrap(), server.try_clone().unwrap()];
                of_thread.lock().unwrap().open.extend(ends);
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (up, down) = (Arc::clone(&of_thread), Arc::clone(&of_thread));
                thread::spawn(move || pump(from, to, &up, true));
                thread::spawn(move || pump(server, client, &down, false));
            }
        });
        Self { address, shared }
    }

    pub(super) fn set(&self, mode: Mode) {
        let mut shared = self.shared.lock().unwrap();
        shared.mode = mode;
        if mode == Mode::Down {
            for end in shared.open.drain(..) {
                let _ = end.shutdown(Shutdown::Both);
            }
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, shared: &Mutex<Shared>, is_up: bool) {
    let mode = || shared.lock().unwrap().mode;
    let mut bytes = [0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        while mode() == Mode::Frozen {
            thread::sleep(Duration::from_millis(5));
        }
        if mode() == Mode::Slow {
            thread::sleep(SLOW);
        }
        let piece = &bytes[..length];
        let is_commit = is_up && piece.windows(8).any(|part| part == b"; COMMIT");
        match mode() {
            Mode::CutBeforeCommit if is_commit => break,
            Mode::LoseAnswerToCommit if is_commit => {
                // The other direction is closed before the server can answer.
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.write_all(piece);
                // It is done when the server closes, which it does behind the answer.
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            _ if to.write_all(piece).is_err() => break,
            _ => {}
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
