//! Fifth step: the request goes up, and the head of the answer comes back.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use http::{HeaderMap, HeaderValue, StatusCode, Version, header, request};
use tokio::time::Instant;

use crate::{
    answer::{Code, Denial, Ending, Fault, Refusal},
    chain::{
        Refused, credential,
        exchange::Exchange,
        quota::Reserved,
        reservation::Reservation,
        route::Routed,
        subscription::Notice,
        target::{self, Host},
        tunnel::Tunnel,
    },
    model::{HostHeader, Route},
    progress::{Cut, Progress, Upload},
    roster::Identity,
    server::tls::Secured,
    upstream::{
        balance::Choice,
        body::UploadBody,
        connection::Connection,
        headers::{self, Told},
        http1::{ExchangeError, Head, Outgoing},
        pool::Pool,
    },
};

/// A request that the upstream has answered with a head.
#[derive(Debug)]
pub struct Forwarded {
    pub(super) head: Head,
    pub(super) connection: Connection,
    pub(super) route: Arc<Route>,
    /// The refusal that was overlooked.
    pub(super) shadow: Option<Code>,
    pub(super) notice: Option<Notice>,
    pub(super) reservation: Option<Reservation>,
    /// What was opened, where the answer is a switch of protocols.
    pub(super) tunnel: Option<Tunnel>,
}

/// Sends a reserved request up. On failure the reservation is settled before this returns.
pub async fn forward(
    reserved: Reserved,
    head: &mut request::Parts,
    body: UploadBody,
    is_switch: bool,
    exchange: &mut Exchange,
) -> Result<Forwarded, Refused> {
    let (routed, payer, notice, reservation) = reserved.into_parts();
    let route = Arc::clone(routed.route());
    let identity = payer.caller().map(|caller| &caller.identity);
    let mut choice = Choice::new(&route.upstream, exchange.pool());
    let authority = &choice.endpoint().authority;
    let mut tunnel = None;
    let exchanged = match request(head, body, is_switch, &routed, identity, authority, exchange) {
        Ok(mut request) => {
            let began = exchange.note_sending();
            let mut sent =
                send(&mut request, &mut choice, &routed, is_switch, exchange, began).await;
            match &mut sent {
                Ok((head, connection)) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                    let (opened, meter) = Tunnel::open(exchange, routed.entry().clone(), &payer);
                    tunnel = Some(opened);
                    connection.switch(request, meter);
                }
                Ok((_, connection)) => connection.detach(request),
                Err(_) => {}
            }
            let took = began.elapsed();
            count(&sent, took, &choice, exchange.pool());
            exchange.note_endpoint(choice.index());
            let answer = match &sent {
                Ok((head, _)) => Ok(head.status),
                Err(refused) => Err(refused.code()),
            };
            exchange.note_answered(took, answer);
            #[cfg(debug_assertions)]
            crate::failpoint::hit(crate::failpoint::Point::BeforeHead, &route.name);
            sent
        }
        Err(denial) => Err(Refused { refusal: denial.into(), ending: Ending::Unsent }),
    };
    match exchanged {
        Ok((head, connection)) => {
            let shadow = payer.shadow();
            Ok(Forwarded { head, connection, route, shadow, notice, reservation, tunnel })
        }
        Err(refused) => {
            if let Some(reservation) = reservation {
                reservation.settle(refused.ending);
            }
            Err(refused)
        }
    }
}

fn request(
    head: &mut request::Parts,
    body: UploadBody,
    is_switch: bool,
    routed: &Routed,
    identity: Option<&Identity>,
    authority: &HeaderValue,
    exchange: &Exchange,
) -> Result<Outgoing, Denial> {
    let route = routed.route();
    let locations = &exchange.snapshot().key_locations;
    let (strip, base) = (route.strip_prefix.as_deref(), &route.upstream.base_path);
    let target = routed.target().without_parameters(&credential::query_names(locations))?;
    let target = target::forwarded(&target, strip, base)?;
    let told = Told {
        identity,
        request_id: exchange.request_id_value(),
        is_old: head.version == Version::HTTP_10,
        takes_trailers: takes_trailers(&head.headers),
        is_switch,
        origin: exchange.origin(),
        peer: &exchange.connection().peer_value,
        scheme: exchange.scheme(),
        client_cert: exchange.connection().secured.as_ref().and_then(Secured::client),
        host: routed.target().host().map(Host::value),
        authority,
        key_locations: locations,
        trace: exchange.trace(),
    };
    credential::remove(&mut head.headers, locations);
    let written = headers::forward(&head.method, &target, &head.headers, &route.upstream, &told);
    let has_length = head.headers.contains_key(header::CONTENT_LENGTH);
    let progress = Rc::clone(exchange.progress());
    Ok(Outgoing::new(&head.method, written, has_length, body, progress))
}

