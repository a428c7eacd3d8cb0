//! What happens is told once and in order, by one node for all, whichever of them live.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::Value;

use super::{
    away::STILL,
    rig::{NODES, Node},
    *,
};
use crate::{
    process::Client,
    support::{Exchange, Schema, Then, Upstream, postgres::server, upstream::OK},
    webhooks::verify,
};

const CUSTOMERS: u64 = 40;

/// Calls of a customer, of which each is a tenth of what it may use and is told, wherever it was made.
const CALLS: u64 = 10;

const EVENTS: usize = (CUSTOMERS * CALLS) as usize;

/// How long a receiver takes for each.
const TAKES: Duration = Duration::from_millis(40);

/// How many are under way at once, and so may come again when who sends them is lost.
const UNDER_WAY: usize = 4;

/// How long nothing is told where the node that does is gone without a word, at most.
const TAKEN_OVER: Duration = Duration::from_secs(8);

/// The same where it stops.
const HANDED_OVER: Duration = Duration::from_secs(4);

/// A receiver that knows what it was told.
struct Receiver {
    address: SocketAddr,
    told: Arc<Mutex<Vec<Told>>>,
    is_open: Arc<AtomicBool>,
}

/// An event that was answered.
#[derive(Clone, Debug)]
struct Told {
    at: Instant,
    id: String,
    customer: String,
    level: u64,
}

impl Receiver {
    /// Starts one that answers nobody before it is opened.
    fn start() -> Self {
        let (told, is_open) = (Arc::<Mutex<Vec<Told>>>::default(), Arc::<AtomicBool>::default());
        let (noted, opened) = (Arc::clone(&told), Arc::clone(&is_open));
        let upstream = Upstream::start(move |exchange: &mut Exchange<'_>| {
            exchange.read_body()?;
            let (id, _) = verify(exchange.request());
            let body: Value = serde_json::from_slice(&exchange.request().body).unwrap();
            while !opened.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(5));
            }
            thread::sleep(TAKES);
            noted.lock().unwrap().push(Told {
                at: Instant::now(),
                id: id.to_string(),
                customer: body["data"]["customer"].as_str().unwrap().to_owned(),
                level: body["data"]["threshold"].as_u64().unwrap(),
            });
            exchange.send(OK)?;
            Ok(Then::Close)
        });
        Self { address: upstream.address(), told, is_open }
    }

    fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
    }

    fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// Waits until it was told so many events, of those that came again one; each further one comes soon.
    fn wait_told(&self, count: usize) {
        let told = || self.told().into_iter().map(|told| told.id).collect::<BTreeSet<_>>().len();
        let mut known = told();
        while known < count {
            let what = format!("one more event than {known} of {count}");
            known = wait_for(&what, || Some(told()).filter(|told| *told > known));
        }
    }
}

/// Nodes on which every customer has called, and the receiver of what comes of it.
struct Scene {
    rig: Rig,
    receiver: Receiver,
    schema: Schema,
}

impl Scene {
    fn start(url: impl FnOnce(&Schema) -> String) -> Self {
        let (schema, receiver) = (Schema::new(), Receiver::start());
        let plan =
            Plan { customers: CUSTOMERS, receiver: Some(receiver.address), ..Plan::of(CALLS) };
        let rig = Rig::start(&plan, &url(&schema));
        Self { schema, receiver, rig }
    }

    /// Starts nodes, and has all that there is to be told in the outbox before anything of it is answered.
    fn loaded(url: impl FnOnce(&Schema) -> String) -> Self {
        let scene = Self::start(url);
        scene.call();
        let put = || scene.schema.ask("SELECT count(*) FROM outbox").parse::<usize>().unwrap();
        let mut known = put();
        while known < EVENTS {
            let what = format!("one more event than {known} of {EVENTS} in the outbox");
            known = wait_for(&what, || Some(put()).filter(|put| *put > known));
        }
        assert_eq!(known, EVENTS);
        scene.receiver.open();
        scene
    }

    /// Lets each customer call as often as it may, each time another node.
    fn call(&self) {
        let addresses = self.rig.addresses();
        let call = |customer: u64| {
            let mut clients: Vec<_> =
                addresses.iter().map(|address| Client::connect(*address).unwrap()).collect();
            for call in 0..CALLS {
                let node = usize::try_from(customer + call).unwrap() % NODES;
                let key = format!("key-of-c{customer}");
                let answer = clients[node].ask_whole("/one/x", &key).unwrap();
                assert_eq!(Got::from(&answer), Got::Served, "{}", answer.body);
            }
        };
        thread::scope(|scope| {
            for part in 0..4 {
                let call = &call;
                scope.spawn(move || (part..CUSTOMERS).step_by(4).for_each(call));
            }
        });
    }

    /// Gives the node that tells.
    fn teller(&self) -> usize {
        let id = || self.schema.ask("SELECT node FROM lead WHERE ends > now_ms()");
        let place = || self.rig.nodes.iter().position(|node| node.runs() && node.id() == id());
        wait_for("a node that tells", place)
    }

    /// Loses the node that tells, when a part is told; gives which one it was.
    fn lose(&mut self, lose: impl FnOnce(&mut Node)) -> usize {
        self.receiver.wait_told(EVENTS / 3);
        let teller = self.teller();
        lose(&mut self.rig.nodes[teller]);
        teller
    }

    /// Gives the longest time since an instant in which nothing was told.
    fn longest_pause(&self, since: Instant) -> Duration {
        let told = self.receiver.told().into_iter().map(|told| told.at).filter(|at| *at > since);
        let mut last = since;
        told.map(|at| at.saturating_duration_since(std::mem::replace(&mut last, at))).max().unwrap()
    }

