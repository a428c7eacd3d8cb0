//! What a record's small number stands for: the accounts, and where the request came from.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    journal::{
        marks::Marks,
        record::{BLOCK, BLOCKS_MAX},
    },
    ledger::{AccountId, AccountSet, Draw, Share, Window},
    model::{Currency, Nanos},
    store,
};

/// Where a request came from, as far as usage is told apart by it.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Stands for the key, and with it the application, within the process.
    pub key_uid: u64,
    /// The key's identifier.
    pub key_id: &'a Arc<str>,
    /// The application that the key belongs to, if any.
    pub application: Option<&'a Arc<str>>,
    /// The name of the plan in force, if any.
    pub plan: Option<&'a Arc<str>>,
    /// Stands for the route within the process.
    pub route_uid: u64,
    /// The route's name.
    pub route: &'a Arc<str>,
    /// Where the numbers of the key's definitions are remembered, if they are.
    pub marks: Option<&'a Marks>,
}

/// An [`AccountSet`] and an [`Origin`] as they stand in the journal. There is one for each key that was
/// used in a segment, so it shares what the ledger and the roster have anyway.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    /// The owner and the accounts. Of one that was decoded the windows are in whole milliseconds, and
    /// the id is 0, which is no set's.
    pub set: Arc<AccountSet>,
    /// The grants whose money is drawn, if any is.
    pub draw: Option<Arc<Draw>>,
    /// The application, if any.
    pub application: Option<Arc<str>>,
    /// The key's identifier.
    pub key_id: Arc<str>,
    /// The plan's name, if there is one.
    pub plan: Option<Arc<str>>,
    /// The route's name.
    pub route: Arc<str>,
}

/// A definition is too large for the journal.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the accounts of a request take {0} bytes in the journal, which is too much")]
pub(super) struct TooLarge(usize);

/// An encoded definition, filled up to whole blocks.
#[derive(Debug)]
pub(super) struct Payload {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Their number in blocks, at most [`BLOCKS_MAX`].
    pub blocks: u16,
}

const CODEC: u8 = 1;

/// The same with what is drawn behind it.
const CODEC_DRAW: u8 = 2;

impl Definition {
    /// Takes what a request was made on.
    pub(super) fn new(
        set: &Arc<AccountSet>,
        draw: Option<&Arc<Draw>>,
        origin: &Origin<'_>,
    ) -> Self {
        let Origin { key_uid: _, key_id, application, plan, route_uid: _, route, marks: _ } =
            *origin;
        Self {
            set: Arc::clone(set),
            draw: draw.cloned(),
            application: application.cloned(),
            key_id: Arc::clone(key_id),
            plan: plan.cloned(),
            route: Arc::clone(route),
        }
    }

    /// Gives the places of what rows are told apart by. Two that have them in common say the same, as
    /// long as both are held; those of one process mostly have.
    pub(super) fn parts(&self) -> [usize; 4] {
        let Self { set, draw, application: _, key_id, plan: _, route } = self;
        let draw = draw.as_ref().map_or(0, |draw| Arc::as_ptr(draw).addr());
        [Arc::as_ptr(set).addr(), draw, Arc::as_ptr(key_id).addr(), Arc::as_ptr(route).addr()]
    }

