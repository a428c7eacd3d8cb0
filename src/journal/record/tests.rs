//! The format, byte by byte.

use proptest::prelude::*;

use super::*;

fn salt() -> Salt {
    Salt::new(NodeId(Uuid::from_u128(7)), 3, 9)
}

fn bodies() -> Vec<Body> {
    let request_id = Uuid::from_u128(0x1234_5678_9abc_def0_1234);
    let mut bodies = vec![
        Body::Head {
            node: NodeId(Uuid::from_u128(7)),
            worker: u16::MAX,
            segment: 9,
            has_room: true,
        },
        Body::Definition { set: 1, blocks: 2 },
        Body::Definition { set: u32::MAX, blocks: 0 },
        Body::Reserve { set: 5, cost: u64::MAX, nanos: 0, request_id },
        Body::Reserve { set: 5, cost: 0, nanos: 1 << 62, request_id },
        Body::Synced { through: 77, length: 640 },
        Body::Kept { segment: 8, offset: 64, follows_synced: true, blocks: 3 },
    ];
    for ending in Ending::ALL {
        bodies.push(Body::Settle { reservation: 3, ending, charge: 8, request_id });
        let (set, age_ms) = (4, 250);
        bodies.push(Body::SettleChanged {
            reservation: 3,
            ending,
            set,
            charge: 0,
            age_ms,
            request_id,
        });
    }
    bodies
}

fn encoded(body: Body) -> (Record, Vec<u8>) {
    let record = Record { sequence: 1 << 60, time_ms: -5, body };
    let payload = match body {
        Body::Definition { blocks, .. } | Body::Kept { blocks, .. } => {
            vec![0xa5; usize::from(blocks) * BLOCK]
        }
        _ => Vec::new(),
    };
    let mut bytes = Vec::new();
    record.encode(salt(), &payload, &mut bytes);
    assert_eq!(bytes.len(), BLOCK + payload.len());
    (record, bytes)
}

#[test]
fn every_record_is_read_back() {
    for body in bodies() {
        let (record, bytes) = encoded(body);
        let longer = [bytes.as_slice(), &[1; 100]].concat();
        let (read, payload) = Record::decode(salt(), &longer).unwrap();
        assert_eq!((read, payload), (record, &bytes[BLOCK..]));
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    for body in bodies() {
        let (_, bytes) = encoded(body);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Record::decode(salt(), &flipped).is_err(), "{body:?}, bit {bit}");
        }
    }
}

#[test]
fn a_part_of_a_record_is_incomplete() {
    let (_, bytes) = encoded(Body::Definition { set: 1, blocks: 2 });
    for length in 0..bytes.len() {
        assert_eq!(Record::decode(salt(), &bytes[..length]), Err(Flaw::Incomplete));
    }
}

#[test]
fn a_record_of_another_segment_does_not_pass() {
    let node = NodeId(Uuid::from_u128(7));
    let others = [
        Salt::new(NodeId(Uuid::from_u128(8)), 3, 9),
        Salt::new(node, 2, 9),
        Salt::new(node, 3, 10),
    ];
    for body in bodies() {
        for other in others {
            assert_eq!(Record::decode(other, &encoded(body).1), Err(Flaw::Bad));
        }
    }
}

#[test]
fn a_head_tells_whose_it_is() {
    let node = NodeId(Uuid::from_u128(7));
    let (_, head) = encoded(Body::Head { node, worker: 3, segment: 9, has_room: false });
    assert_eq!(claim(&head), Claim::Head { node, worker: 3, segment: 9 });
    let mut newer = head.clone();
    newer[36] = 2;
    assert_eq!(claim(&newer), Claim::OtherVersion(2));
    let mut damaged = head.clone();
    damaged[20] ^= 1;
    assert_eq!(claim(&damaged), Claim::Nothing);
    assert_eq!(claim(&head[..63]), Claim::Nothing);
}

#[test]
fn the_layout_stays() {
    let request_id = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
    let body = Body::SettleChanged {
        reservation: 2,
        ending: Ending::Failed,
        set: 3,
        charge: 4,
        age_ms: 5,
        request_id,
    };
    let mut bytes = Vec::new();
    Record { sequence: 1, time_ms: 6, body }.encode(salt(), &[], &mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "03f56c9f\
         05030000\
         0100000000000000\
         0200000000000000\
         0600000000000000\
         03000000\
         05000000\
         0400000000000000\
         0102030405060708090a0b0c0d0e0f10"
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Record::decode(salt(), &bytes);
        let _ = claim(&bytes);
    }

    #[test]
    fn arbitrary_fields_do_not_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 64),
        kind in 0..8_u8,
    ) {
        bytes[4] = kind;
        bytes[6..8].fill(0);
        let crc = salt().checksum(&bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        if let Ok((record, _)) = Record::decode(salt(), &bytes) {
            let mut again = Vec::new();
            record.encode(salt(), &[], &mut again);
            prop_assert_eq!(Record::decode(salt(), &again), Ok((record, [].as_slice())));
        }
    }
}
