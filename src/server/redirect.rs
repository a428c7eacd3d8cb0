//! A listener in clear whose callers are sent to the one with TLS (`server.tls.redirect`).
//!
//! Nothing else is answered here: a key that was sent in clear has been seen by others, and only its owner
//! can know that.

use std::{convert::Infallible, net::TcpListener, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};

use crate::{chain::target::Host, gateway::Gateway};

/// Connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 1024;

/// What a connection may take in all: there is one answer on it.
const TIME_MAX: Duration = Duration::from_secs(10);

/// The longest head that is read.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long to wait when no connection can be taken.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, gateway: Arc<Gateway>, port: u16) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the redirecting listener failed"),
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let gateway = Arc::clone(&gateway);
                tokio::spawn(async move {
                    let _ = timeout(TIME_MAX, answer(stream, &gateway, port)).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(BACK_OFF).await,
        }
    }
}

async fn answer(stream: TcpStream, gateway: &Gateway, port: u16) {
    let answer = service_fn(async |request: Request<Incoming>| {
        let public_url = gateway.snapshot().server.public_url.clone();
        Ok::<_, Infallible>(redirect(&request, public_url.as_deref(), port))
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).max_buf_size(HEAD_BYTES_MAX).keep_alive(false);
    // An error is a client that has gone.
    let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
}

/// Sends a request to the same path at the address that callers are told, or else at the same host.
fn redirect<B>(
    request: &Request<B>,
    public_url: Option<&str>,
    port: u16,
) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let base = match public_url.filter(|url| url.starts_with("https://")) {
        Some(url) => Some(url.to_owned()),
        None => host(request).map(|host| match port {
            443 => format!("https://{host}"),
            _ => format!("https://{host}:{port}"),
        }),
    };
    let location = base.and_then(|base| HeaderValue::try_from(format!("{base}{path}")).ok());
    let (status, location) = match location {
        // The method stays (RFC 9110 section 15.4.9).
        Some(location) if path.starts_with('/') => (StatusCode::PERMANENT_REDIRECT, Some(location)),
        _ => (StatusCode::BAD_REQUEST, None),
    };
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.extend(location.map(|location| (header::LOCATION, location)));
    response
}

/// Gives the host that is asked for, without a port.
fn host<B>(request: &Request<B>) -> Option<String> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(only), None) = (hosts.next(), hosts.next()) else { return None };
    Some(Host::of(only).ok()?.name().to_owned())
}
