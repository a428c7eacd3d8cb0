//! What the disk loses: after a failed sync, which the system may forget the data of, and by a power cut.

use std::io::{Seek, Write};

use proptest::prelude::*;

use super::{faults::Script, *};

/// What becomes of the bytes that the disk did not have.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// The file is shorter.
    Cut,
    /// They read as zeros.
    Zeros,
    /// The first so many blocks of them do, and what stands behind was written.
    Hole(usize),
}

/// Lets go what the disk does not have of a segment. A file that it never had is gone, or has nothing.
fn lose(script: &Script, path: &Path, loss: Loss) {
    let known = script.on_disk.lock().unwrap().get(path).copied();
    let length = fs::metadata(path).unwrap().len();
    let mut file = fs::File::options().write(true).open(path).unwrap();
    let known = known.unwrap_or(0);
    let hole = match loss {
        Loss::Cut => return file.set_len(known).unwrap(),
        Loss::Zeros => length - known,
        Loss::Hole(blocks) => (blocks as u64 * 64).min(length - known),
    };
    file.seek(io::SeekFrom::Start(known)).unwrap();
    file.write_all(&vec![0; hole as usize]).unwrap();
}

/// A reservation that the disk has, and one that a sync failed on, with a settle.
fn after_a_failed_sync(place: &Place, script: &Script) -> Process {
    let mut process = place.start_with(|_| Box::new(script.clone()));
    let unsynced = process.writers[0].unsynced();
    let (acme, other) = (set(1, "acme"), set(2, "other"));
    let first = process.reserve(&acme, 3);
    unsynced.sync().unwrap().unwrap();
    let second = process.reserve(&other, 5);
    process.settle(first, &acme, Ending::Completed, 1);
    process.settle(second, &other, Ending::Completed, 7);
    let _third = process.reserve(&acme, 11);
    *script.syncs_fail.lock().unwrap() = true;
    unsynced.sync().unwrap().unwrap_err();
    process
}

fn lose_all(place: &Place, script: &Script, loss: Loss) {
    place.segments().iter().for_each(|path| lose(script, path, loss));
}

#[test]
fn what_a_failed_sync_lost_is_written_again_and_counted_once() {
    let acme = set(1, "acme");
    for loss in [Loss::Cut, Loss::Zeros, Loss::Hole(1), Loss::Hole(2)] {
        for (is_folded_before, is_folded_behind) in [(false, false), (true, false), (false, true)] {
            let (place, script) = (Place::new(), Script::default());
            let mut process = after_a_failed_sync(&place, &script);
            if is_folded_before {
                process.fold();
            }
            lose_all(&place, &script, loss);
            // Nothing is taken before the disk has it all; and the more often that fails the less is lost.
            for works in [false, false, true] {
                *script.syncs_fail.lock().unwrap() = !works;
                reserve(&mut process.writers[0], &acme, &origin(&acme), 100).unwrap_err();
                let synced = process.writers[0].unsynced().sync().unwrap();
                assert_eq!(synced.is_ok(), works);
                if !works {
                    lose_all(&place, &script, loss);
                }
            }
            let last = process.reserve(&acme, 13);
            process.settle(last, &acme, Ending::Completed, 13);
            process.flush();
            if is_folded_behind {
                process.fold();
            }
            drop(process);
            let process = place.start();
            let Recovery { unknown, unknown_units, orphans, .. } = process.recovery;
            assert_eq!((unknown, unknown_units, orphans), (1, 11, 0), "{loss:?}");
            assert_eq!(endings(&process.store, "acme")["completed"], (2, 14), "{loss:?}");
            assert_eq!(endings(&process.store, "other")["completed"], (1, 7), "{loss:?}");
        }
    }
}

#[test]
fn what_was_lost_before_it_was_written_again_is_cut_and_told() {
    for loss in [Loss::Cut, Loss::Zeros, Loss::Hole(3)] {
        let (place, script) = (Place::new(), Script::default());
        drop(after_a_failed_sync(&place, &script));
        lose_all(&place, &script, loss);
        let process = place.start();
        let Recovery { unknown_units, torn, .. } = &process.recovery;
        assert_eq!(*unknown_units, 3);
        assert_eq!(torn.len(), usize::from(!matches!(loss, Loss::Cut)), "{loss:?}");
    }
}

