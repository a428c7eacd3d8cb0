//! By what it was decided who pays for a request: what was measured, in the order in which it was.
//!
//! It is written when it is decided, because later the numbers are others. What is read tells where the
//! caller stood before the request took anything.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::wire::{Bytes, put_instant, put_money, put_nanos, put_number, put_text};
use crate::{
    answer::Code,
    ledger::{
        CreditStanding, Level, Limits, Portion, QuotaStanding, RateStanding, Shortage, Standing,
        Unpaid, Window,
    },
    model::Money,
};

/// Takes down by what a request is decided.
#[derive(Debug)]
pub struct Trail<'a>(pub(super) &'a mut Vec<u8>);

/// By what it was decided who pays. Each part is missing where it was not asked.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    /// Units that the request asked for.
    pub cost: u64,
    /// Why what was bought does not cover the route, which has a price.
    pub uncovered: Option<Arc<str>>,
    /// Where the caller stood against all its limits.
    pub allowance: Option<Standing>,
    /// The money that was asked next.
    pub money: Option<Paying>,
}

/// Money that is asked to pay for a request.
#[derive(Clone, Debug)]
pub struct Paying {
    /// Where the caller stood against the limits that hold whoever pays.
    pub standing: Standing,
    /// The price of the request.
    pub price: Money,
    /// What there was; `None` where there never was any, or where it was not asked.
    pub credit: Option<CreditStanding>,
    /// What came of it.
    pub answer: Answer,
}

/// What came of asking the money.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Calls in flight hold what is missing.
    InFlight,
    /// A limit stands in the way, whoever pays.
    Limited,
    /// It is not enough.
    Missing,
    /// It pays.
    Pays,
}

/// What a part of the trail tells. The numbers stand in files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    Uncovered = 1,
    AllowancePays = 2,
    AllowanceShort = 3,
    MoneyPays = 4,
    MoneyLimited = 5,
    MoneyMissing = 6,
    MoneyInFlight = 7,
}

impl Part {
    const ALL: [Self; 7] = [
        Self::Uncovered,
        Self::AllowancePays,
        Self::AllowanceShort,
        Self::MoneyPays,
        Self::MoneyLimited,
        Self::MoneyMissing,
        Self::MoneyInFlight,
    ];
}

impl Trail<'_> {
    /// Notes that what was bought does not cover the route.
    pub fn uncovered(&mut self, code: Code) {
        self.0.push(Part::Uncovered as u8);
        put_text(code.name(), self.0);
    }

    /// Notes what the allowance said; where it pays, the standing is that right after the take.
    pub fn allowance(&mut self, cost: u64, found: Result<&Standing, &Shortage>) {
        match found {
            Ok(standing) => self.measured(Part::AllowancePays, cost, standing),
            Err(shortage) => self.measured(Part::AllowanceShort, cost, &shortage.standing),
        }
    }

    /// Notes what the money said; where it pays, the standing is that right after the take, and the money
    /// that of before.
    pub fn money(
        &mut self,
        cost: u64,
        price: Money,
        found: Result<(&Standing, Option<CreditStanding>), &Unpaid>,
    ) {
        let (part, standing, credit) = match found {
            Ok((standing, credit)) => (Part::MoneyPays, standing, credit),
            Err(Unpaid::Limits(shortage)) => (Part::MoneyLimited, &shortage.standing, None),
            Err(Unpaid::Credit { standing, is_in_flight, limits }) => {
                let part = if *is_in_flight { Part::MoneyInFlight } else { Part::MoneyMissing };
                (part, &**limits, *standing)
            }
        };
        self.measured(part, cost, standing);
        put_money(price, self.0);
        self.0.push(u8::from(credit.is_some()));
        if let Some(CreditStanding { currency: _, balance, reserved }) = credit {
            put_nanos(balance, self.0);
            put_nanos(reserved, self.0);
        }
    }

    fn measured(&mut self, part: Part, cost: u64, standing: &Standing) {
        let Standing { limits: _, quotas, rates, concurrency, in_flight, portion, at: _ } =
            standing;
        let out = &mut *self.0;
        out.push(part as u8);
        put_number(cost, out);
        put_number(u64::from(*in_flight), out);
        put_length(quotas.len(), out);
        for QuotaStanding { used, reserved, window: Window { start, end }, .. } in quotas {
            put_number(*used, out);
            put_number(*reserved, out);
            put_instant(*start, out);
            // Shorter than the instant; 0 is no window's length.
            let length = end.map(|end| end.as_microsecond().saturating_sub(start.as_microsecond()));
            put_number(length.map_or(0, i64::unsigned_abs), out);
        }
        put_length(rates.len(), out);
        for RateStanding { remaining, next } in rates {
            put_number(*remaining, out);
            put_number(u64::try_from(next.as_micros()).unwrap_or(u64::MAX), out);
        }
        put_length(concurrency.len(), out);
        concurrency.iter().for_each(|in_flight| put_number(u64::from(*in_flight), out));
        if !concurrency.is_empty() {
            put_number(u64::from(portion.rank), out);
            put_number(u64::from(portion.count), out);
        }
    }
}

