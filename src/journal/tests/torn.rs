//! What a torn end, and damage in the middle, come to at the next start.

use std::fs;

use proptest::prelude::*;

use super::*;

/// Writes one good request, then an append of several records; gives the lengths before and after.
fn two_appends(place: &Place) -> (u64, u64) {
    let mut process = place.start();
    let acme = set(1, "acme");
    let ticket = process.reserve(&acme, 3);
    process.settle(ticket, &acme, Ending::Failed, 0);
    let ticket = process.reserve(&acme, 5);
    let length = || fs::metadata(&place.segments()[0]).unwrap().len();
    let before = length();
    process.settle(ticket, &acme, Ending::Completed, 5);
    // Settle, definition, reserve.
    let _ = process.reserve(&set(2, "other"), 7);
    (before, length())
}

#[test]
fn a_torn_end_yields_exactly_the_whole_records() {
    let (before, after) = two_appends(&Place::new());
    assert_eq!(after - before, 64 + (64 + 128) + 64);
    for length in before..=after {
        let place = Place::new();
        two_appends(&place);
        let path = &place.segments()[0];
        fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
        let Process { recovery, store, .. } = place.start();
        let whole = length - before;
        let settled = whole >= 64;
        assert_eq!(recovery.settled, 1 + u64::from(settled), "{length}");
        assert_eq!(recovery.unknown, u64::from(!settled) + u64::from(length == after));
        let good = [256, 64, 0].into_iter().find(|end| *end <= whole).unwrap();
        let good = if whole == after - before { whole } else { good };
        let bytes = whole - good;
        let torn = Torn { path: path.clone(), offset: before + good, bytes };
        assert_eq!(recovery.torn, if bytes == 0 { vec![] } else { vec![torn] });
        assert_eq!(usage(&store)[&("acme".into(), String::new())], 5);
        let other = usage(&store).get(&("other".into(), String::new())).copied();
        assert_eq!(other, (length == after).then_some(7));
        assert!(place.segments().is_empty());
    }
}

#[test]
fn rubbish_at_the_end_is_passed_over() {
    for rubbish in [vec![0; 200], vec![0xff; 4096], vec![1]] {
        let place = Place::new();
        two_appends(&place);
        let path = &place.segments()[0];
        let bytes = [fs::read(path).unwrap(), rubbish.clone()].concat();
        fs::write(path, bytes).unwrap();
        let recovery = place.start().recovery;
        assert_eq!(recovery.torn[0].bytes, rubbish.len() as u64);
        assert_eq!((recovery.settled, recovery.unknown), (2, 1));
    }
}

#[test]
fn room_ahead_is_nothing_torn() {
    // Each append fills a segment, so that those before the last are followed to their ends.
    for segment_bytes in [64, SEGMENT_BYTES] {
        let place = Place { segment_bytes, ..Place::new() };
        let start = || place.start_with(|_| Box::new(Disk(Durability::Strict)));
        let mut process = start();
        let acme = set(1, "acme");
        for charge in [0, 2, 3] {
            let ticket = process.reserve(&acme, 3);
            process.settle(ticket, &acme, Ending::Completed, charge);
            process.fold();
        }
        let _ = process.reserve(&acme, 5);
        process.flush();
        drop(process);
        let Process { recovery, store, .. } = start();
        assert_eq!(recovery.torn, vec![]);
        assert_eq!(recovery.unknown, 1);
        assert_eq!(usage(&store)[&("acme".into(), String::new())], 10);
    }
}

#[test]
fn a_torn_end_is_told_again_when_the_file_could_not_be_deleted() {
    let place = Place::new();
    two_appends(&place);
    let path = &place.segments()[0];
    let bytes = [fs::read(path).unwrap(), vec![1; 10]].concat();
    for settled in [2, 0] {
        fs::write(path, &bytes).unwrap();
        let recovery = place.start().recovery;
        assert_eq!((recovery.torn.len(), recovery.settled), (1, settled));
    }
}

/// A power cut leaves such, since the disk takes what was written in any order.
#[test]
fn what_stands_behind_a_bad_record_is_cut_where_nobody_says_that_the_disk_had_it() {
    let (before, after) = two_appends(&Place::new());
    for byte in 64..usize::try_from(after).unwrap() {
        let place = Place::new();
        two_appends(&place);
        let path = place.segments().remove(0);
        let mut bytes = fs::read(&path).unwrap();
        bytes[byte] ^= 0x10;
        fs::write(&path, bytes).unwrap();
        let Process { recovery, store, .. } = place.start();
        let [torn] = recovery.torn.as_slice() else { panic!("{byte}: {recovery:?}") };
        assert!(torn.offset <= byte as u64 && (byte as u64) < torn.offset + 256);
        assert_eq!(torn.offset + torn.bytes, after);
        let acme = usage(&store).get(&("acme".into(), String::new())).copied();
        assert_eq!(acme.unwrap_or(0) == 5, torn.offset >= before, "{byte}");
        assert!(!usage(&store).contains_key(&("other".into(), String::new())));
    }
}

#[test]
fn a_hole_in_the_middle_is_cut_like_a_segment_of_nothing() {
    let place = Place::new();
    two_appends(&place);
    let path = place.segments().remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 128 * 64;
    bytes[64..middle].fill(0);
    fs::write(&path, bytes).unwrap();
    let recovery = place.start().recovery;
    assert_eq!((recovery.torn[0].offset, recovery.settled, recovery.unknown), (64, 0, 0));
    fs::write(&path, "").unwrap();
    let recovery = place.start().recovery;
    assert_eq!(recovery, Recovery { segments: 1, ..Recovery::default() });
}

#[test]
fn a_file_shorter_than_what_is_folded_loses_nothing() {
    // After a power cut the store, which is synced, may know more than the journal.
    let place = Place::new();
    let mut process = place.start();
    let acme = set(1, "acme");
    for cost in [3, 5] {
        let ticket = process.reserve(&acme, cost);
        process.settle(ticket, &acme, Ending::Completed, cost);
    }
    process.flush();
    process.fold();
    drop(process);
    let path = &place.segments()[0];
    fs::File::options().write(true).open(path).unwrap().set_len(300).unwrap();
    let mut process = place.start();
    assert_eq!(process.recovery, Recovery { segments: 1, ..Recovery::default() });
    assert_eq!(usage(&process.store)[&("acme".into(), String::new())], 8);
    // Numbers go on above what the store knows.
    let _ = process.reserve(&acme, 1);
    process.fold();
}

#[test]
fn a_record_that_stands_twice_is_refused() {
    let place = Place::new();
    two_appends(&place);
    let path = place.segments().remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_within(bytes.len() - 64..);
    fs::write(&path, bytes).unwrap();
    assert!(matches!(place.refusal(), ReplayError::Read(ReadError::Damaged { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_damage_does_not_panic_and_counts_nothing_that_was_not_used(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in any::<prop::sample::Index>(),
        rubbish in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let place = Place::new();
        two_appends(&place);
        let path = place.segments().remove(0);
        let mut bytes = fs::read(&path).unwrap();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(length.index(2 * bytes.len()));
        bytes.extend(rubbish);
        fs::write(&path, bytes).unwrap();
        let mut store = Sqlite::open(&place.database()).unwrap();
        let _ = Journal::open(&place.journal(), &mut store);
        let used = usage(&store);
        let of = |customer: &str| used.get(&(customer.to_owned(), String::new())).copied();
        prop_assert!(matches!(of("acme"), None | Some(3 | 5 | 8)), "{used:?}");
        prop_assert!(matches!(of("other"), None | Some(7)), "{used:?}");
    }
}