#[test]
fn a_bad_record_that_the_disk_had_is_refused() {
    let (place, script) = (Place::new(), Script::default());
    let mut process = place.start_with(|_| Box::new(script.clone()));
    let (acme, unsynced) = (set(1, "acme"), process.writers[0].unsynced());
    let _ = process.reserve(&acme, 3);
    let _ = process.reserve(&acme, 5);
    unsynced.sync().unwrap().unwrap();
    let path = place.segments().remove(0);
    let had = fs::metadata(&path).unwrap().len();
    // Says that the disk has those.
    let _ = process.reserve(&acme, 7);
    let whole = fs::metadata(&path).unwrap().len();
    assert_eq!(whole - had, 2 * 64);
    drop(process);
    let good = fs::read(&path).unwrap();
    for at in (64..usize::try_from(had).unwrap()).step_by(64) {
        let mut bytes = good.clone();
        bytes[at + 9] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(matches!(place.refusal(), ReplayError::Read(ReadError::Damaged { .. })), "{at}");
    }
    // Of what stands behind nobody said so.
    for at in [had, had + 64] {
        let mut bytes = good.clone();
        bytes[usize::try_from(at).unwrap() + 9] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let mut store = Sqlite::open(&place.database()).unwrap();
        let (_, recovery) = Journal::open(&place.journal(), &mut store).unwrap();
        assert_eq!((recovery.unknown_units, recovery.torn.len()), (8, 1));
        drop(store);
        fs::remove_file(place.database()).unwrap();
    }
}

/// Of a segment that kept the rest of one before it only the head came to the disk, before the next one
/// kept both.
#[test]
fn what_was_kept_twice_is_read_though_a_later_record_was_read_before() {
    for left in [64, 64 + 40] {
        let (place, script) = (Place::new(), Script::default());
        let process = after_a_failed_sync(&place, &script);
        let (mut process, acme) = (process, set(1, "acme"));
        for works in [false, true] {
            *script.syncs_fail.lock().unwrap() = !works;
            reserve(&mut process.writers[0], &acme, &origin(&acme), 100).unwrap_err();
            assert_eq!(process.writers[0].unsynced().sync().unwrap().is_ok(), works);
        }
        drop(process);
        let [first, second, _third] = place.segments().try_into().unwrap();
        lose(&script, &first, Loss::Cut);
        fs::File::options().write(true).open(&second).unwrap().set_len(left).unwrap();
        let process = place.start();
        assert_eq!(process.recovery.unknown_units, 11);
        assert_eq!(endings(&process.store, "acme")["completed"], (1, 1));
        assert_eq!(endings(&process.store, "other")["completed"], (1, 7));
    }
}

