//! Notices against a real store: what comes of attempts, what is due, and a fold of many customers.

use std::{path::Path, sync::Arc};

use jiff::Timestamp;
use tempfile::TempDir;

use super::{
    PENDING_MAX, Teller, UsageWatch,
    outbox::{find, keep},
};
use crate::{
    clock::Clock,
    config::Loaded,
    gateway::Gateway,
    keeper::Watch as _,
    ledger::{Ledger, Window},
    store::{
        Sqlite, Store as _, StoreError, UsageRow, Verdict as Kept,
        records::{
            AccountKey, CustomerRecord, DeliveryState, EventRecord, Reads as _, Records,
            WebhookRecord,
        },
    },
    webhooks::{
        Ask, CustomerId, DeliveryId, EndpointId, Failure, Lane, Record, SigningSecret, Verdict,
    },
};

const TABLES: &str = r#"
[server]
listen = "127.0.0.1:0"
[webhooks]
url = "http://127.0.0.1:9/"
secret = { file = "secret" }
[upstreams.api]
url = "http://127.0.0.1:9"
[[routes]]
path = "/{*path}"
upstream = "api"
[plans.small]
quotas = [{ name = "monthly", limit = 100, window = "month" }]
"#;

struct Scene {
    store: Sqlite,
    gateway: Arc<Gateway>,
    _directory: TempDir,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

impl Scene {
    /// Makes a gateway that does not run, with customers of the file.
    fn new(customers: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let secret = SigningSecret::generate().unwrap();
        std::fs::write(directory.path().join("secret"), &*secret.expose()).unwrap();
        let declared: String =
            (0..customers).map(|n| format!("[customers.c{n}]\nplan = \"small\"\n")).collect();
        let file = directory.path().join("faregate.toml");
        let config = parse(&format!("{TABLES}{declared}"), &file);
        let (ledger, clock) = (Ledger::new(at(0)), Arc::new(Clock::manual(at(0))));
        let gateway = Arc::new(Gateway::new(&config, None, ledger, clock));
        let store = Sqlite::open(&directory.path().join("faregate.db")).unwrap();
        Self { store, gateway, _directory: directory }
    }

    fn write<T>(&mut self, work: impl FnOnce(&mut dyn Records) -> Result<T, StoreError>) -> T {
        let (mut work, mut outcome) = (Some(work), None);
        let written = self.store.transact(&mut |records| match work.take() {
            Some(work) => {
                outcome = Some(work(records).unwrap());
                Kept::Keep
            }
            None => Kept::Done,
        });
        written.unwrap();
        outcome.unwrap()
    }

    /// Puts events in: endpoint and customer of each.
    fn put(&mut self, events: &[(&str, &str)]) {
        self.write(|records| {
            for (number, (endpoint, customer)) in events.iter().enumerate() {
                records.put_event(&EventRecord {
                    id: format!("msg_{number}"),
                    endpoint: (*endpoint).to_owned(),
                    customer: (*customer).to_owned(),
                    kind: "quota.renewed".to_owned(),
                    body: "{}".to_owned(),
                    at: at(0),
                    mark: None,
                })?;
            }
            Ok(())
        });
    }

    /// Makes a customer with a webhook of its own.
    fn put_customer(&mut self, id: &str) {
        let secret = SigningSecret::generate().unwrap().expose().to_string();
        let url = "https://hooks.example/".to_owned();
        let customer = CustomerRecord {
            id: id.to_owned(),
            name: None,
            metadata: Default::default(),
            suspended: false,
            limits: Default::default(),
            spend_cap: None,
            webhook: Some(WebhookRecord { url, secret, disabled: None }),
            created_at: at(0),
            updated_at: at(0),
        };
        self.write(|records| records.put_customer(&customer));
    }

    fn keep(&mut self, delivery: i64, verdict: Verdict) -> Option<String> {
        // Finer than what is stored.
        let at = at(9) + std::time::Duration::from_nanos(1);
        let record = Record { delivery: DeliveryId(delivery), at, verdict };
        self.write(|records| keep(records, &record))
    }

