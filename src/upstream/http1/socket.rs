//! The socket of an upstream connection: one reads the answer, and another may still send the request.

use std::{
    cell::RefCell,
    future::Future,
    io,
    net::Shutdown,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    net::TcpStream,
};

/// A socket. Who reads and who writes are woken apart.
#[derive(Debug)]
pub(crate) struct Socket(RefCell<TcpStream>);

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(RefCell::new(stream))
    }

    /// Reads what there is, up to the room that the buffer has. 0 is the end.
    pub(crate) fn poll_read(
        &self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let mut stream = self.0.borrow_mut();
        pin!(stream.read_buf(buffer)).poll(context)
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

    /// Ends both directions, and with them whoever reads.
    pub(crate) fn shut_down(&self) {
        // It may be over already.
        let _ = socket2::SockRef::from(&*self.0.borrow()).shutdown(Shutdown::Both);
    }
}