/// A segment of which the disk had a part that cannot be read any more, and its rest in the next one.
#[test]
fn a_gap_before_what_was_kept_is_refused() {
    let (place, script) = (Place::new(), Script::default());
    let mut process = after_a_failed_sync(&place, &script);
    *script.syncs_fail.lock().unwrap() = false;
    let acme = set(1, "acme");
    reserve(&mut process.writers[0], &acme, &origin(&acme), 100).unwrap_err();
    drop(process);
    let path = place.segments().remove(0);
    fs::File::options().write(true).open(&path).unwrap().set_len(64).unwrap();
    assert!(matches!(place.refusal(), ReplayError::Read(ReadError::Damaged { offset: 64, .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(place.refusal(), ReplayError::Read(ReadError::Damaged { offset: 0, .. })));
}

#[test]
fn a_disk_that_is_too_slow_is_not_waited_for_without_bound() {
    let place = Place::new();
    let mut process = place.start_with(|_| Box::new(Script::default()));
    let (acme, large) = (set(1, "acme"), set(2, &"x".repeat(200_000)));
    let mut appended = 0;
    // Each defines it anew, by another route.
    while let Ok(ticket) = {
        let origin = Origin { route_uid: appended, ..origin(&large) };
        reserve(&mut process.writers[0], &large, &origin, 1)
    } {
        let _ = ticket;
        appended += 1;
        assert!(appended < 1000);
    }
    assert!(appended > 100);
    reserve(&mut process.writers[0], &acme, &origin(&acme), 1).unwrap_err();
    process.writers[0].unsynced().sync().unwrap().unwrap();
    let _ = process.reserve(&acme, 1);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Reserve {
        worker: usize,
        set: usize,
        cost: u64,
    },
    Settle {
        which: prop::sample::Index,
        charge: u64,
    },
    Flush {
        worker: usize,
    },
    TryAgain {
        worker: usize,
    },
    Sync {
        worker: usize,
        works: bool,
    },
    /// The system forgets what it could not write.
    Forget(Loss),
    Fold,
}

fn losses() -> impl Strategy<Value = Loss> {
    prop_oneof![Just(Loss::Cut), Just(Loss::Zeros), (0..9_usize).prop_map(Loss::Hole)]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let worker = 0..2_usize;
    let step = prop_oneof![
        8 => (worker.clone(), 0..4_usize, 0..5_u64)
            .prop_map(|(worker, set, cost)| Step::Reserve { worker, set, cost }),
        6 => (any::<prop::sample::Index>(), 0..5_u64)
            .prop_map(|(which, charge)| Step::Settle { which, charge }),
        2 => worker.clone().prop_map(|worker| Step::Flush { worker }),
        1 => worker.clone().prop_map(|worker| Step::TryAgain { worker }),
        6 => (worker, prop::bool::weighted(0.7))
            .prop_map(|(worker, works)| Step::Sync { worker, works }),
        1 => losses().prop_map(Step::Forget),
        1 => Just(Step::Fold),
    ];
    prop::collection::vec(step, 0..60)
}

/// A request, with the number of the last record of each append that tells of it.
struct Request {
    worker: usize,
    set: usize,
    ticket: Ticket,
    reserved: u64,
    is_folded: bool,
    settled: Option<Settled>,
}

/// How it was settled; an ordinary settle may wait, and says no more than that.
#[derive(Clone, Copy)]
struct Settled {
    charge: u64,
    written: u64,
    is_folded: bool,
}

impl Request {
    /// Gives the least and the most that it may be charged at the next start, when it has all records up to
    /// these and perhaps more; and whether it is counted in any case.
    fn charge(&self, known: [u64; 2]) -> (u64, u64, bool) {
        let cost = self.ticket.cost().units;
        let known = known[self.worker];
        let is_sure = self.is_folded || self.reserved <= known;
        let charge = match self.settled {
            Some(Settled { charge, written, is_folded })
                if is_folded || (written <= known && written < u64::MAX) =>
            {
                return (charge, charge, true);
            }
            Some(Settled { charge, .. }) => charge,
            None => cost,
        };
        (if is_sure { charge.min(cost) } else { 0 }, charge.max(cost), is_sure)
    }
}

struct Life {
    script: Script,
    process: Process,
    requests: Vec<Request>,
    /// Per worker, the system has forgotten something that was not written again.
    has_lost: [bool; 2],
    abandoned: Vec<PathBuf>,
}

impl Life {
    fn step(&mut self, place: &Place, sets: &[Arc<AccountSet>], step: Step) {
        match step {
            Step::Reserve { worker, set, cost } => self.reserve(sets, worker, set, cost),
            Step::Settle { which, charge } => self.settle(sets, which, charge),
            Step::Flush { worker } => {
                self.process.writers[worker].flush().unwrap();
                self.written(worker);
            }
            Step::TryAgain { worker } => {
                self.process.writers[worker].try_again(at(70)).unwrap();
                self.written(worker);
            }
            Step::Sync { worker, works } => {
                *self.script.syncs_fail.lock().unwrap() = !works;
                let synced = self.process.writers[worker].unsynced().sync();
                if matches!(synced, Some(Err(_))) {
                    let own = format!("w{worker:03}");
                    let is_own = |path: &PathBuf| path.to_str().unwrap().contains(&own);
                    self.abandoned.extend(place.segments().into_iter().filter(is_own));
                }
            }
            Step::Forget(loss) => {
                for path in self.abandoned.drain(..).filter(|path| path.exists()) {
                    lose(&self.script, &path, loss);
                    let worker = usize::from(path.to_str().unwrap().contains("w001"));
                    let writer = &self.process.writers[worker];
                    self.has_lost[worker] |= writer.unsynced().has_failed();
                }
            }
            Step::Fold => {
                // While something is lost and not written again, a fold cannot read it.
                let folded = self.process.follower.fold(&mut self.process.store, &mut ());
                assert!(folded.is_ok() || self.has_lost != [false; 2], "{folded:?}");
                let has_lost = self.has_lost;
                let is_read = |request: &&mut Request| folded.is_ok() && !has_lost[request.worker];
                for request in self.requests.iter_mut().filter(is_read) {
                    request.is_folded = true;
                    if let Some(settled) = &mut request.settled {
                        settled.is_folded = true;
                    }
                }
            }
        }
    }

    fn reserve(&mut self, sets: &[Arc<AccountSet>], worker: usize, set: usize, cost: u64) {
        let writer = &mut self.process.writers[worker];
        let is_failing = writer.unsynced().is_failing();
        let result = reserve(writer, &sets[set], &origin(&sets[set]), cost);
        assert_eq!(result.is_err(), is_failing);
        let reserved = writer.last();
        self.written(worker);
        let Ok(ticket) = result else { return };
        let (settled, is_folded) = (None, false);
        self.requests.push(Request { worker, set, ticket, reserved, settled, is_folded });
    }

    fn settle(&mut self, sets: &[Arc<AccountSet>], which: prop::sample::Index, charge: u64) {
        let open = self.requests.iter_mut().filter(|request| request.settled.is_none());
        let mut open: Vec<_> = open.collect();
        if open.is_empty() {
            return;
        }
        let chosen = which.index(open.len());
        let Request { worker, set, ticket, settled, .. } = &mut *open[chosen];
        let (worker, set) = (*worker, &sets[*set]);
        let writer = &mut self.process.writers[worker];
        super::settle(writer, ticket, set, (Ending::Completed, charge), at(70)).unwrap();
        let is_ordinary = ticket.cost().units == charge;
        let written = if is_ordinary { u64::MAX } else { writer.last() };
        *settled = Some(Settled { charge, written, is_folded: false });
        if !is_ordinary {
            self.written(worker);
        }
    }

    /// An append was written: with it whatever was lost before.
    fn written(&mut self, worker: usize) {
        self.has_lost[worker] &= self.process.writers[worker].unsynced().has_failed();
    }
}

fn charged(store: &Sqlite, sets: &[Arc<AccountSet>]) -> Vec<(u64, u64)> {
    let of = |set: &Arc<AccountSet>| {
        let endings = endings(store, &set.customer);
        endings.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    };
    sets.iter().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Nothing that the disk had is missing, nothing counts twice, and where no power was cut and nothing
    /// forgotten all is there.
    #[test]
    fn whatever_the_disk_loses_the_rest_is_counted_once(
        lives in prop::collection::vec((steps(), prop::option::of(losses())), 1..4),
        segment_bytes in prop_oneof![Just(64_u64), 300..2000_u64],
    ) {
        let mut place = Place::new();
        place.segment_bytes = segment_bytes;
        let sets: Vec<_> = (0..4).map(|n| set(n, &format!("customer-{n}"))).collect();
        let mut before = vec![(0, 0); sets.len()];
        for (steps, cut) in lives {
            let script = Script::default();
            let process = place.start_with(|_| Box::new(script.clone()));
            let mut life = Life {
                script, process, requests: Vec::new(), has_lost: [false; 2], abandoned: Vec::new(),
            };
            for step in steps {
                life.step(&place, &sets, step);
            }
            let Life { script, process, requests, has_lost, .. } = life;
            let known = [0, 1].map(|worker| match (cut, has_lost[worker]) {
                (None, false) => u64::MAX,
                _ => process.writers[worker].unsynced().synced(),
            });
            drop(process);
            if let Some(loss) = cut {
                lose_all(&place, &script, loss);
            }
            let process = place.start();
            let now = charged(&process.store, &sets);
            for (number, (before, now)) in before.iter().zip(&now).enumerate() {
                let of_it = requests.iter().filter(|request| request.set == number);
                let (mut least, mut most, mut sure, mut all) = (0, 0, 0, 0);
                for (low, high, is_sure) in of_it.map(|request| request.charge(known)) {
                    (least, most) = (least + low, most + high);
                    (sure, all) = (sure + u64::from(is_sure), all + 1);
                }
                prop_assert!((sure..=all).contains(&(now.0 - before.0)), "{before:?} {now:?} {sure} {all}");
                prop_assert!((least..=most).contains(&(now.1 - before.1)), "{before:?} {now:?} {least} {most}");
            }
            before = now;
        }
    }
}
