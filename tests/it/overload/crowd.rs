//! The crowd: many connections from one thread, each of which does next to nothing.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use crate::support::{KEY, wait_for};

/// Connections from one source address: ports run out at some 28,000.
const PER_ADDRESS: usize = 5000;

/// Connections that are opened at once: more than the listen queue takes would wait for a second.
const AT_ONCE: usize = 200;

/// What the largest crowds take, and some beside them.
const DESCRIPTORS: u64 = 20_000;

/// How often each does what it does.
const TICK: Duration = Duration::from_millis(500);

/// What each of a crowd does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Habit {
    /// Sends a body byte by byte.
    Body,
    /// Asks for something large and takes some of the answer now and then.
    Answer,
    /// Sends most of a head, and no end of it.
    HalfHead,
    /// Sends a head byte by byte.
    Head,
    /// Asks once, and keeps its connection.
    Idle,
}

/// Connections that are there until they end, or it is dropped.
pub(super) struct Crowd {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    /// Those that are connected, and did the first that they do.
    there: AtomicUsize,
    /// Those that were ended by the gateway.
    gone: AtomicUsize,
    leave: AtomicBool,
}

impl Crowd {
    /// Sends a crowd to an address.
    pub(super) fn send(address: SocketAddr, habit: Habit, count: usize) -> Self {
        raise_descriptor_limit();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(come(address, habit, count, &shared));
        };
        Self { state, thread: Some(std::thread::spawn(run)) }
    }

    /// Waits until so many are there.
    pub(super) fn wait_there(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.state.there.load(Ordering::Relaxed) < count {
            assert!(Instant::now() < deadline, "{} there", self.there());
            sleep_a_little();
        }
    }

    /// Gives how many came.
    pub(super) fn there(&self) -> usize {
        self.state.there.load(Ordering::Relaxed)
    }

    /// Gives how many were ended.
    pub(super) fn gone(&self) -> usize {
        self.state.gone.load(Ordering::Relaxed)
    }

    /// Lets all go.
    pub(super) fn leave(mut self) {
        self.state.leave.store(true, Ordering::Relaxed);
        let thread = self.thread.take().unwrap();
        wait_for("the crowd to leave", || thread.is_finished().then_some(()));
        thread.join().unwrap();
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.state.leave.store(true, Ordering::Relaxed);
    }
}

fn sleep_a_little() {
    std::thread::sleep(Duration::from_millis(10));
}

/// The system gives programs of another age few descriptors to begin with.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let is_enough = limit.maximum.is_none_or(|most| most >= DESCRIPTORS);
    assert!(is_enough, "these tests need a hard limit of {DESCRIPTORS} descriptors: {limit:?}");
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

async fn come(address: SocketAddr, habit: Habit, count: usize, state: &Arc<State>) {
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let places = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
            let mut coming = 0..count;
            // Who is not let in stays outside, and the others behind it.
            while !state.leave.load(Ordering::Relaxed) {
                let place = Arc::clone(&places).acquire_owned();
                let Ok(place) = timeout(Duration::from_millis(20), place).await else { continue };
                let (Ok(place), Some(index)) = (place, coming.next()) else { break };
                let state = Arc::clone(state);
                tokio::task::spawn_local(async move {
                    let Ok(mut stream) = connect(address, index).await else { return };
                    let greeted = greet(&mut stream, habit, index).await;
                    drop(place);
                    if greeted.is_ok() {
                        state.there.fetch_add(1, Ordering::Relaxed);
                    }
                    let ended = match greeted {
                        Ok(()) => stay(&mut stream, habit, &state).await,
                        Err(error) => Err(error),
                    };
                    if ended.is_err() {
                        state.gone.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            while !state.leave.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
}

async fn connect(address: SocketAddr, index: usize) -> io::Result<TcpStream> {
    let host = u8::try_from(2 + index / PER_ADDRESS).unwrap();
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, host], 0).into())?;
    // Who reads slowly has a small window too, or the system would read for it.
    socket.set_recv_buffer_size(8 << 10)?;
    socket.connect(address).await
}

/// Does what comes first.
async fn greet(stream: &mut TcpStream, habit: Habit, index: usize) -> io::Result<()> {
    let head = |line: &str| format!("{line} HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\n");
    let first = match habit {
        Habit::Body => head("POST /paid/body") + "content-length: 100000\r\n\r\n",
        Habit::Answer => head("GET /paid/large") + "\r\n",
        Habit::HalfHead => head("GET /paid/x") + &format!("x-long: {}", "x".repeat(30 << 10)),
        Habit::Head => head(&format!("GET /paid/{index}")),
        Habit::Idle => head("GET /paid/x") + "\r\n",
    };
    stream.write_all(first.as_bytes()).await?;
    if habit == Habit::Idle {
        let answer = take(stream, 4096).await?;
        if !answer.ends_with(b"ok") {
            return Err(ErrorKind::InvalidData.into());
        }
    }
    Ok(())
}

/// Goes on until the gateway ends it.
async fn stay(stream: &mut TcpStream, habit: Habit, state: &State) -> io::Result<()> {
    loop {
        match habit {
            Habit::Head => stream.write_all(b"x").await?,
            Habit::Body => {
                stream.write_all(b"x").await?;
                // An answer is the end too.
                if let Ok(Ok(_)) = timeout(TICK, stream.readable()).await {
                    return Err(ErrorKind::ConnectionAborted.into());
                }
            }
            Habit::Answer => drop(take(stream, 16).await?),
            Habit::HalfHead | Habit::Idle => {
                take(stream, 1).await?;
            }
        }
        if state.leave.load(Ordering::Relaxed) {
            return Ok(());
        }
        sleep(TICK).await;
    }
}

/// Reads some bytes; the end is an error.
async fn take(stream: &mut TcpStream, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    match stream.read(&mut bytes).await? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        count => {
            bytes.truncate(count);
            Ok(bytes)
        }
    }
}
