//! A facilitator that does as a test says: who settles payments is a stranger, and may be any of these.

use std::{
    collections::HashMap,
    io,
    net::TcpListener,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Exchange, Then, Upstream};

/// A facilitator with a chain of its own: orders that were carried out, by their nonces.
pub(crate) struct Facilitator {
    upstream: Upstream,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    mood: Mutex<Mood>,
    moved: Mutex<HashMap<String, u64>>,
}

/// What it does.
#[derive(Clone, Debug, Default)]
pub(crate) enum Mood {
    /// It says so many times that it is asked too much, and for how long it is to be left alone.
    Busy(usize, u64),
    /// It says nothing to verify.
    DumbToVerify,
    /// It moves the money, and answers 500.
    FailsAfter,
    /// It settles on another network.
    Elsewhere,
    #[default]
    Good,
    /// It moves the money, and never answers.
    HangsAfter,
    /// It says that something else was moved: a member of its answer, and what stands there.
    Lies(&'static str, Value),
    /// It says that it is under way.
    Pending,
    /// It sends to another place.
    Redirects(&'static str),
    /// It does not settle, for a reason.
    RefusesToSettle(&'static str),
    /// It does not verify, for a reason.
    RefusesToVerify(&'static str),
    /// It moves the money, and resets the connection.
    ResetsAfter,
    /// It does nothing until it is told otherwise, and settles then.
    Waits,
}

const TRANSACTION: &str = "0xb588fdf1d18359f895ae0fa96d821c4055d2e1c8ef5a5a365a7cb65f39fd7437";

impl Facilitator {
    pub(crate) fn start() -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn start_on(listener: TcpListener) -> Self {
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        let upstream = Upstream::start_on(listener, move |exchange| {
            exchange.read_body()?;
            if shared.is_busy(exchange)? {
                return Ok(Then::KeepAlive);
            }
            if exchange.request().target() == "/x402/supported" {
                return shared.supported(exchange);
            }
            let order: Value = serde_json::from_slice(&exchange.request().body).unwrap();
            match exchange.request().target() {
                "/x402/verify" => shared.verify(exchange, &order),
                "/x402/settle" => shared.settle(exchange, &order),
                other => panic!("{other}"),
            }
        });
        Self { upstream, state }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.state.mood.lock().unwrap() = mood;
    }

    /// Gives the URL that is configured.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/x402", self.upstream.address())
    }

    /// Gives how many times it was asked for something.
    pub(crate) fn asked(&self, path: &str) -> usize {
        let requests = self.upstream.requests();
        requests.iter().filter(|request| request.target() == format!("/x402/{path}")).count()
    }

    /// Gives how many connections it was asked over.
    pub(crate) fn connections(&self) -> usize {
        self.upstream.connections()
    }

    /// Waits until it was asked to do something so many times.
    pub(crate) fn wait_asked(&self, path: &str, count: usize) {
        crate::support::wait_for("a call", || (self.asked(path) >= count).then_some(()));
    }

    /// Gives the last order that came.
    pub(crate) fn last_order(&self) -> Value {
        serde_json::from_slice(&self.upstream.last().body).unwrap()
    }

    /// Gives how many transfers there were; of none more than one.
    pub(crate) fn transfers(&self) -> usize {
        let moved = self.state.moved.lock().unwrap();
        assert!(moved.values().all(|times| *times == 1), "{moved:?}");
        moved.len()
    }
}

impl State {
    fn is_busy(&self, exchange: &mut Exchange<'_>) -> io::Result<bool> {
        let mut mood = self.mood.lock().unwrap();
        let Mood::Busy(left @ 1.., seconds) = *mood else { return Ok(false) };
        *mood = Mood::Busy(left - 1, seconds);
        exchange.send(format!(
            "HTTP/1.1 429 Later\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\n\r\n"
        ))?;
        Ok(true)
    }

    fn supported(&self, exchange: &mut Exchange<'_>) -> io::Result<Then> {
        let network = match *self.mood.lock().unwrap() {
            Mood::Elsewhere => "eip155:8453",
            _ => "eip155:84532",
        };
        let kinds = json!([{"x402Version": 2, "scheme": "exact", "network": network}]);
        send(exchange, 200, &json!({"kinds": kinds, "extensions": [], "signers": {}}))
    }

    fn verify(&self, exchange: &mut Exchange<'_>, order: &Value) -> io::Result<Then> {
        let authorization = &order["paymentPayload"]["payload"]["authorization"];
        let payer = &authorization["from"];
        let mood = self.mood.lock().unwrap().clone();
        let answer = match mood {
            Mood::DumbToVerify => return Ok(Then::Silence),
            Mood::RefusesToVerify(reason) => {
                json!({"isValid": false, "invalidReason": reason, "payer": payer})
            }
            Mood::Redirects("verify") => return redirect(exchange),
            _ => json!({"isValid": true, "payer": payer}),
        };
        send(exchange, 200, &answer)
    }

    fn settle(&self, exchange: &mut Exchange<'_>, order: &Value) -> io::Result<Then> {
        let payload = &order["paymentPayload"]["payload"]["authorization"];
        let (payer, nonce) = (&payload["from"], payload["nonce"].as_str().unwrap());
        let network = &order["paymentRequirements"]["network"];
        while matches!(*self.mood.lock().unwrap(), Mood::Waits) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mood = self.mood.lock().unwrap().clone();
        match mood {
            Mood::RefusesToSettle(reason) => {
                let answer = json!({"success": false, "errorReason": reason, "transaction": "",
                    "network": network, "payer": payer});
                return send(exchange, 200, &answer);
            }
            Mood::Pending => {
                let answer = json!({"success": false, "errorReason": "settlement_pending",
                    "transaction": TRANSACTION, "network": network, "payer": payer});
                return send(exchange, 200, &answer);
            }
            Mood::Redirects("settle") => return redirect(exchange),
            _ => {}
        }
        // Carried out once; who asks again is told the same.
        self.moved.lock().unwrap().entry(nonce.to_owned()).or_insert(1);
        let mut answer = json!({"success": true, "transaction": TRANSACTION, "network": network,
            "payer": payer});
        match mood {
            Mood::HangsAfter => Ok(Then::Silence),
            Mood::ResetsAfter => Ok(Then::Reset),
            Mood::FailsAfter => send(exchange, 500, &json!("no")),
            Mood::Lies(name, value) => {
                answer[name] = value;
                send(exchange, 200, &answer)
            }
            _ => send(exchange, 200, &answer),
        }
    }
}

fn send(exchange: &mut Exchange<'_>, status: u16, answer: &Value) -> io::Result<Then> {
    let body = answer.to_string();
    let head = format!(
        "HTTP/1.1 {status} Told\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    exchange.send(head + &body)?;
    Ok(Then::KeepAlive)
}

fn redirect(exchange: &mut Exchange<'_>) -> io::Result<Then> {
    let body = json!({"isValid": true, "success": true, "transaction": TRANSACTION}).to_string();
    exchange.send(format!(
        "HTTP/1.1 307 Elsewhere\r\nLocation: /x402/settle\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))?;
    Ok(Then::Close)
}
