//! The wire format of protobuf, as far as it is needed by traces and by gRPC's health checks. A crate for it would
//! bring more than these few functions: the one with OTLP's messages brings a whole SDK.

/// A message being written. Fields must come in the order of their numbers; those with the default
/// value are left out by whoever writes.
#[derive(Debug, Default)]
pub(crate) struct Message(Vec<u8>);

/// How a value is framed.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

impl Message {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn varint(&mut self, field: u32, value: u64) {
        self.tag(field, Wire::Varint);
        self.number(value);
    }

    pub(crate) fn fixed32(&mut self, field: u32, value: u32) {
        self.tag(field, Wire::Fixed32);
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, Wire::Fixed64);
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.tag(field, Wire::Bytes);
        self.number(u64::try_from(value.len()).unwrap_or(u64::MAX));
        self.0.extend(value);
    }

    pub(crate) fn text(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    pub(crate) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }

    fn tag(&mut self, field: u32, wire: Wire) {
        self.number(u64::from(field) << 3 | wire as u64);
    }

    fn number(&mut self, mut value: u64) {
        loop {
            let low = (value & 0x7f) as u8;
            value >>= 7;
            if value == 0 {
                self.0.push(low);
                return;
            }
            self.0.push(low | 0x80);
        }
    }
}

/// A field of a message being read.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Value<'b> {
    Bytes(&'b [u8]),
    Number(u64),
}

/// Finds the last field of a number in a message; `None` when it is not there or the bytes are no
/// message.
pub(crate) fn find(mut bytes: &[u8], wanted: u64) -> Option<Value<'_>> {
    let mut found = None;
    while !bytes.is_empty() {
        let tag = take_number(&mut bytes)?;
        let value = match tag & 7 {
            0 => Value::Number(take_number(&mut bytes)?),
            1 => Value::Bytes(take(&mut bytes, 8)?),
            2 => {
                let length = take_number(&mut bytes)?;
                Value::Bytes(take(&mut bytes, usize::try_from(length).ok()?)?)
            }
            5 => Value::Bytes(take(&mut bytes, 4)?),
            _ => return None,
        };
        if tag >> 3 == wanted {
            found = Some(value);
        }
    }
    found
}

fn take<'b>(bytes: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = take(bytes, 1)? else { return None };
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the format's own description.
    #[test]
    fn values_are_framed() {
        let mut message = Message::default();
        message.varint(1, 150);
        message.text(2, "testing");
        message.message(3, |inner| inner.varint(1, 150));
        message.fixed32(4, 1);
        message.fixed64(5, 2);
        message.varint(6, u64::MAX);
        message.varint(16, 0);
        let bytes = message.into_bytes();
        let expected =
            b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01\x25\x01\0\0\0\x29\x02\0\0\0\0\0\0\0\
                         \x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x80\x01\0";
        assert_eq!(bytes, expected);
        assert_eq!(find(&bytes, 1), Some(Value::Number(150)));
        assert_eq!(find(&bytes, 2), Some(Value::Bytes(b"testing")));
        assert_eq!(find(&bytes, 6), Some(Value::Number(u64::MAX)));
        assert_eq!(find(&bytes, 16), Some(Value::Number(0)));
        assert_eq!(find(&bytes, 7), None);
    }

    #[test]
    fn what_is_no_message_has_no_fields() {
        for bytes in [
            &b"\x08"[..],
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x12\x07test",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0b\x01",
            b"\x25\x01",
            b"<html>",
        ] {
            assert_eq!(find(bytes, 1), None, "{bytes:?}");
        }
    }
}
