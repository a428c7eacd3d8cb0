//! Bytes from a thread that may block to the body of an answer, bounded between them.
//!
//! The two ends are tied to each other: who drops one lets the other know, so that a client that
//! leaves ends the work behind its answer, and work that fails cuts the answer.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

/// How long a client may take nothing before it is given up.
const IDLE: Duration = Duration::from_secs(60);

/// How many bytes are put together into one piece.
const PIECE: usize = 16 * 1024;

/// The end that is written to.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// How many bytes may wait for the client.
    bytes_max: usize,
    idle: Duration,
}

/// The end that hyper reads: the body of an answer.
#[derive(Debug)]
pub(super) struct PipeBody {
    shared: Arc<Shared>,
    /// What is still to come, where it is known; then the answer tells its length.
    left: Option<u64>,
}

/// Nobody takes what is written any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lost {
    /// The client left.
    Gone,
    /// It is there and has taken nothing for too long.
    Idle,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the writer when something was taken.
    taken: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<BytesMut>,
    bytes: usize,
    end: Option<End>,
    is_gone: bool,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Whole,
    Cut,
}

/// Makes a pipe that holds up to `bytes_max`; `length` is what will be written in all, if known.
pub(super) fn pipe(bytes_max: usize, length: Option<u64>) -> (Writer, PipeBody) {
    let shared = Arc::new(Shared::default());
    let writer = Writer { shared: Arc::clone(&shared), bytes_max, idle: IDLE };
    (writer, PipeBody { shared, left: length })
}

impl Shared {
    /// A panic while the lock was held left plain values behind, which are still right.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Blocks while too much waits, then hands on the bytes.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), Lost> {
        let mut state = self.shared.lock();
        while state.bytes >= self.bytes_max && !state.is_gone {
            let (next, waited) = self
                .shared
                .taken
                .wait_timeout(state, self.idle)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
            if waited.timed_out() && state.bytes >= self.bytes_max {
                return Err(Lost::Idle);
            }
        }
        state.push(bytes)
    }

    /// Hands on the bytes at once: a last word for a client that takes nothing.
    pub(super) fn write_beyond(&self, bytes: &[u8]) -> Result<(), Lost> {
        self.shared.lock().push(bytes)
    }

    /// Ends the body. Without this it is cut where it stands, so that nobody takes a part for the
    /// whole.
    pub(super) fn finish(self) {
        self.shared.lock().finish(End::Whole);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().finish(End::Cut);
    }
}

impl State {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        if self.is_gone {
            return Err(Lost::Gone);
        }
        match self.pieces.back_mut().filter(|piece| piece.len() + bytes.len() <= PIECE) {
            Some(piece) => piece.extend_from_slice(bytes),
            None => self.pieces.push_back(BytesMut::from(bytes)),
        }
        self.bytes += bytes.len();
        self.wake();
        Ok(())
    }

    fn finish(&mut self, end: End) {
        self.end.get_or_insert(end);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl http_body::Body for PipeBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut state = self.shared.lock();
        let Some(piece) = state.pieces.pop_front() else {
            return match state.end {
                Some(End::Whole) => Poll::Ready(None),
                Some(End::Cut) => Poll::Ready(Some(Err(io::Error::other("the work failed")))),
                None => {
                    state.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            };
        };
        state.bytes -= piece.len();
        drop(state);
        self.shared.taken.notify_all();
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        }
        Poll::Ready(Some(Ok(Frame::data(piece.freeze()))))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.shared.lock();
        state.pieces.is_empty() && state.end == Some(End::Whole)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for PipeBody {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_gone = true;
        state.pieces.clear();
        state.bytes = 0;
        drop(state);
        self.shared.taken.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use http_body_util::BodyExt;

    use super::*;

    fn read(body: PipeBody) -> Result<Bytes, io::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(body.collect()).map(|collected| collected.to_bytes())
    }

    #[test]
    fn everything_comes_in_order_through_a_narrow_pipe() {
        let (writer, body) = pipe(10, None);
        let all: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let given = all.clone();
        let thread = thread::spawn(move || {
            given.chunks(7).for_each(|part| writer.write(part).unwrap());
            writer.finish();
        });
        assert_eq!(read(body).unwrap(), all);
        thread.join().unwrap();
    }

    #[test]
    fn work_that_fails_cuts_the_body() {
        let (writer, body) = pipe(10, None);
        writer.write(b"a").unwrap();
        drop(writer);
        assert!(read(body).is_err());
    }

    #[test]
    fn writer_learns_that_the_client_left_or_sleeps() {
        let (mut writer, body) = pipe(1, None);
        writer.idle = Duration::from_millis(1);
        writer.write(b"ab").unwrap();
        assert_eq!(writer.write(b"c"), Err(Lost::Idle));
        writer.write_beyond(b"d").unwrap();
        let thread = thread::spawn(move || {
            writer.idle = IDLE;
            writer.write(b"e")
        });
        drop(body);
        assert_eq!(thread.join().unwrap(), Err(Lost::Gone));
    }
}
