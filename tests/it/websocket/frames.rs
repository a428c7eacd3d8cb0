//! What is no WebSocket, where messages are paid for: nothing of it goes up, and it opens no way to say more
//! than is paid.

use super::{NOW, closed, frame, open, recorder, say, tables_by, text};
use crate::support::Gateway;

#[test]
fn what_could_be_read_in_two_ways_ends_it() {
    let masked = |head: &[u8]| [head, b"\x01\x02\x03\x04".as_slice()].concat();
    let not_minimal = "a length that is not in its shortest form";
    // What stands before it, what is wrong, the reason, the messages paid for.
    for (before, bad, reason, messages) in [
        (text(3), b"\x81\x03abc".to_vec(), "a frame that is not masked", 1),
        (text(3), b"\x89\x00".to_vec(), "a frame that is not masked", 1),
        (Vec::new(), masked(b"\x83\x80"), "a frame of no known kind", 0),
        (Vec::new(), masked(b"\x8b\x80"), "a frame of no known kind", 0),
        (Vec::new(), masked(b"\x89\xfe\x00\x7e"), "a control frame that is too long", 0),
        (Vec::new(), masked(b"\x09\x80"), "a control frame in pieces", 0),
        (Vec::new(), masked(b"\x81\xfe\x00\x05"), not_minimal, 0),
        (Vec::new(), masked(b"\x81\xff\0\0\0\0\0\0\xff\xff"), not_minimal, 0),
        (Vec::new(), masked(b"\x81\xff\x80\0\0\0\0\x01\0\0"), not_minimal, 0),
        (Vec::new(), frame(0x80, 3), "a continuation of no message", 0),
        (frame(0x01, 3), frame(0x81, 3), "a message within a message", 1),
        (frame(0x88, 0), text(3), "a frame behind the close frame", 0),
    ] {
        let (upstream, received) = recorder();
        let gateway = Gateway::start_at(NOW, &tables_by("message", [""; 3]), &upstream);
        let mut client = open(&gateway);
        say(&mut client, &before);
        client.send([&bad[..], &text(9)].concat());
        assert_eq!(closed(&mut client), (1002, reason.to_owned()));
        received.wait_ended(&before, 1002, reason);
        gateway.wait_used("acme", 2 * messages);
    }
}

/// Where messages are not counted, whatever is said passes.
#[test]
fn other_routes_do_not_judge() {
    for rule in ["connection", "30s"] {
        let (upstream, _) = recorder();
        let gateway = Gateway::start_at(NOW, &tables_by(rule, [""; 3]), &upstream);
        let mut client = open(&gateway);
        say(&mut client, b"\x83\x03abc\x81\xfe\0\x05");
        say(&mut client, &vec![7; 300_000]);
        assert_eq!(gateway.used("acme"), (0, 2));
    }
}