    /// Reads what [`Definition::encode`] wrote, perhaps with zeros behind it.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let is_drawn = match number(rest)? {
            [CODEC] => false,
            [CODEC_DRAW] => true,
            _ => return None,
        };
        let customer = text(rest)?;
        let application = match number(rest)? {
            [0] => None,
            [1] => Some(text(rest)?),
            _ => return None,
        };
        let (key_id, plan, route) = (text(rest)?, text(rest)?, text(rest)?);
        let plan = Some(plan).filter(|plan| !plan.is_empty());
        let count = u32::from_le_bytes(number(rest)?);
        // Not reserved ahead: the count may be wrong, and each account takes bytes.
        let accounts = (0..count).map(|_| account(rest)).collect::<Option<_>>()?;
        let draw = if is_drawn { Some(Arc::new(draw(rest)?)) } else { None };
        let filled = rest.len() < BLOCK && rest.iter().all(|byte| *byte == 0);
        let set = Arc::new(AccountSet { id: 0, customer, accounts });
        filled.then_some(Self { set, draw, application, key_id, plan, route })
    }

    /// Encodes it: strings and lists with their lengths, times in milliseconds.
    pub(super) fn encode(&self) -> Vec<u8> {
        let Self { set, draw, application, key_id, plan, route } = self;
        let mut out = Vec::with_capacity(4 * BLOCK);
        out.push(if draw.is_some() { CODEC_DRAW } else { CODEC });
        put_text(&mut out, &set.customer);
        match application {
            None => out.push(0),
            Some(name) => {
                out.push(1);
                put_text(&mut out, name);
            }
        }
        put_text(&mut out, key_id);
        put_text(&mut out, plan.as_deref().unwrap_or_default());
        put_text(&mut out, route);
        put_length(&mut out, set.accounts.len());
        for AccountId { scope, quota, window: Window { start, end } } in &set.accounts {
            put_text(&mut out, scope);
            put_text(&mut out, quota);
            out.extend_from_slice(&start.as_millisecond().to_le_bytes());
            out.push(end.is_some().into());
            if let Some(end) = end {
                out.extend_from_slice(&end.as_millisecond().to_le_bytes());
            }
        }
        if let Some(draw) = draw {
            put_draw(&mut out, draw);
        }
        out
    }
}

impl Payload {
    /// Encodes a definition.
    pub(super) fn new(definition: &Definition) -> Result<Self, TooLarge> {
        let mut bytes = definition.encode();
        let blocks = u16::try_from(bytes.len().div_ceil(BLOCK))
            .ok()
            .filter(|blocks| *blocks <= BLOCKS_MAX)
            .ok_or(TooLarge(bytes.len()))?;
        bytes.resize(usize::from(blocks) * BLOCK, 0);
        Ok(Self { bytes, blocks })
    }
}

fn account(rest: &mut &[u8]) -> Option<AccountId> {
    let (scope, quota) = (text(rest)?, text(rest)?);
    let start = time(rest)?;
    let end = match number(rest)? {
        [0] => None,
        [1] => Some(time(rest)?),
        _ => return None,
    };
    Some(AccountId { scope, quota, window: Window { start, end } })
}

fn draw(rest: &mut &[u8]) -> Option<Draw> {
    let currency: Currency = str::from_utf8(&number::<3>(rest)?).ok()?.parse().ok()?;
    let count = u32::from_le_bytes(number(rest)?);
    let share = |_| {
        let grant = text(rest)?;
        let nanos = match number(rest)? {
            [0] => None,
            [1] => Some(Nanos(i64::from_le_bytes(number(rest)?))),
            _ => return None,
        };
        Some(Share { grant, nanos })
    };
    // As with accounts, the count may be wrong.
    let shares: Vec<Share> = (0..count).map(share).collect::<Option<_>>()?;
    Some(Draw { id: 0, currency, shares: shares.into_iter().collect() })
}

fn put_draw(out: &mut Vec<u8>, draw: &Draw) {
    out.extend_from_slice(draw.currency.as_str().as_bytes());
    put_length(out, draw.shares.len());
    for Share { grant, nanos } in &draw.shares {
        put_text(out, grant);
        out.push(nanos.is_some().into());
        if let Some(Nanos(nanos)) = nanos {
            out.extend_from_slice(&nanos.to_le_bytes());
        }
    }
}

fn time(rest: &mut &[u8]) -> Option<Timestamp> {
    Some(store::instant(i64::from_le_bytes(number(rest)?)))
}

fn text(rest: &mut &[u8]) -> Option<Arc<str>> {
    let length = usize::try_from(u32::from_le_bytes(number(rest)?)).ok()?;
    let bytes = rest.split_off(..length)?;
    std::str::from_utf8(bytes).ok().map(Into::into)
}

