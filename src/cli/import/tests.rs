//! Imports against a listener that follows a script.

use std::{
    fs,
    io::{BufReader, Write},
    path::Path,
    time::Duration,
};

use serde_json::json;

use super::*;
use crate::cli::admin::scripted::{Scripted, Step, answer, chunk, head, next_chunk, raw, silence};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\
    transfer-encoding: chunked\r\n\r\n";

fn import(content: &[u8], steps: Vec<Step>) -> (anyhow::Result<Tally>, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("customers.csv");
    fs::write(&file, content).unwrap();
    import_file(&file, steps)
}

fn import_file(file: &Path, steps: Vec<Step>) -> (anyhow::Result<Tally>, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let server = Scripted::start(steps);
    let client = server.client(directory.path()).impatient(Duration::from_millis(500));
    let source = Source::open(file).unwrap();
    let tally = client.block_on(transfer(&client, source, &ProgressBar::hidden()));
    drop(client);
    (tally, server.read())
}

fn result(line: u64) -> Vec<u8> {
    chunk(format!("{}\n", json!({"line": line, "customer": "a", "result": "created"})).as_bytes())
}

fn done(lines: u64, errors: u64) -> Vec<u8> {
    let summary = json!({"done": true, "lines": lines, "created": lines - errors, "updated": 0,
                         "unchanged": 0, "errors": errors});
    [chunk(format!("{summary}\n").as_bytes()), b"0\r\n\r\n".to_vec()].concat()
}

#[test]
fn results_are_taken_in() {
    let bad = chunk(b"{\"line\":3,\"result\":\"error\",\"error\":\"no such plan\"}\n");
    let whole = [HEAD, &result(2), &bad, &done(2, 1)].concat();
    let (tally, read) = import(b"customer,plan\na,pro\nb,x\n", vec![raw(whole)]);
    let tally = tally.unwrap();
    assert_eq!((tally.lines(), tally.errors()), (2, 1));
    assert!(read[0].starts_with("POST /v1/import HTTP/1.1\r\n"), "{}", read[0]);
    assert!(read[0].contains("content-type: text/csv"), "{}", read[0]);
    assert!(read[0].ends_with("\r\n\r\ncustomer,plan\na,pro\nb,x\n"), "{}", read[0]);
}

/// The results come while the file is still on its way: what is in between is never more than a few
/// pieces.
#[test]
fn file_is_sent_while_results_come() {
    let content = vec![b'x'; 8 << 20];
    let step: Step = Box::new(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let head = head(&mut reader);
        stream.write_all(HEAD).unwrap();
        let (mut bytes, mut line) = (0, 0);
        loop {
            let piece = next_chunk(&mut reader);
            if piece.is_empty() {
                break;
            }
            bytes += piece.len();
            line += 1;
            stream.write_all(&result(line)).unwrap();
        }
        assert_eq!(bytes, 8 << 20);
        stream.write_all(&done(line, 0)).unwrap();
        head
    });
    let (tally, _) = import(&content, vec![step]);
    let tally = tally.unwrap();
    assert!(tally.lines() >= 128, "{}", tally.lines());
    assert_eq!(tally.summary().unwrap()["lines"], tally.lines());
}

#[test]
fn import_that_is_cut_is_not_done() {
    let cut = [HEAD, &result(2), &result(3)].concat();
    let refused = json!({"code": "invalid_token", "detail": "No."});
    let told = format!("{:#}", import(b"customer\na\n", vec![raw(cut)]).0.unwrap_err());
    assert!(told.contains("2 lines were answered"), "{told}");
    assert!(told.contains("closed the connection"), "{told}");
    // An answer that ends in order, but without its summary, has no summary.
    let ended = [HEAD, &result(2), b"0\r\n\r\n"].concat();
    assert!(import(b"customer\na\n", vec![raw(ended)]).0.unwrap().summary().is_none());
    // Cut without a word: the reason is asked for.
    let steps = vec![raw(""), answer("401 Unauthorized", &refused)];
    let told = import(b"customer\na\n", steps).0.unwrap_err().to_string();
    assert!(told.contains("admin token"), "{told}");
}

#[test]
fn refused_import_says_why() {
    let problem = json!({"code": "unsupported_media_type", "detail": "Send CSV or JSON lines."});
    let steps = vec![answer("415 Unsupported Media Type", &problem)];
    let told = import(b"customer\na\n", steps).0.unwrap_err().to_string();
    assert_eq!(told, "Send CSV or JSON lines");
}

#[test]
fn silent_gateway_is_not_waited_for() {
    let (tally, _) = import(b"customer\na\n", vec![silence()]);
    let error = tally.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(CallError::Silent { .. })), "{error:?}");
}

#[test]
fn progress_is_told() {
    let mut tally = Tally::default();
    for line in [&br#"{"line":2,"result":"created"}"#[..], br#"{"line":3,"result":"error"}"#] {
        tally.take(line).unwrap();
    }
    assert_eq!(progress(&tally, &ProgressBar::hidden()), "2 lines, 2/s, 1 bad");
}