    /// Ends all nodes and looks at what was told: each event, of each customer in order; gives how many came again.
    fn end(mut self, what: &str) -> usize {
        self.receiver.wait_told(EVENTS);
        self.rig.nodes.iter_mut().for_each(Node::stop);
        let told = self.receiver.told();
        let mut events = BTreeMap::<&str, Vec<(u64, &str)>>::new();
        for told in &told {
            events.entry(&told.customer).or_default().push((told.level, &told.id));
        }
        assert_eq!(events.len() as u64, CUSTOMERS);
        for (customer, mut told) in events {
            assert!(told.is_sorted_by_key(|(level, _)| *level), "{customer}: {told:?}");
            told.dedup();
            let levels: Vec<_> = told.iter().map(|(level, _)| *level).collect();
            let each: Vec<_> = (1..=CALLS).map(|call| call * 100 / CALLS).collect();
            assert_eq!(levels, each, "{customer}: {told:?}");
        }
        let again = told.len() - EVENTS;
        println!("{what}: {EVENTS} events told, {again} of them again");
        let states = "SELECT string_agg(DISTINCT state, ' ') FROM outbox";
        assert_eq!(self.schema.ask(states), "delivered");
        again
    }
}

#[test]
fn each_event_is_told_once_while_all_nodes_live() {
    let scene = Scene::start(Schema::url);
    scene.receiver.open();
    scene.call();
    let called = Instant::now();
    scene.receiver.wait_told(EVENTS);
    println!("the last one was told {:?} behind the last call", called.elapsed());
    assert_eq!(scene.end("all live"), 0);
}

#[test]
fn events_are_told_on_when_the_node_that_does_is_killed() {
    let mut scene = Scene::loaded(Schema::url);
    scene.lose(Node::kill);
    let killed = Instant::now();
    scene.receiver.wait_told(EVENTS);
    let pause = scene.longest_pause(killed);
    println!("killed: nothing was told for {pause:?}");
    assert!(pause < TAKEN_OVER, "{pause:?}");
    assert!(scene.end("killed") <= UNDER_WAY);
}

#[test]
fn a_node_that_stood_still_does_not_tell_beside_the_next_one() {
    let mut scene = Scene::loaded(Schema::url);
    let teller = scene.lose(|node| node.gateway().signal("STOP"));
    let stopped = Instant::now();
    scene.receiver.wait_told(EVENTS * 2 / 3);
    let pause = scene.longest_pause(stopped);
    println!("held still: nothing was told for {pause:?}");
    assert!(pause < TAKEN_OVER, "{pause:?}");
    scene.rig.nodes[teller].gateway().signal("CONT");
    scene.receiver.wait_told(EVENTS);
    assert_ne!(scene.teller(), teller);
    assert!(scene.end("held still") <= UNDER_WAY);
}

#[test]
fn nodes_that_stop_one_after_the_other_hand_it_over() {
    let mut scene = Scene::loaded(Schema::url);
    let began = Instant::now();
    for part in 1..=3 {
        scene.receiver.wait_told(EVENTS * part / 4);
        let teller = scene.teller();
        scene.rig.nodes[teller].stop();
        assert_ne!(scene.teller(), teller);
        scene.rig.nodes[teller].start();
    }
    scene.receiver.wait_told(EVENTS);
    let pause = scene.longest_pause(began);
    println!("stopped: nothing was told for {pause:?} at most");
    assert!(pause < HANDED_OVER, "{pause:?}");
    assert!(scene.end("stopped") <= 3 * UNDER_WAY);
}

/// Its folds are refused, as if another process had written them; the server is there all the time.
#[test]
fn a_node_that_cannot_keep_anything_hands_it_over() {
    let mut scene = Scene::start(Schema::url);
    let teller = scene.teller();
    let call = || {
        let mut client = Client::connect(scene.rig.nodes[teller].address).unwrap();
        assert_eq!(client.ask("/one/x", KEY).unwrap().0, 200);
    };
    call();
    scene.rig.wait_used("acme", 1);
    let id = scene.rig.nodes[teller].id();
    let position = format!("FROM positions WHERE node = '{id}'");
    wait_for("a fold", || {
        (scene.schema.ask(&format!("SELECT count(*) {position}")) != "0").then_some(())
    });
    scene
        .schema
        .ask(&format!("UPDATE positions SET sequence = 1::bigint << 60 WHERE node = '{id}'"));
    call();
    let is_ready = || scene.rig.nodes[teller].gateway().is_ready();
    wait_for("a fold that fails", || (!is_ready()).then_some(()));
    let began = Instant::now();
    wait_for("another node", || (scene.teller() != teller).then_some(()));
    let taken = began.elapsed();
    println!("a node that cannot keep anything: another one tells after {taken:?}");
    assert!(taken < HANDED_OVER, "{taken:?}");
    scene.rig.nodes[teller].kill();
}

#[test]
fn events_are_told_on_when_the_database_is_back() {
    let relay = Relay::start(server().parse().unwrap());
    let scene = Scene::loaded(|schema| schema.url_at(&relay.address.to_string()));
    scene.receiver.wait_told(EVENTS / 3);
    relay.set(Mode::Down);
    // As long as a node may tell without the database, and longer.
    thread::sleep(STILL * 2);
    let told = scene.receiver.told().len();
    assert!(told < EVENTS);
    relay.set(Mode::Pass);
    let back = Instant::now();
    scene.receiver.wait_told(EVENTS);
    let pause = scene.longest_pause(back);
    println!(
        "database away: {told} told by then, nothing was told for {pause:?} behind the return"
    );
    assert!(pause < TAKEN_OVER, "{pause:?}");
    assert!(scene.end("database away") <= UNDER_WAY);
}
