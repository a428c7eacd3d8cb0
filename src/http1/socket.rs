//! A socket: one reads from it, and another may write to it meanwhile.

use std::{
    cell::RefCell,
    future::Future,
    io,
    net::Shutdown,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The most that is read by way of the worker's scratch.
const SCRATCH_BYTES: usize = 8 * 1024;

thread_local! {
    /// What most reads go through: it stays in the processor's nearest memory, and a connection keeps
    /// what came and no more.
    static SCRATCH: RefCell<[u8; SCRATCH_BYTES]> = const { RefCell::new([0; SCRATCH_BYTES]) };
}

/// A socket. Who reads and who writes are woken apart.
#[derive(Debug)]
pub(crate) struct Socket(RefCell<TcpStream>);

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(RefCell::new(stream))
    }

    /// Reads what there is, up to about so many bytes, into the end of a buffer. 0 is the end.
    pub(crate) fn poll_read(
        &self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
        wanted: usize,
    ) -> Poll<io::Result<usize>> {
        let mut stream = self.0.borrow_mut();
        if wanted > SCRATCH_BYTES {
            if stream.poll_read_ready(context)?.is_pending() {
                // Who waits for something holds no room for it.
                if buffer.is_empty() && buffer.capacity() > SCRATCH_BYTES {
                    *buffer = BytesMut::new();
                }
                return Poll::Pending;
            }
            buffer.reserve(wanted);
            return pin!(stream.read_buf(buffer)).poll(context);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut read = ReadBuf::new(scratch);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut read))?;
            buffer.extend_from_slice(read.filled());
            Poll::Ready(Ok(read.filled().len()))
        })
    }

    /// Writes some of the slices.
    pub(crate) fn poll_write(
        &self,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut stream = self.0.borrow_mut();
        let stream = Pin::new(&mut *stream);
        match slices {
            [only] => stream.poll_write(context, only),
            _ => stream.poll_write_vectored(context, slices),
        }
    }

    /// Has the connection broken off when it is dropped, and with it what the system holds to be sent.
    pub(crate) fn reset_when_dropped(&self) {
        // Otherwise it ends as others do.
        let _ = socket2::SockRef::from(&*self.0.borrow()).set_linger(Some(Duration::ZERO));
    }

    /// Ends one direction or both, and with them whoever reads.
    pub(crate) fn shut_down(&self, how: Shutdown) {
        // It may be over already.
        let _ = socket2::SockRef::from(&*self.0.borrow()).shutdown(how);
    }
}