fn put_length(length: usize, out: &mut Vec<u8>) {
    put_number(u64::try_from(length).unwrap_or(u64::MAX), out);
}

impl Decided {
    /// Gives where the caller stood when it was last measured.
    pub fn standing(&self) -> Option<&Standing> {
        self.money.as_ref().map(|money| &money.standing).or(self.allowance.as_ref())
    }

    /// Reads a trail. `None` where nothing was decided, or it is not what was written.
    pub(super) fn read(mut bytes: Bytes<'_>, limits: &Arc<Limits>, at: Timestamp) -> Option<Self> {
        let mut decided = None::<Self>;
        while let Some(number) = bytes.byte() {
            let part = Part::ALL.into_iter().find(|part| *part as u8 == number)?;
            decided.get_or_insert_default().add(part, &mut bytes, limits, at)?;
        }
        decided
    }

    fn add(
        &mut self,
        part: Part,
        bytes: &mut Bytes<'_>,
        limits: &Arc<Limits>,
        at: Timestamp,
    ) -> Option<()> {
        let answer = match part {
            Part::Uncovered => {
                self.uncovered = Some(bytes.text()?.into());
                return Some(());
            }
            Part::AllowancePays | Part::AllowanceShort => {
                let measured = Measured { limits, at, is_taken: part == Part::AllowancePays };
                self.allowance = Some(measured.read(bytes, &mut self.cost)?);
                return Some(());
            }
            Part::MoneyPays => Answer::Pays,
            Part::MoneyLimited => Answer::Limited,
            Part::MoneyMissing => Answer::Missing,
            Part::MoneyInFlight => Answer::InFlight,
        };
        let limits = &limits_of_money(limits);
        let measured = Measured { limits, at, is_taken: answer == Answer::Pays };
        let standing = measured.read(bytes, &mut self.cost)?;
        let price = bytes.money()?;
        let credit = bytes.some(|bytes| {
            let (balance, reserved) = (bytes.nanos()?, bytes.nanos()?);
            Some(CreditStanding { currency: price.currency, balance, reserved })
        })?;
        self.money = Some(Paying { standing, price, credit, answer });
        Some(())
    }
}

/// Gives the limits that hold where money pays: all but the owner's allowances.
fn limits_of_money(limits: &Arc<Limits>) -> Arc<Limits> {
    let mut limits = Limits::clone(limits);
    limits.quotas.retain(|quota| quota.level() != Level::Customer);
    Arc::new(limits)
}

/// What is known of a standing that is read.
struct Measured<'a> {
    limits: &'a Arc<Limits>,
    at: Timestamp,
    is_taken: bool,
}

