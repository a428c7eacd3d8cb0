//! The chain: what every request passes, in this order.
//!
//! Each step consumes the state before it and gives the next, or refuses. A state is made by its own
//! step alone, so having one is the proof that the steps before it agreed; or, where refusals are not
//! enforced, that its payer is marked and nothing more is taken for it (`payer.rs`).

mod ahead;
pub mod arrival;
pub mod authenticate;
pub mod credential;
pub mod exchange;
pub mod forecast;
pub mod forward;
pub mod head;
pub mod kept;
mod offers;
pub mod options;
pub mod origin;
pub mod pages;
pub mod payer;
pub mod payment;
mod preflight;
pub mod query;
pub mod quota;
mod receipts;
mod refuse;
pub mod reply;
pub mod reservation;
mod right;
pub mod route;
pub mod settle;
pub mod subscription;
pub mod target;
pub mod tunnel;
pub mod upload;

use std::rc::Rc;

use bytes::Bytes;
use http::{Response, header, request::Parts};

pub use self::refuse::keep_unread;
use crate::{
    answer::{Code, Ending, Fault, Refusal},
    chain::{
        arrival::Arrival, exchange::Exchange, forward::Forwarded, quota::Decided, reply::Reply,
        settle::AnswerBody, target::Target,
    },
    cors,
    memory::Pressure,
    pay::mpp,
    server::body::ClientBody,
    store::records::AnswerRecord,
    websocket,
    worker::{Connection, Worker},
};

/// Serves one request: runs it through the chain, and turns what comes out into the answer.
pub async fn serve(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    head: &mut Parts,
    body: ClientBody,
    arrival: Arrival,
) -> Reply {
    let mut exchange = Box::new(Exchange::begin(worker, connection, head, arrival));
    let with_cors = exchange.held_with_cors();
    let mut body = Some(body);
    let pressure = connection.watch.signals().pressure;
    let outcome = run(&mut exchange, head, &mut body, pressure).await;
    exchange.note_decided();
    let mut reply = match outcome {
        Ok(Outcome::Forwarded(forwarded)) => settle::settle(*forwarded, exchange),
        Ok(Outcome::Kept(answer)) => kept::reply(*answer, exchange),
        Ok(Outcome::Page(page)) => {
            refuse::dispose(body, head, &mut exchange).await;
            exchange.note_head(page.status());
            exchange.note_sent(page.body().len());
            exchange.finish_own_page();
            Reply::page(page)
        }
        Err(refused) => {
            let close = refuse::dispose(body, head, &mut exchange).await;
            refuse::answer(refused, close, head, exchange)
        }
    };
    if let Some(hsts) = connection.secured.as_ref().and_then(|secured| secured.tls().hsts()) {
        reply.fields.push(&header::STRICT_TRANSPORT_SECURITY, hsts);
    }
    // Here, where every kind of answer passes, so that no page is kept from reading why it was refused.
    if let Some(policy) = with_cors.as_ref().and_then(|held| held.snapshot().cors.as_ref()) {
        if !matches!(reply.body, AnswerBody::Own(_)) {
            cors::drop_said(&mut reply.fields);
        }
        policy.tell(&head.headers, &mut reply.fields);
    }
    reply
}

/// What comes out of the chain when nothing is refused.
enum Outcome {
    /// The upstream has answered.
    Forwarded(Box<Forwarded>),
    /// The answer was paid for, and sent, before.
    Kept(Box<AnswerRecord>),
    /// The gateway's own: a page under the reserved prefix, what it can do, or the answer to a preflight.
    Page(Response<Bytes>),
}

/// Why a request comes out of the chain unserved, and how it ended by that.
pub struct Refused {
    refusal: Refusal,
    ending: Ending,
}

impl Refused {
    /// Gives the code that the caller is told.
    fn code(&self) -> Code {
        match &self.refusal {
            Refusal::Denial(denial) => denial.code(),
            Refusal::Fault(fault) => fault.code(),
        }
    }
}

impl<R: Into<Refusal>> From<R> for Refused {
    fn from(refusal: R) -> Self {
        Self { refusal: refusal.into(), ending: Ending::Refused }
    }
}

async fn run(
    exchange: &mut Exchange,
    head: &mut Parts,
    body: &mut Option<ClientBody>,
    pressure: Pressure,
) -> Result<Outcome, Refused> {
    head::check(head, &exchange.snapshot().server.limits)?;
    if let Some(answer) = options::answer(head, exchange)? {
        return Ok(Outcome::Page(answer));
    }
    let target = Target::parse(head)?;
    exchange.note_target(&target);
    head::check_host(&target, exchange.connection())?;
    let page = pages::find(&target, exchange);
    if let Some(answered) = preflight::answer(&target, page, head, exchange) {
        return Ok(Outcome::Page(answered?));
    }
    if let Some(page) = page {
        return Ok(Outcome::Page(pages::answer(page, head, exchange).await?));
    }
    if pressure == Pressure::All {
        return Err(Fault::Overloaded.into());
    }
    let is_switch = websocket::asks_for(head)?;
    if is_switch {
        preflight::check_page(head, exchange)?;
    }
    let routed = route::route(exchange.routes(), head, target, exchange.enforcing())?;
    let is_payable = payment::offer(routed.route(), head).is_some();
    exchange.note_route(&routed, is_payable);
    if is_payable {
        exchange.note_accepted(head.headers.get(mpp::ACCEPT));
    }
    if is_switch {
        route::opens_websocket(routed.route())?;
    }
    let identified = authenticate::identify(routed, head, exchange)?;
    exchange.note_caller(identified.payer().caller());
    if pressure == Pressure::Keyless && identified.payer().caller().is_none() {
        return Err(Fault::Overloaded.into());
    }
    let authenticated = authenticate::authenticate(identified, exchange.peer(), exchange.now())?;
    let entitled = subscription::subscription(exchange.snapshot(), authenticated, exchange.now())?;
    exchange.note_shadow(entitled.payer().shadow());
    let payment = payment::read(head, entitled.routed(), entitled.payer(), exchange)?;
    payment::compare(payment.as_ref(), body, exchange).await?;
    let mut upload = upload::upload(body, exchange)?;
    let reserved = match quota::quota(entitled, payment, exchange).await {
        Ok(Decided::Kept(kept)) => {
            let answer = kept::same(*kept, &mut upload, exchange.progress()).await?;
            return Ok(Outcome::Kept(answer));
        }
        Ok(Decided::Reserved(reserved)) => reserved,
        Err(refusal) => {
            // What is to be paid for is the body, so that it is read.
            if exchange.wants_digest() {
                *body = Some(upload.give_back());
            }
            return Err(refusal.into());
        }
    };
    exchange.note_shadow(reserved.shadow());
    exchange.note_reserved(reserved.cost(), reserved.price());
    let forwarded = forward::forward(reserved, head, upload, is_switch, exchange).await?;
    let forwarded = payment::collect(forwarded, exchange).await?;
    Ok(Outcome::Forwarded(Box::new(forwarded)))
}
