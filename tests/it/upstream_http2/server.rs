//! An upstream that speaks HTTP/2, by a library that others wrote. What it does stands in the path.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    server::{Builder, SendResponse},
};
use http::{HeaderMap, Request, Response, StatusCode};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::support::wait_for;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) fields: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: HeaderMap,
    /// It was taken back before it was answered.
    pub(super) reset: Option<Reason>,
}

/// The upstream. It ends with the test.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    state: Arc<State>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    has_refused: AtomicBool,
    /// Nobody listens any more; what is open goes on.
    deafened: tokio::sync::Notify,
    /// What its health service says.
    health: Mutex<Health>,
}

/// What a health service says.
#[derive(Clone, Debug)]
pub(super) enum Health {
    /// A body, and the status behind it, or in the head where there is no body.
    Call(&'static [u8], &'static str),
    /// An answer that is none of gRPC, with this status.
    Plain(u16),
    Silence,
}

/// It is serving.
pub(super) const SERVING: Health = Health::Call(b"\0\0\0\0\x02\x08\x01", "0");
pub(super) const NOT_SERVING: Health = Health::Call(b"\0\0\0\0\x02\x08\x02", "0");

impl Default for Health {
    fn default() -> Self {
        SERVING
    }
}

impl Server {
    pub(super) fn start() -> Self {
        Self::start_with(100)
    }

    /// Starts one that takes so many requests at once on a connection.
    pub(super) fn start_with(streams: u32) -> Self {
        Self::start_by(streams, None)
    }

    /// Starts one within TLS, which offers these protocols.
    pub(super) fn start_secured(mut config: ServerConfig, protocols: &[&[u8]]) -> Self {
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Self::start_by(100, Some(TlsAcceptor::from(Arc::new(config))))
    }

    fn start_by(streams: u32, tls: Option<TlsAcceptor>) -> Self {
        let state = Arc::<State>::default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime.unwrap(), async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(listener, streams, tls, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, state, stop: Some(stop), thread: Some(thread) }
    }

    /// Gives the requests that were read to their end, or taken back.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Has its health service say something else from now on.
    pub(super) fn set_health(&self, health: Health) {
        *self.state.health.lock().unwrap() = health;
    }

    /// Takes no more connections. Those that are open go on.
    pub(super) fn listen_no_more(&self) {
        self.state.deafened.notify_one();
        let is_deaf = || std::net::TcpStream::connect(self.address).is_err().then_some(());
        wait_for("the end of the listener", is_deaf);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the upstream panicked");
    }
}

async fn accept(listener: TcpListener, streams: u32, tls: Option<TlsAcceptor>, state: Arc<State>) {
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted.unwrap(),
            () = state.deafened.notified() => break,
        };
        stream.set_nodelay(true).unwrap();
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        tokio::task::spawn_local(async move {
            match tls {
                None => serve(stream, streams, state).await,
                Some(tls) => {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    serve(stream, streams, state).await;
                }
            }
        });
    }
    drop(listener);
    std::future::pending().await
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, streams: u32, state: Arc<State>) {
    let handshake = Builder::new().max_concurrent_streams(streams).handshake(stream);
    // Whoever looks whether somebody listens says nothing.
    let Ok(mut connection) = handshake.await else { return };
    state.connections.fetch_add(1, Ordering::Relaxed);
    while let Some(Ok((request, respond))) = connection.accept().await {
        match request.uri().path() {
            "/paid/goaway" => connection.graceful_shutdown(),
            // As if its machine were gone: nothing is read any more, and nothing is closed.
            "/paid/freeze" => std::future::pending().await,
            _ => {}
        }
        tokio::task::spawn_local(answer(request, respond, Arc::clone(&state)));
    }
}