impl Measured<'_> {
    /// Reads where the caller stood, and takes out what the request itself took.
    fn read(&self, bytes: &mut Bytes<'_>, cost: &mut u64) -> Option<Standing> {
        *cost = bytes.number()?;
        let (own_units, own) = if self.is_taken { (*cost, 1) } else { (0, 0) };
        let in_flight = bytes.small::<u32>()?.saturating_sub(own);
        let quotas = bytes.list(|bytes| {
            let (used, reserved) = (bytes.number()?, bytes.number()?);
            let start = bytes.instant()?;
            let end = match bytes.number()? {
                0 => None,
                length => Some(start.checked_add(Duration::from_micros(length)).ok()?),
            };
            let reserved = reserved.saturating_sub(own_units);
            Some(QuotaStanding { used, reserved, ..QuotaStanding::new(Window { start, end }) })
        })?;
        let rates = bytes.list(|bytes| {
            let remaining = bytes.number()?.saturating_add(own.into());
            Some(RateStanding { remaining, next: Duration::from_micros(bytes.number()?) })
        })?;
        let concurrency = bytes.list(|bytes| Some(bytes.small::<u32>()?.saturating_sub(own)))?;
        let portion = if concurrency.is_empty() {
            Portion::default()
        } else {
            Portion { rank: bytes.small()?, count: bytes.small()? }
        };
        Some(Standing {
            limits: Arc::clone(self.limits),
            quotas: quotas.into_iter().collect(),
            rates: rates.into_iter().collect(),
            concurrency: concurrency.into_iter().collect(),
            in_flight,
            portion,
            at: self.at,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::model::Nanos;

    fn at() -> impl Strategy<Value = Timestamp> {
        let micros = 0_i64..4_000_000_000_000_000;
        micros.prop_map(|micros| Timestamp::from_microsecond(micros).unwrap())
    }

    fn quota() -> impl Strategy<Value = QuotaStanding> {
        let length = option::of(1_u64..100_000_000_000);
        (any::<u64>(), any::<u64>(), at(), length).prop_map(|(used, reserved, start, length)| {
            let end = length.map(|micros| start + Duration::from_micros(micros));
            QuotaStanding { used, reserved, ..QuotaStanding::new(Window { start, end }) }
        })
    }

    prop_compose! {
        fn standing()(
            quotas in vec(quota(), 0..4),
            rates in vec((1_u64..1000, 0_u64..1_000_000), 0..3),
            concurrency in vec(1_u32..1000, 0..3),
            in_flight in 1_u32..1000,
            (rank, count) in (0_u32..9, 1_u32..10),
        ) -> Standing {
            let rate = |(remaining, micros)| {
                RateStanding { remaining, next: Duration::from_micros(micros) }
            };
            Standing {
                limits: Arc::default(),
                quotas: quotas.into_iter().collect(),
                rates: rates.into_iter().map(rate).collect(),
                concurrency: concurrency.iter().copied().collect(),
                in_flight,
                portion: if concurrency.is_empty() {
                    Portion::default()
                } else {
                    Portion { rank, count }
                },
                at: Timestamp::UNIX_EPOCH,
            }
        }
    }

    /// Gives what is read of a standing that was written.
    fn before(standing: &Standing, cost: u64, is_taken: bool) -> String {
        let mut standing = standing.clone();
        if is_taken {
            for quota in &mut standing.quotas {
                quota.reserved = quota.reserved.saturating_sub(cost);
            }
            standing.rates.iter_mut().for_each(|rate| rate.remaining += 1);
            standing.concurrency.iter_mut().for_each(|in_flight| *in_flight -= 1);
            standing.in_flight -= 1;
        }
        format!("{standing:?}")
    }

    fn read(out: &[u8]) -> Option<Decided> {
        Decided::read(Bytes(out), &Arc::default(), Timestamp::UNIX_EPOCH)
    }

    proptest! {
        #[test]
        fn what_the_allowance_said_is_read(standing in standing(), cost in 0_u64..1000) {
            let mut out = Vec::new();
            Trail(&mut out).allowance(cost, Ok(&standing));
            let decided = read(&out).unwrap();
            let allowance = decided.allowance.unwrap();
            prop_assert_eq!(format!("{allowance:?}"), before(&standing, cost, true));
            prop_assert_eq!((decided.cost, decided.money.is_some()), (cost, false));

            let mut out = Vec::new();
            let expected = before(&standing, cost, false);
            let shortage = Box::new(Shortage { standing, violations: Vec::new(), lack: None });
            Trail(&mut out).allowance(cost, Err(&shortage));
            prop_assert_eq!(format!("{:?}", read(&out).unwrap().allowance.unwrap()), expected);
        }

        #[test]
        fn what_the_money_said_is_read(
            standing in standing(),
            (balance, reserved) in (any::<i64>(), any::<i64>()),
            had: bool,
            is_in_flight: bool,
        ) {
            let price: Money = "0.002 USD".parse().unwrap();
            let credit = CreditStanding {
                currency: price.currency, balance: Nanos(balance), reserved: Nanos(reserved),
            };
            let credit = had.then_some(credit);
            let mut out = Vec::new();
            let mut trail = Trail(&mut out);
            trail.uncovered(Code::PaymentOverdue);
            trail.money(3, price, Ok((&standing, credit)));
            let decided = read(&out).unwrap();
            prop_assert_eq!(decided.uncovered.as_deref(), Some("payment_overdue"));
            let money = decided.money.unwrap();
            prop_assert_eq!(format!("{:?}", money.standing), before(&standing, 3, true));
            prop_assert_eq!((money.price, money.credit, money.answer), (price, credit, Answer::Pays));

            let expected = before(&standing, 3, false);
            let limits = Box::new(standing);
            let unpaid = Unpaid::Credit { standing: credit, is_in_flight, limits };
            let mut out = Vec::new();
            Trail(&mut out).money(3, price, Err(&unpaid));
            let money = read(&out).unwrap().money.unwrap();
            let answer = if is_in_flight { Answer::InFlight } else { Answer::Missing };
            prop_assert_eq!(format!("{:?}", money.standing), expected);
            prop_assert_eq!((money.credit, money.answer), (credit, answer));
        }

        #[test]
        fn other_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn nothing_decided_is_nothing() {
        assert!(read(&[]).is_none());
        assert!(read(&[99]).is_none());
    }
}
