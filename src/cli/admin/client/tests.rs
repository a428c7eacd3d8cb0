//! The client against a listener that follows a script.

use serde_json::json;

use super::*;
use crate::cli::admin::{
    random_key,
    scripted::{Scripted, answer, raw, silence},
};

#[test]
fn call_says_who_and_what() {
    let directory = tempfile::tempdir().unwrap();
    let created = json!({"id": "acme"});
    let server = Scripted::start(vec![
        answer("201 Created", &created),
        raw("HTTP/1.1 204 No Content\r\n\r\n"),
    ]);
    let client = server.client(directory.path());
    let key = random_key().unwrap();
    let call = Call::post(&["customers"], json!({"id": "acme"})).idempotency_key(key.clone());
    assert_eq!(client.json(&call).unwrap(), created);
    assert_eq!(client.json(&Call::delete(&["customers", "a c"])).unwrap(), Value::Null);
    let authority = client.authority.clone();
    let read = server.read();
    assert!(read[0].starts_with("POST /v1/customers HTTP/1.1\r\n"), "{}", read[0]);
    for field in [
        format!("host: {authority}"),
        "authorization: Bearer t0ken".to_owned(),
        "content-type: application/json".to_owned(),
        format!("idempotency-key: {key}"),
        "faregate-actor: ".to_owned(),
    ] {
        assert!(read[0].contains(&field), "{field}: {}", read[0]);
    }
    assert!(read[0].ends_with("\r\n\r\n{\"id\":\"acme\"}"), "{}", read[0]);
    assert!(read[1].starts_with("DELETE /v1/customers/a%20c HTTP/1.1\r\n"), "{}", read[1]);
}

#[test]
fn wrong_token_names_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let problem = json!({"code": "invalid_token", "detail": "Send the token."});
    let server = Scripted::start(vec![answer("401 Unauthorized", &problem)]);
    let error = server.client(directory.path()).json(&Call::get(&["config"])).unwrap_err();
    let told = error.to_string();
    let file = directory.path().join("token").display().to_string();
    assert!(told.contains(&file) && told.contains("--token-file"), "{told}");
    assert!(!told.contains("t0ken"), "{told}");
}

#[test]
fn refusal_lists_the_fields() {
    let directory = tempfile::tempdir().unwrap();
    let problem = json!({
        "code": "invalid_request_body", "detail": "The body is not right.",
        "errors": [{"field": "id", "message": "is empty"},
                   {"field": "name", "message": "too long"}],
    });
    let server = Scripted::start(vec![answer("422 Unprocessable Entity", &problem)]);
    let call = Call::post(&["customers"], json!({})).about("acme");
    let told = server.client(directory.path()).json(&call).unwrap_err().to_string();
    assert_eq!(told, "acme: The body is not right\n  id: is empty\n  name: too long");
}

#[test]
fn nobody_at_the_address_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let server = Scripted::start(Vec::new());
    let client = server.client(directory.path());
    let address = server.address.to_string();
    // The listener is closed with the thread that had it.
    server.read();
    let error = client.json(&Call::get(&["config"])).unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error:?}");
    let told = error.to_string();
    assert!(told.contains(&address) && told.contains("is it running?"), "{told}");
}

#[test]
fn silence_ends() {
    let directory = tempfile::tempdir().unwrap();
    let server = Scripted::start(vec![silence()]);
    let client = server.client(directory.path()).impatient(Duration::from_millis(50));
    let error = client.json(&Call::get(&["config"])).unwrap_err();
    assert!(matches!(error, CallError::Silent { .. }), "{error:?}");
    drop(client);
    server.read();
}

#[test]
fn cut_and_foreign_answers_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let server = Scripted::start(vec![
        raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":"),
        raw("HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnope"),
        raw(""),
    ]);
    let client = server.client(directory.path());
    let call = Call::get(&["config"]);
    assert!(matches!(client.json(&call).unwrap_err(), CallError::Cut { .. }));
    let error = client.json(&call).unwrap_err();
    assert!(matches!(error, CallError::NotOurs { .. }), "{error:?}");
    assert!(error.to_string().contains("status 404"), "{error}");
    assert!(matches!(client.json(&call).unwrap_err(), CallError::Cut { .. }));
    server.read();
}

#[test]
fn actor_fits_a_field() {
    assert_eq!(actor("maria"), "maria");
    assert_eq!(actor("ma ria\r\nx: y"), "mariax:y");
    assert_eq!(actor("Ωé"), "cli");
    assert_eq!(actor(""), "cli");
    assert_eq!(actor(&"x".repeat(500)).len(), ACTOR_BYTES_MAX);
}

#[test]
fn waiting_for_our_own_side_is_not_idleness() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let client = Client::new("127.0.0.1:1".to_owned(), None).unwrap();
    runtime.block_on(async {
        let watched = Watched::new();
        watched.waits_for_us();
        let long = tokio::time::sleep(IDLE_TIMEOUT * 5);
        client.unless_idle(&watched, long).await.unwrap();
        watched.moved();
        let long = tokio::time::sleep(IDLE_TIMEOUT * 5);
        let begun = Instant::now();
        assert!(client.unless_idle(&watched, long).await.is_err());
        assert_eq!(begun.elapsed(), IDLE_TIMEOUT);
    });
}
