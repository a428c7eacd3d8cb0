//! An upstream that takes thousands at once, and counts.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What a path with `large` in it is answered with.
const LARGE_BYTES: usize = 64 << 20;

/// The upstream; it runs until the process ends.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    answered: Arc<AtomicU64>,
}

impl Upstream {
    pub(super) fn start() -> Self {
        let answered = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&answered);
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            runtime.unwrap().block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let count = Arc::clone(&count);
                    // An error is the end of the connection, which the gateway may close.
                    tokio::spawn(async move { drop(serve(stream, &count).await) });
                }
            });
        });
        Self { address: told.recv().unwrap(), answered }
    }

    /// Gives how many requests it has answered, if only with a head.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, answered: &AtomicU64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    // Some mebibytes for each of a thousand would keep everybody busy for seconds.
    SockRef::from(&stream).set_send_buffer_size(64 << 10)?;
    let mut buffer = Vec::new();
    loop {
        let head = loop {
            let found = buffer.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(at) = found {
                break String::from_utf8(buffer.drain(..at + 4).collect()).unwrap();
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |text| text.parse().unwrap());
        while buffer.len() < length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        buffer.drain(..length);
        answered.fetch_add(1, Ordering::SeqCst);
        if head.contains("large") {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE_BYTES}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            for _ in 0..LARGE_BYTES / PIECE.len() {
                stream.write_all(&PIECE).await?;
            }
        } else {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
        }
    }
}

static PIECE: [u8; 64 << 10] = [b'x'; 64 << 10];
