//! Nodes that come at once, and what they are told.

use std::{
    collections::BTreeSet,
    future::poll_fn,
    sync::{Arc, Barrier},
};

use tokio::time::Instant;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, Socket, tls::NoTlsStream};

use super::{super::postgres::url, *};
use crate::ledger::lease::{Holder, Lack};

/// A node that takes one unit at a time, until there is none; gives how many it had.
fn drain(schema: &str, (node, run): (usize, u64), limit: u64) -> u64 {
    let leases = Leases::new(server(schema)).unwrap();
    let mut holders = [Holder::default(), Holder::default()];
    let began = Instant::now();
    let mut served = 0;
    let mut is_used_up = [false; 2];
    while is_used_up != [true; 2] || !holders.iter().all(Holder::is_over) {
        let now = began.elapsed();
        assert!(now < Duration::from_secs(30), "node {node} had {served}");
        for (holder, is_used_up) in holders.iter_mut().zip(&mut is_used_up) {
            while !*is_used_up {
                if holder.fits(1, now) {
                    holder.take(1, now);
                    holder.settle(1, 1);
                    served += 1;
                    continue;
                }
                if holder.lack(1, now, now) == Lack::UsedUp {
                    *is_used_up = true;
                    holder.stop();
                } else {
                    holder.wait(1);
                }
                break;
            }
        }
        let letters = holders.iter_mut().enumerate();
        let letters =
            letters.filter_map(|(number, holder)| Some((number, holder.letter(limit, now)?)));
        let mut letters: Vec<_> = letters.collect();
        if node.is_multiple_of(2) {
            letters.reverse();
        }
        let sent: Vec<_> = letters.iter().map(|(number, one)| addressed(*number, *one)).collect();
        let replies = leases.exchange(node_id(node), run, &sent, None).unwrap().unwrap();
        let now = began.elapsed();
        for ((number, letter), reply) in letters.iter().zip(&replies) {
            let reply = reply.unwrap();
            holders[*number].receive(&reply, now);
            // Nobody listens here: what another one waits for is given back as when it is told.
            if letter.ask.is_some() && reply.granted == 0 {
                holders[*number].recall(now);
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    served
}

#[test]
fn leases_of_nodes_that_come_at_once_are_all_there_is_and_no_more() {
    let place = Place::new();
    let limit = 500;
    let served: u64 = thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|node| (node, begin(&place, node))).collect();
        let name = place.name();
        let nodes: Vec<_> = runs
            .into_iter()
            .map(|(node, run)| scope.spawn(move || drain(name, (node, run), limit)))
            .collect();
        nodes.into_iter().map(|node| node.join().unwrap()).sum()
    });
    assert_eq!(served, 2 * limit);
    let limit = limit.cast_signed();
    assert_eq!(pools(&place).into_values().collect::<Vec<_>>(), [(limit, 0, 0, 0); 2]);
}

#[test]
fn leases_that_many_ask_for_at_once_are_given_out_once() {
    const ASKERS: usize = 8;
    const TOGETHER: usize = 60;
    let place = Place::new();
    let start = Arc::new(Barrier::new(ASKERS));
    let ask = |node: usize| {
        let (start, name, run) = (Arc::clone(&start), place.name().to_owned(), begin(&place, node));
        move || {
            let leases = Leases::new(server(&name)).unwrap();
            let mut granted = BTreeMap::<usize, u64>::new();
            let mut failed = Vec::new();
            for round in 0..5 {
                let mut accounts: Vec<_> = (round * TOGETHER..(round + 1) * TOGETHER).collect();
                accounts.rotate_left(node * TOGETHER / ASKERS);
                // What is new is asked for, and then what is there.
                for turn in 1..=2 {
                    let letter = Letter { limit: 3, ceiling: turn - 1, ..asks(turn, 1) };
                    let letters: Vec<_> =
                        accounts.iter().map(|number| addressed(*number, letter)).collect();
                    // Whoever fails still comes, so that nobody waits for it.
                    start.wait();
                    let replies = leases.exchange(node_id(node), run, &letters, None);
                    let replies = replies.map_err(|error| told(&error)).map(Option::unwrap);
                    for (number, reply) in accounts.iter().zip(replies.clone().unwrap_or_default())
                    {
                        *granted.entry(*number).or_default() += reply.unwrap().granted;
                    }
                    failed.extend(replies.err());
                    accounts.reverse();
                }
            }
            assert_eq!(failed, Vec::<String>::new());
            granted
        }
    };
    let nodes: Vec<_> = (0..ASKERS).map(|node| thread::spawn(ask(node))).collect();
    let mut sums = BTreeMap::<usize, u64>::new();
    for (number, units) in nodes.into_iter().flat_map(|node| node.join().unwrap()) {
        *sums.entry(number).or_default() += units;
    }
    assert_eq!(sums.len(), 5 * TOGETHER);
    assert_eq!(sums.into_values().collect::<BTreeSet<_>>(), BTreeSet::from([3]));
}