/// Tells whether the client takes fields behind the answer's body (RFC 9110 section 10.1.4).
fn takes_trailers(fields: &HeaderMap) -> bool {
    let values = fields.get_all(header::TE).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

async fn send(
    request: &mut Outgoing,
    choice: &mut Choice<'_>,
    routed: &Routed,
    is_switch: bool,
    exchange: &Exchange,
    began: Instant,
) -> Result<(Head, Connection), Refused> {
    let progress = exchange.progress();
    loop {
        let unused = exchange.pool().take(choice.endpoint(), began);
        let mut connection = match unused {
            Some(unused) => unused,
            // Seldom, and large.
            None => match Box::pin(open(choice, exchange, began)).await {
                Ok(connection) => connection,
                Err(refused) if moves_on(&refused, request, choice, routed, exchange, began) => {
                    continue;
                }
                Err(refused) => return Err(refused),
            },
        };
        let answer = unless_cut(pin!(connection.exchange(request)), progress).await;
        match answer {
            None => return Err(timed_out(progress)),
            Some(Ok(head)) => {
                connection.hold(choice.take_in_flight());
                return Ok((accepted(head, is_switch)?, connection));
            }
            // A connection that was closed while unused did not take the request: nothing of it was
            // sent, so another one may. A new one that closes at once is asked only once.
            Some(Err(_)) if connection.is_reused() && !request.is_begun() => {}
            Some(Err(error)) => {
                let refused = broken(&error, progress);
                if !moves_on(&refused, request, choice, routed, exchange, began) {
                    return Err(refused);
                }
            }
        }
    }
}

/// Chooses another endpoint after one that failed; false where none may be asked. One that took a
/// byte of the request may have done what it asks for, so that no other is asked for it again.
fn moves_on(
    refused: &Refused,
    request: &mut Outgoing,
    choice: &mut Choice<'_>,
    routed: &Routed,
    exchange: &Exchange,
    began: Instant,
) -> bool {
    let is_fault =
        matches!(refused.refusal, Refusal::Fault(Fault::UpstreamError | Fault::UpstreamTimeout));
    if choice.is_last() || request.is_begun() || !is_fault || exchange.progress().cut().is_some() {
        return false;
    }
    let (now, upstream) = (Instant::now(), choice.upstream());
    if now >= began + upstream.connect_timeout {
        return false;
    }
    exchange.pool().figures(upstream, choice.endpoint()).unreachable();
    choice.note_failure(now);
    if !choice.move_on(now) {
        return false;
    }
    if upstream.host_header == HostHeader::Upstream || routed.target().host().is_none() {
        request.set_host(&choice.endpoint().authority);
    }
    true
}

/// Counts how the endpoint did. What the caller broke off says nothing about it.
fn count(
    sent: &Result<(Head, Connection), Refused>,
    took: Duration,
    choice: &Choice<'_>,
    pool: &Pool,
) {
    let Refused { refusal, ending } = match sent {
        Ok((_, connection)) => {
            choice.note_success();
            return connection.figures().answered(took);
        }
        Err(refused) => refused,
    };
    let Refusal::Fault(fault) = refusal else { return };
    let endpoint = pool.figures(choice.upstream(), choice.endpoint());
    match (fault, ending) {
        (Fault::UpstreamError | Fault::UpstreamTimeout, Ending::Unsent) => endpoint.unreachable(),
        (Fault::UpstreamError, Ending::Failed) => endpoint.failed(),
        (Fault::UpstreamTimeout, _) => endpoint.timed_out(),
        (Fault::UpstreamError | Fault::UpstreamPaymentRequired, _) => {
            choice.note_success();
            return endpoint.answered(took);
        }
        (Fault::Internal | Fault::Overloaded | Fault::QuotaUnavailable, _) => return,
    }
    choice.note_failure(Instant::now());
}

async fn open(
    choice: &Choice<'_>,
    exchange: &Exchange,
    began: Instant,
) -> Result<Connection, Refused> {
    let (upstream, endpoint) = (choice.upstream(), choice.endpoint());
    let figures = exchange.pool().figures(upstream, endpoint);
    let timeout = time_to_connect(choice, began);
    let opening = pin!(Connection::open(endpoint, figures, timeout, upstream.keepalive_timeout));
    match unless_cut(opening, exchange.progress()).await {
        None => Err(timed_out(exchange.progress())),
        Some(Ok(connection)) => Ok(connection),
        Some(Err(error)) => {
            let authority = endpoint.authority.to_str().unwrap_or_default();
            tracing::warn!(upstream = %upstream.id, endpoint = %authority, %error, "upstream cannot be reached");
            let fault = match error.kind() {
                std::io::ErrorKind::TimedOut => Fault::UpstreamTimeout,
                _ => Fault::UpstreamError,
            };
            Err(Refused { refusal: fault.into(), ending: Ending::Unsent })
        }
    }
}

/// Gives how long a connection may take. The time is for all endpoints together: half of what is left
/// of it stays for the others, or one that does not answer would take it all.
fn time_to_connect(choice: &Choice<'_>, began: Instant) -> Duration {
    let whole = choice.upstream().connect_timeout;
    if choice.is_single() {
        return whole;
    }
    let left = whole.saturating_sub(began.elapsed());
    if choice.is_last() { left } else { left / 2 }
}

/// Runs a future until it is ready or a clock cuts the request. The connection's task polls again
/// after a cut, so the look at the flag comes first.
async fn unless_cut<T>(
    mut future: Pin<&mut impl Future<Output = T>>,
    progress: &Progress,
) -> Option<T> {
    poll_fn(|context| match progress.cut() {
        Some(_) => Poll::Ready(None),
        None => future.as_mut().poll(context).map(Some),
    })
    .await
}

fn timed_out(progress: &Progress) -> Refused {
    let refusal = match (progress.cut(), progress.upload()) {
        (Some(Cut::ClientIdle | Cut::ClientSlow), Upload::Open) => Denial::BodyTooSlow.into(),
        (Some(Cut::Drain), _) => Fault::Overloaded.into(),
        _ => Fault::UpstreamTimeout.into(),
    };
    let ending = if progress.sent() { Ending::Failed } else { Ending::Unsent };
    Refused { refusal, ending }
}

/// Tells whose doing a failed exchange is: a body that broke is the caller's, all else the upstream's.
fn broken(error: &ExchangeError, progress: &Progress) -> Refused {
    let (refusal, ending) = match progress.upload() {
        Upload::TooLarge { max } => (Denial::BodyTooLarge { max }.into(), Ending::Abandoned),
        Upload::Broken => {
            (Denial::InvalidRequest("The request's body ended early.").into(), Ending::Abandoned)
        }
        Upload::Open | Upload::Done => {
            tracing::warn!(%error, "upstream failed before its head");
            (Fault::UpstreamError.into(), Ending::Failed)
        }
    };
    Refused { refusal, ending: if progress.sent() { ending } else { Ending::Unsent } }
}

/// Keeps back an answer that must not reach the caller.
fn accepted(head: Head, is_switch: bool) -> Result<Head, Refused> {
    let fault = match head.status {
        StatusCode::PAYMENT_REQUIRED => Fault::UpstreamPaymentRequired,
        StatusCode::SWITCHING_PROTOCOLS if is_switch && head.is_websocket => return Ok(head),
        // To what nobody asked for.
        StatusCode::SWITCHING_PROTOCOLS => Fault::UpstreamError,
        _ => return Ok(head),
    };
    Err(Refused { refusal: fault.into(), ending: Ending::Uncharged })
}
