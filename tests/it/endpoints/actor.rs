//! An endpoint that does well, is gone, hangs or lies, as it is told at any moment.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

/// How it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Mood {
    /// It answers.
    Good,
    /// Nobody listens, and its connections are reset: its process was killed.
    Gone,
    /// It takes connections and requests, and never answers.
    Hangs,
    /// Its answers say two lengths.
    Lies,
    /// It ends with the test.
    Over,
}

/// An endpoint under direction. It ends when it is dropped.
pub(super) struct Actor {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    mood: AtomicU8,
    /// Requests that were answered well.
    answered: AtomicU64,
}

/// How often it looks at its mood.
const LOOK: Duration = Duration::from_millis(2);

impl Actor {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { mood: AtomicU8::new(Mood::Good as u8), answered: AtomicU64::new(0) });
        let directed = Arc::clone(&shared);
        std::thread::spawn(move || accept(listener, address, &directed));
        Self { address, shared }
    }

    pub(super) fn set(&self, mood: Mood) {
        self.shared.mood.store(mood as u8, Ordering::SeqCst);
    }

    /// Gives how many requests it answered well.
    pub(super) fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::SeqCst)
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.set(Mood::Over);
    }
}

impl Shared {
    fn mood(&self) -> Mood {
        let all = [Mood::Good, Mood::Gone, Mood::Hangs, Mood::Lies, Mood::Over];
        all[usize::from(self.mood.load(Ordering::SeqCst))]
    }
}

fn accept(listener: TcpListener, address: SocketAddr, shared: &Arc<Shared>) {
    let mut listening = Some(listener);
    loop {
        match shared.mood() {
            Mood::Over => return,
            Mood::Gone => listening = None,
            Mood::Good | Mood::Hangs | Mood::Lies => {
                let listener = listening.get_or_insert_with(|| TcpListener::bind(address).unwrap());
                listener.set_nonblocking(true).unwrap();
                while let Ok((stream, _)) = listener.accept() {
                    let shared = Arc::clone(shared);
                    // An error is the end of the connection.
                    std::thread::spawn(move || drop(serve(&stream, &shared)));
                }
            }
        }
        std::thread::sleep(LOOK);
    }
}

fn serve(mut stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LOOK))?;
    let (mut text, mut bytes) = (Vec::new(), [0; 4096]);
    loop {
        let mood = shared.mood();
        if matches!(mood, Mood::Gone | Mood::Over) {
            return socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
        match stream.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(count) => text.extend(&bytes[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        // Requests come one by one, without bodies.
        if !text.ends_with(b"\r\n\r\n") {
            continue;
        }
        match mood {
            Mood::Hangs => continue,
            Mood::Lies => {
                text.clear();
                stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok\n",
                )?;
            }
            Mood::Good | Mood::Gone | Mood::Over => {
                let is_check = text.starts_with(b"GET /healthz ");
                text.clear();
                stream.write_all(crate::support::upstream::OK.as_bytes())?;
                shared.answered.fetch_add(u64::from(!is_check), Ordering::SeqCst);
            }
        }
    }
}