/// Hears what is told to all who listen.
struct Listener {
    runtime: tokio::runtime::Runtime,
    _client: Client,
    connection: Connection<Socket, NoTlsStream>,
}

impl Listener {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (client, mut connection) =
            runtime.block_on(tokio_postgres::connect(&url(), NoTls)).unwrap();
        runtime.block_on(async {
            let listen = format!("LISTEN {RECALLS}");
            let listen = client.batch_execute(&listen);
            tokio::pin!(listen);
            tokio::select! {
                biased;
                listened = &mut listen => listened.unwrap(),
                _ = poll_fn(|context| connection.poll_message(context)) => panic!("it ended"),
            }
        });
        Self { runtime, _client: client, connection }
    }

    /// Gives the next recall in a schema: other tests share the database.
    fn next(&mut self, schema: &str) -> Recall {
        let connection = &mut self.connection;
        let told = async {
            loop {
                match poll_fn(|context| connection.poll_message(context)).await {
                    Some(Ok(AsyncMessage::Notification(note))) => {
                        let recall = Recall::parse(note.payload()).unwrap();
                        if note.channel() == RECALLS && recall.schema == schema {
                            return recall;
                        }
                    }
                    other => drop(other.unwrap().unwrap()),
                }
            }
        };
        self.runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(10), told).await.unwrap() })
    }
}

#[test]
fn leases_are_recalled_by_a_notification_where_that_would_help() {
    let place = Place::new();
    let leases = Leases::new(server(place.name())).unwrap();
    let mut listener = Listener::new();
    let [first, second] = [0, 1].map(|node| (node, begin(&place, node)));
    // The first node has some left of each but account 1, which it used up.
    for number in 0..4 {
        let has = if number == 1 { says(1, 10, 0, 10) } else { says(1, 0, 0, 10) };
        send(&leases, first, number, has);
    }
    let lacks = |wanted: u64, least: u64, is_waited_for: bool| {
        let ask = Some(Ask { least, wanted, is_waited_for });
        Letter { ask, ..asks(1, 1) }
    };
    // Others hear of it where somebody waits and it would be enough.
    let cases = [lacks(9, 9, false), lacks(1, 1, true), lacks(11, 11, true), lacks(9, 9, true)];
    for (number, letter) in cases.into_iter().enumerate() {
        assert_eq!(send(&leases, second, number, letter).granted, 0);
    }
    let recall = listener.next(place.name());
    let account = account(3);
    let expected = Recall {
        schema: place.name().to_owned(),
        node: node_id(1).to_string(),
        customer: CUSTOMER.to_owned(),
        scope: account.scope.to_string(),
        quota: account.quota.to_string(),
        start: account.window.start,
        is_question: false,
    };
    assert_eq!(recall, expected);
}

