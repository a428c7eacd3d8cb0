//! JSON in its canonical form (RFC 8785): one document, one text.

use serde_json::{Number, Value};

/// Writes a document.
pub(super) fn write(document: &Value) -> String {
    let mut text = String::new();
    push(document, &mut text);
    text
}

fn push(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => push_list(items, text, push, ['[', ']']),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Null => text.push_str("null"),
        Value::Number(number) => push_number(number, text),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            // By their units of UTF-16, which is another order than that of their bytes.
            members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            let push_member = |(name, value): (&String, &Value), text: &mut String| {
                push_text(name, text);
                text.push(':');
                push(value, text);
            };
            push_list(members, text, push_member, ['{', '}']);
        }
        Value::String(value) => push_text(value, text),
    }
}

fn push_list<T>(
    items: impl IntoIterator<Item = T>,
    text: &mut String,
    push: impl Fn(T, &mut String),
    [open, close]: [char; 2],
) {
    text.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push(item, text);
    }
    text.push(close);
}

fn push_text(value: &str, text: &mut String) {
    text.push('"');
    text.push_str(&crate::json::escaped(value));
    text.push('"');
}

/// Writes a number as ECMAScript does: the shortest digits that are read back as the same.
fn push_number(number: &Number, text: &mut String) {
    let value = number.as_f64().unwrap_or_default();
    if value == 0.0 {
        return text.push('0');
    }
    if value < 0.0 {
        text.push('-');
    }
    let written = format!("{:e}", value.abs());
    let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let digits = digits.replace('.', "");
    // Where the point stands: behind so many digits.
    let point = exponent.parse::<i32>().unwrap_or_default().saturating_add(1);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
    let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    match point {
        22.. | ..=-6 => {
            let (first, rest) = digits.split_at_checked(1).unwrap_or_default();
            let dot = if rest.is_empty() { "" } else { "." };
            let exponent = point.saturating_sub(1);
            let sign = if exponent < 0 { '-' } else { '+' };
            text.push_str(&format!("{first}{dot}{rest}e{sign}{}", exponent.unsigned_abs()));
        }
        -5..=0 => text.push_str(&format!("0.{}{digits}", zeros(point.saturating_neg()))),
        _ if point >= length => {
            text.push_str(&digits);
            text.push_str(&zeros(point.saturating_sub(length)));
        }
        _ => {
            let point = usize::try_from(point).unwrap_or_default();
            let (whole, fraction) = digits.split_at_checked(point).unwrap_or_default();
            text.push_str(&format!("{whole}.{fraction}"));
        }
    }
}