fn number<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    rest.split_off(..N)?.try_into().ok()
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// A length past the type's end is written as its largest value: the bytes behind it make the whole
/// [`TooLarge`] long before.
fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn definition() -> impl Strategy<Value = Definition> {
        let instant = (-377_705_023_201_000_i64..=253_402_207_200_000)
            .prop_map(|ms| Timestamp::from_millisecond(ms).unwrap());
        let account = (".{0,9}", ".{0,9}", instant.clone(), prop::option::of(instant)).prop_map(
            |(scope, quota, start, end)| AccountId {
                scope: scope.into(),
                quota: quota.into(),
                window: Window { start, end },
            },
        );
        let share = (".{0,9}", prop::option::of(any::<i64>()))
            .prop_map(|(grant, nanos)| Share { grant: grant.into(), nanos: nanos.map(Nanos) });
        let draw = ("[A-Z]{3}", prop::collection::vec(share, 0..4)).prop_map(|(code, shares)| {
            let shares = shares.into_iter().collect();
            Arc::new(Draw { id: 0, currency: code.parse().unwrap(), shares })
        });
        let perhaps = |text| prop::option::of(text);
        let texts = (".{0,9}", perhaps(".{0,9}"), ".{0,9}", perhaps(".{1,9}"), ".{0,99}");
        let accounts = prop::collection::vec(account, 0..5);
        (texts, accounts, prop::option::of(draw)).prop_map(
            |((customer, application, key_id, plan, route), accounts, draw)| Definition {
                set: Arc::new(AccountSet { id: 0, customer: customer.into(), accounts }),
                draw,
                application: application.map(Into::into),
                key_id: key_id.into(),
                plan: plan.map(Into::into),
                route: route.into(),
            },
        )
    }

    impl PartialEq for Definition {
        fn eq(&self, other: &Self) -> bool {
            let parts = |one: &Self| {
                let Self { set, draw, application, key_id, plan, route } = one.clone();
                let accounts = set.accounts.clone();
                let draw = draw.map(|draw| (draw.currency, draw.shares.clone()));
                (set.customer.clone(), accounts, draw, application, key_id, plan, route)
            };
            parts(self) == parts(other)
        }
    }

    proptest! {
        #[test]
        fn a_definition_is_read_back(definition in definition()) {
            prop_assert_eq!(Definition::decode(&definition.encode()), Some(definition.clone()));
            let origin = Origin {
                key_uid: 1,
                key_id: &definition.key_id,
                application: definition.application.as_ref(),
                plan: definition.plan.as_ref(),
                route_uid: 1,
                route: &definition.route,
                marks: None,
            };
            let draw = definition.draw.as_ref();
            prop_assert_eq!(Definition::new(&definition.set, draw, &origin), definition.clone());
            let payload = Payload::new(&definition).unwrap();
            prop_assert_eq!(payload.bytes.len(), usize::from(payload.blocks) * BLOCK);
            prop_assert_eq!(Definition::decode(&payload.bytes), Some(definition.clone()));
        }

        #[test]
        fn a_part_of_a_definition_is_none(definition in definition()) {
            let bytes = definition.encode();
            for length in 0..bytes.len() {
                prop_assert_eq!(Definition::decode(&bytes[..length]), None);
            }
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 1..200),
            small in any::<bool>(),
            drawn in any::<bool>(),
        ) {
            bytes[0] = if drawn { CODEC_DRAW } else { CODEC };
            if small {
                bytes.iter_mut().skip(1).for_each(|byte| *byte &= 3);
            }
            let _ = Definition::decode(&bytes);
        }
    }

    #[test]
    fn the_extremes_of_time_are_read_back() {
        let window = |start, end| Window { start, end };
        let account = |window| AccountId { scope: "".into(), quota: "q".into(), window };
        let accounts = vec![
            account(window(Timestamp::MIN, None)),
            account(window(Timestamp::UNIX_EPOCH, Some(Timestamp::MAX))),
        ];
        let definition = Definition {
            set: Arc::new(AccountSet { id: 0, customer: "acme".into(), accounts }),
            draw: None,
            application: None,
            key_id: "k".into(),
            plan: None,
            route: "r".into(),
        };
        let read = Definition::decode(&definition.encode()).unwrap();
        assert_eq!(read.set.accounts[0], definition.set.accounts[0]);
        assert_eq!(read.set.accounts[1].window.start, Timestamp::UNIX_EPOCH);
    }
}