#[test]
fn nodes_that_said_nothing_for_a_while_are_asked_by_a_notification_where_somebody_wants_to_know() {
    let place = Place::new();
    let leases = Leases::new(server(place.name())).unwrap();
    let mut listener = Listener::new();
    let [first, second] = [0, 1].map(|node| (node, begin(&place, node)));
    let at = |seconds: i64| Some(Timestamp::from_second(1_900_000_000 + seconds).unwrap());
    let say = |(node, run), number, letter, seconds| {
        let letters = [addressed(number, letter)];
        leases.exchange(node_id(node), run, &letters, at(seconds)).unwrap().unwrap()[0].unwrap()
    };
    // Who has nothing more to spend has nothing more to say.
    for (number, letter) in
        [says(1, 2, 0, 10), says(1, 10, 0, 10), says(1, 9, 1, 10)].into_iter().enumerate()
    {
        say(first, number, letter, 0);
    }
    let question = |turn| Letter { is_question: true, ..says(turn, 0, 0, 0) };
    let is_behind = |number, turn, seconds| say(second, number, question(turn), seconds).is_behind;
    assert!(!is_behind(0, 1, 0), "it was said just now");
    assert!(!is_behind(1, 1, 5));
    assert!(!say(second, 0, says(2, 0, 0, 0), 5).is_behind, "nobody wants to know");
    assert!(is_behind(2, 1, 5), "what is held may be charged");
    let told = listener.next(place.name());
    assert_eq!((told.is_question, &*told.quota), (true, &*account(2).quota));
    assert!(is_behind(0, 3, 5));
    let told = listener.next(place.name());
    assert_eq!((told.is_question, &*told.quota), (true, &*account(0).quota));
    assert_eq!(told.node, node_id(1).to_string());
    say(first, 0, says(2, 3, 0, 10), 5);
    let reply = say(second, 0, question(4), 5);
    assert_eq!((reply.is_behind, reply.rest.used), (false, 3));
    // One that is taken for lost is not waited for.
    leases.expire(100, at(100)).unwrap();
    assert!(!is_behind(0, 5, 100));
}

#[test]
fn leases_of_names_too_long_to_be_told_are_granted_all_the_same() {
    let place = Place::new();
    let leases = Leases::new(server(place.name())).unwrap();
    let [first, second] = [0, 1].map(|node| (node, begin(&place, node)));
    let customer: Arc<str> = "\u{1}".repeat(1200).into();
    let addressed =
        |letter| [Addressed { customer: Arc::clone(&customer), ..addressed(0, letter) }];
    let send = |(node, run), letter| {
        leases.exchange(node_id(node), run, &addressed(letter), None).unwrap().unwrap()[0].unwrap()
    };
    send(first, says(1, 0, 0, 10));
    assert_eq!(send(second, asks(1, 5)).granted, 0);
    send(first, says(2, 0, 0, 0));
    assert_eq!(send(second, asks(2, 2)).granted, 2);
}

/// Letters about two accounts wait for the removal of the first one's owner: what is said of the other stays its own.
#[test]
fn leases_of_an_account_that_is_forgotten_meanwhile_begin_anew() {
    let mut place = Place::new();
    let leases = Leases::new(server(place.name())).unwrap();
    let process = leases.process().unwrap();
    let other = Postgres::open(server(place.name())).unwrap();
    let node = (0, begin(&place, 0));
    let of_other = |letter| Addressed { customer: "zeta".into(), ..addressed(1, letter) };
    let letters = [addressed(0, asks(1, 1)), of_other(asks(1, 1))];
    leases.exchange(node_id(0), node.1, &letters, None).unwrap();
    let letters = [addressed(0, says(2, 7, 0, 7)), of_other(says(2, 1, 0, 2))];
    let replies = thread::scope(|scope| {
        let asking = place.write(|records| {
            records.delete_customer(CUSTOMER, CUSTOMER, "gone-1")?;
            let asking = scope
                .spawn(move || leases.exchange(node_id(0), node.1, &letters, None).unwrap());
            let waits = format!(
                "SELECT state FROM pg_stat_activity WHERE pid = {process} AND wait_event_type = 'Lock'"
            );
            let began = Instant::now();
            while other.texts(&waits)?.is_empty() {
                assert!(began.elapsed() < Duration::from_secs(2), "it does not wait");
            }
            Ok(asking)
        });
        asking.unwrap().join().unwrap()
    });
    assert!(replies.unwrap().iter().all(Option::is_some));
    let expected = [("quota-0".to_owned(), (7, 0, 0, 0)), ("quota-1".to_owned(), (1, 0, 1, 0))];
    assert_eq!(pools(&place), BTreeMap::from(expected));
    assert_eq!(verify(&place), []);
}