fn head(status: u16) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("x-own", "1".parse().unwrap());
    response
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, state: Arc<State>) {
    let (parts, mut body) = request.into_parts();
    let mut seen = Seen {
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        fields: parts.headers,
        ..Seen::default()
    };
    let keep = |seen| state.seen.lock().unwrap().push(seen);
    if parts.uri.path() == "/grpc.health.v1.Health/Check" {
        seen.body = body.data().await.unwrap().unwrap().to_vec();
        keep(seen);
        let health = state.health.lock().unwrap().clone();
        return tell_health(health, respond).await;
    }
    let path = parts.uri.path().strip_prefix("/paid/").unwrap();
    match path {
        "refuse-once" if !state.has_refused.swap(true, Ordering::Relaxed) => {
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
        "refuse" => return respond.send_reset(Reason::REFUSED_STREAM),
        "reset" => return respond.send_reset(Reason::INTERNAL_ERROR),
        "silent" => {
            let reset = std::future::poll_fn(|context| respond.poll_reset(context)).await;
            seen.reset = reset.ok();
            return keep(seen);
        }
        "early" => {
            respond
                .send_response(head(200), false)
                .unwrap()
                .send_data("ok\n".into(), true)
                .unwrap();
            // Nothing more of the body is wanted, which the library tells by itself (RFC 9113 section 8.1).
            return;
        }
        "talk" => return talk(body, respond).await,
        _ => {}
    }
    while let Some(data) = body.data().await {
        let Ok(data) = data else { return keep(seen) };
        seen.body.extend_from_slice(&data);
        if path == "slow" {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    seen.trailers = body.trailers().await.unwrap_or_default().unwrap_or_default();
    let received = seen.body.clone();
    keep(seen);
    match path {
        "cut" | "short" => {
            let mut response = head(200);
            if path == "short" {
                response.headers_mut().insert("content-length", 100.into());
            }
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data("0123456789".into(), path == "short").unwrap();
            if path == "cut" {
                tokio::time::sleep(Duration::from_millis(50)).await;
                stream.send_reset(Reason::INTERNAL_ERROR);
            }
        }
        "half" => {
            let mut stream = respond.send_response(head(200), false).unwrap();
            stream.send_data("0123456789".into(), false).unwrap();
            let reset = std::future::poll_fn(|context| stream.poll_reset(context)).await;
            keep(Seen { uri: "half".into(), reset: reset.ok(), ..Seen::default() });
        }
        "hints" => {
            let mut hints = head(103);
            hints.headers_mut().insert("link", "</a.css>".parse().unwrap());
            respond.send_informational(hints).unwrap();
            send(respond, head(200), b"ok\n".to_vec()).await;
        }
        "status/204" | "status/304" | "status/402" | "status/500" => {
            let status = path.strip_prefix("status/").unwrap().parse().unwrap();
            respond.send_response(head(status), true).unwrap();
        }
        "trailers" => {
            let mut stream = respond.send_response(head(200), false).unwrap();
            stream.send_data("ok\n".into(), false).unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "7".parse().unwrap());
            trailers.insert("x-api-key", "no".parse().unwrap());
            stream.send_trailers(trailers).unwrap();
        }
        // As a call of gRPC is answered: with the status behind the body, in the head, or not at all.
        _ if path.starts_with("grpc/") => {
            let mut response = head(200);
            response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
            let (form, status) = path["grpc/".len()..].split_once('/').unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", status.parse().unwrap());
            if form == "head" {
                response.headers_mut().extend(trailers);
                respond.send_response(response, true).unwrap();
                return;
            }
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data("message".into(), form == "none").unwrap();
            match form {
                "behind" => stream.send_trailers(trailers).unwrap(),
                "cut" => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    stream.send_reset(Reason::INTERNAL_ERROR);
                }
                _ => {}
            }
        }
        "late" => {
            tokio::time::sleep(Duration::from_secs(13)).await;
            send(respond, head(200), b"ok\n".to_vec()).await;
        }
        "wait" => {
            tokio::time::sleep(Duration::from_millis(200)).await;
            send(respond, head(200), b"ok\n".to_vec()).await;
        }
        _ => send(respond, head(200), received).await,
    }
}

/// Answers a check.
async fn tell_health(health: Health, mut respond: SendResponse<Bytes>) {
    let (status, body) = match health {
        Health::Call(body, status) => (status, body),
        Health::Plain(status) => return send(respond, head(status), b"ok\n".to_vec()).await,
        Health::Silence => return std::future::pending().await,
    };
    let mut response = head(200);
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    if body.is_empty() {
        response.headers_mut().extend(trailers);
        respond.send_response(response, true).unwrap();
        return;
    }
    let mut stream = respond.send_response(response, false).unwrap();
    stream.send_data(body.into(), false).unwrap();
    stream.send_trailers(trailers).unwrap();
}

/// Says what it hears, as it hears it, and that all went well.
async fn talk(mut body: RecvStream, mut respond: SendResponse<Bytes>) {
    let mut response = head(200);
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let mut stream = respond.send_response(response, false).unwrap();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        if !data.is_empty() {
            stream.send_data(data, false).unwrap();
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", 0.into());
    stream.send_trailers(trailers).unwrap();
}

/// Sends an answer as there is room for it.
async fn send(mut respond: SendResponse<Bytes>, response: Response<()>, body: Vec<u8>) {
    let Ok(mut stream) = respond.send_response(response, false) else { return };
    let mut body = Bytes::from(body);
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
        let Some(Ok(room)) = room else { return };
        let part = body.split_to(room.min(body.len()));
        if stream.send_data(part, false).is_err() {
            return;
        }
    }
    let _ = stream.send_data(Bytes::new(), true);
}