    /// Tells state, attempts and the last error of each event, in the order of their numbers.
    fn states(&self) -> Vec<(DeliveryState, u32, Option<String>)> {
        let mut all = self.store.reads().deliveries(None, None, 99).unwrap();
        all.reverse();
        all.into_iter().map(|row| (row.state, row.attempts, row.last_error)).collect()
    }
}

fn parse(text: &str, path: &Path) -> crate::config::Config {
    Loaded::parse(text, path).into_config().unwrap_or_else(|report| panic!("{report:?}"))
}

fn failure(reason: &str) -> Failure {
    Failure { status: Some(500), reason: reason.to_owned() }
}

#[test]
fn what_came_of_an_attempt_is_kept_once() {
    use DeliveryState::{Delivered, Failed, Pending};
    let mut scene = Scene::new(0);
    scene.put(&[("", "a"), ("", "b"), ("", "c")]);
    for _ in 0..2 {
        scene.keep(1, Verdict::Delivered { status: 204 });
        scene.keep(2, Verdict::Retry { failure: failure("broken"), due: at(60) });
        scene.keep(3, Verdict::Dead(failure("for good")));
    }
    let expected = [
        (Delivered, 1, None),
        (Pending, 1, Some("broken".to_owned())),
        (Failed, 1, Some("for good".to_owned())),
    ];
    assert_eq!(scene.states(), expected);
    scene.keep(2, Verdict::Retry { failure: failure("again"), due: at(90) });
    assert_eq!(scene.states()[1], (Pending, 2, Some("again".to_owned())));
    // What is unknown by now has nothing to be kept.
    assert_eq!(scene.keep(99, Verdict::Delivered { status: 200 }), None);
}

#[test]
fn endpoint_that_is_gone_is_switched_off_unless_it_is_the_operators() {
    use DeliveryState::{Failed, Pending};
    let mut scene = Scene::new(0);
    scene.put_customer("acme");
    scene.put(&[("acme", "acme"), ("acme", "acme"), ("", "acme"), ("", "acme")]);
    assert_eq!(scene.keep(1, Verdict::Gone).as_deref(), Some("acme"));
    assert_eq!(scene.keep(3, Verdict::Gone), None);
    let states: Vec<_> = scene.states().into_iter().map(|(state, ..)| state).collect();
    assert_eq!(states, [Failed, Failed, Failed, Pending]);
    let customer = scene.store.reads().customer("acme").unwrap().unwrap();
    assert!(!customer.has_webhook() && customer.webhook.is_some());
    let audit = scene.store.reads().audit(Some("acme"), None, 9).unwrap();
    assert_eq!(audit[0].1.action, "webhook.disable");
    assert!(!audit[0].1.before.as_ref().unwrap().to_string().contains("whsec_"));
    assert_eq!(audit[0].1.after, serde_json::to_value(customer).ok(), "as it is stored");
}

#[test]
fn due_is_what_there_is_room_for() {
    let mut scene = Scene::new(0);
    scene.put_customer("acme");
    scene.put(&[("", "a"), ("", "a"), ("", "b"), ("acme", "acme"), ("gone", "gone"), ("", "c")]);
    let look = |scene: &Scene, max, busy: Vec<Lane>, full: &[&str]| {
        let full = full.iter().map(|id| EndpointId((*id).into())).collect();
        let ask = Ask { now: at(5), max, busy, full };
        let reader = scene.store.reader().unwrap();
        let found = find(&*reader, &scene.gateway, &ask).unwrap();
        let due: Vec<i64> = found.due.deliveries.iter().map(|delivery| delivery.id.0).collect();
        let missing: Vec<String> = found.missing.into_iter().map(|(id, _)| id).collect();
        (due, missing, found.due.next)
    };
    let lane = |customer: &str| Lane {
        endpoint: EndpointId("".into()),
        customer: Some(CustomerId(customer.into())),
    };
    let gone = || vec!["gone".to_owned()];
    assert_eq!(look(&scene, 9, vec![], &[]), (vec![1, 3, 4, 6], gone(), None));
    assert_eq!(look(&scene, 2, vec![], &[]), (vec![1, 3], vec![], None));
    assert_eq!(look(&scene, 2, vec![lane("a")], &[]), (vec![3, 4], vec![], None));
    assert_eq!(look(&scene, 9, vec![lane("a")], &[""]), (vec![4], gone(), None));
    scene.keep(1, Verdict::Retry { failure: failure("broken"), due: at(60) });
    assert_eq!(look(&scene, 9, vec![], &[]), (vec![3, 4, 6], gone(), Some(at(60))));
    // While the operator's is full its times wake nobody.
    assert_eq!(look(&scene, 9, vec![], &[""]), (vec![4], gone(), None));
}

#[test]
fn no_more_events_are_kept_than_there_is_room_for() {
    let mut scene = Scene::new(1);
    let gateway = Arc::clone(&scene.gateway);
    let tell = |scene: &mut Scene, number: u32| {
        scene.write(|records| {
            let snapshot = gateway.snapshot();
            let mut teller = Teller::new(records, &gateway, &snapshot, at(0));
            let audience = teller.audience("c0");
            teller.tell("c0", audience, "x", &serde_json::json!({ "n": number }), None)?;
            Ok(teller.has_told())
        })
    };
    gateway.notifications().count(PENDING_MAX - 1);
    assert!(tell(&mut scene, 1));
    assert!(!tell(&mut scene, 2));
    assert_eq!(scene.states().len(), 1);
    gateway.notifications().count(1);
    assert!(tell(&mut scene, 3));
}

/// A fold in which many customers reach a threshold, and one in which none does.
#[test]
fn fold_of_many_customers_is_measured() {
    const CUSTOMERS: usize = 1000;
    let mut scene = Scene::new(CUSTOMERS);
    let window = Window {
        start: "2027-01-01T00:00:00Z".parse().unwrap(),
        end: Some("2027-02-01T00:00:00Z".parse().unwrap()),
    };
    let ids: Vec<String> = (0..CUSTOMERS).map(|number| format!("c{number}")).collect();
    let row = |customer| UsageRow { customer, scope: "", quota: "monthly", window, used: 40 };
    let rows: Vec<_> = ids.iter().map(|id| row(id.as_str())).collect();
    let mut watch = UsageWatch::new(Arc::clone(&scene.gateway));
    // At 40, 80, 120 and 160 of 100.
    for each in [0, 2, 3, 3] {
        scene.write(|records| {
            for customer in &ids {
                let account = AccountKey { customer, scope: "", quota: "monthly", window };
                records.add_used(
                    Timestamp::UNIX_EPOCH,
                    &account,
                    40,
                    (crate::store::records::EntryKind::Corrected, None),
                )?;
            }
            Ok(())
        });
        let begun = tokio::time::Instant::now();
        scene.write(|records| watch.folded(records, &rows));
        println!("{CUSTOMERS} customers in {:?}, {each} events of each", begun.elapsed());
        let pending = scene.store.reads().pending_deliveries().unwrap();
        assert_eq!(pending, u64::try_from(each * CUSTOMERS).unwrap());
    }
}
