//! Fifth step: the request goes up, and the head of the answer comes back.

mod attempts;

use std::{rc::Rc, sync::Arc};

use http::{HeaderValue, StatusCode, header, request};

use self::attempts::Attempts;
pub(super) use self::attempts::unless_cut;
use crate::{
    answer::{Code, Denial, Ending, Fault},
    chain::{
        Refused, credential,
        exchange::Exchange,
        payer::Payer,
        payment::Paid,
        quota::Reserved,
        reservation::Reservation,
        route::Routed,
        subscription::Notice,
        target::{self, Host},
        tunnel::Tunnel,
    },
    http1::{is_member, values_of},
    model::Route,
    server::tls::Secured,
    upstream::{
        balance::Choice,
        body::UploadBody,
        headers::{self, Told},
        http1::{Head, Outgoing},
        lane::Lane,
    },
    websocket,
};

/// A request that the upstream has answered with a head.
#[derive(Debug)]
pub struct Forwarded {
    pub(super) head: Head,
    pub(super) connection: Lane,
    pub(super) route: Arc<Route>,
    /// The refusal that was overlooked.
    pub(super) shadow: Option<Code>,
    pub(super) notice: Option<Notice>,
    pub(super) reservation: Option<Reservation>,
    pub(super) paid: Option<Paid>,
    /// What was opened, where the answer is a switch of protocols.
    pub(super) tunnel: Option<Tunnel>,
}

/// What is forwarded, and for whom.
struct Call<'a> {
    routed: &'a Routed,
    payer: &'a Payer,
    /// It asks for a WebSocket.
    is_switch: bool,
}

/// What came of it.
struct Sent {
    head: Head,
    connection: Lane,
    tunnel: Option<Tunnel>,
}

/// Sends a reserved request up. On failure the reservation or the payment is settled before this returns.
pub async fn forward(
    reserved: Reserved,
    head: &mut request::Parts,
    mut body: UploadBody,
    is_switch: bool,
    exchange: &mut Exchange,
) -> Result<Forwarded, Refused> {
    let (routed, payer, notice, reservation, paid) = reserved.into_parts();
    let call = Call { routed: &routed, payer: &payer, is_switch };
    if paid.as_ref().is_some_and(Paid::is_pledged) {
        body.keep_interim();
    }
    if let Some(print) = paid.as_ref().and_then(Paid::print) {
        body.follow(print.clone());
    }
    match send(&call, head, body, exchange).await {
        Ok(Sent { head, connection, tunnel }) => {
            let (route, shadow) = (Arc::clone(routed.route()), payer.shadow());
            Ok(Forwarded { head, connection, route, shadow, notice, reservation, paid, tunnel })
        }
        Err(refused) => {
            if let Some(reservation) = reservation {
                reservation.settle(refused.ending);
            }
            if let Some(paid) = paid {
                paid.settle(refused.ending);
            }
            Err(refused)
        }
    }
}

async fn send(
    call: &Call<'_>,
    head: &mut request::Parts,
    body: UploadBody,
    exchange: &mut Exchange,
) -> Result<Sent, Refused> {
    let choice = Choice::new(&call.routed.route().upstream, exchange.pool());
    let request = request(call, head, body, &choice.endpoint().authority, exchange);
    let unsent = |denial: Denial| Refused { refusal: denial.into(), ending: Ending::Unsent };
    let mut request = request.map_err(unsent)?;
    let began = exchange.note_sending();
    let mut attempts = Attempts::new(call, choice, exchange, began);
    if !call.is_switch {
        attempts.allow_retries(&head.method, &mut request);
    }
    let sent = attempts.send(&mut request).await;
    let took = began.elapsed();
    if let Ok((_, connection)) = &sent {
        attempts.count_answer(connection, took);
    }
    let index = attempts.endpoint();
    let sent = sent.and_then(|(answer, mut connection)| {
        let head = accepted(answer, call.is_switch, head)?;
        if head.status != StatusCode::SWITCHING_PROTOCOLS {
            connection.detach(request);
            return Ok(Sent { head, connection, tunnel: None });
        }
        let (tunnel, meter) = Tunnel::open(exchange, call.routed.entry().clone(), call.payer);
        connection.switch(request, meter);
        Ok(Sent { head, connection, tunnel: Some(tunnel) })
    });
    exchange.note_endpoint(index);
    exchange.note_answered(took, sent.as_ref().map(|sent| sent.head.status).map_err(Refused::code));
    #[cfg(debug_assertions)]
    crate::failpoint::hit(crate::failpoint::Point::BeforeHead, &call.routed.route().name);
    sent
}

fn request(
    call: &Call<'_>,
    head: &mut request::Parts,
    body: UploadBody,
    authority: &HeaderValue,
    exchange: &Exchange,
) -> Result<Outgoing, Denial> {
    let Call { routed, payer, is_switch } = *call;
    let route = routed.route();
    let locations = &exchange.snapshot().key_locations;
    let (strip, base) = (route.strip_prefix.as_deref(), &route.upstream.base_path);
    let target = routed.target().without_parameters(&credential::query_names(locations))?;
    let target = target::forwarded(&target, strip, base)?;
    let told = Told {
        identity: payer.caller().map(|caller| &caller.identity),
        request_id: exchange.request_id_value(),
        version: head.version,
        // RFC 9110 section 10.1.4.
        takes_trailers: is_member(values_of(&head.headers, &header::TE), "trailers"),
        is_switch,
        origin: exchange.origin(),
        peer: &exchange.connection().peer_value,
        scheme: exchange.scheme(),
        client_cert: exchange.connection().secured.as_deref().and_then(Secured::client),
        host: routed.target().host().map(Host::value),
        authority,
        key_locations: locations,
        takes_payments: exchange.snapshot().x402.is_some(),
        trace: exchange.trace(),
    };
    credential::remove(&mut head.headers, locations);
    let written = headers::forward(&head.method, &target, &head.headers, &route.upstream, &told);
    let has_length = head.headers.contains_key(header::CONTENT_LENGTH);
    let progress = Rc::clone(exchange.progress());
    Ok(Outgoing::new(&head.method, written, has_length, body, progress))
}

/// Keeps back an answer that must not reach the caller.
fn accepted(answer: Head, is_switch: bool, head: &request::Parts) -> Result<Head, Refused> {
    let is_accepted =
        is_switch && answer.is_websocket && websocket::is_accepted(head, answer.accept.as_ref());
    let fault = match answer.status {
        StatusCode::PAYMENT_REQUIRED => Fault::UpstreamPaymentRequired,
        StatusCode::SWITCHING_PROTOCOLS if is_accepted => return Ok(answer),
        // To what nobody asked for.
        StatusCode::SWITCHING_PROTOCOLS => Fault::UpstreamError,
        // On a stream it would say that the WebSocket is open.
        status if status.is_success() && websocket::is_on_stream(head) => Fault::UpstreamError,
        _ => return Ok(answer),
    };
    Err(Refused { refusal: fault.into(), ending: Ending::Uncharged })
}
