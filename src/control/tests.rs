use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use serde_json::{Value, json};
use slog::{Discard, Logger, o};

use super::*;

fn serve(state_dir: &Path, verbs: Verbs) -> (Server, StateLock) {
    let lock = StateLock::take(state_dir).unwrap();
    let server = Server::start(&lock, verbs, Logger::root(Discard, o!())).unwrap();
    (server, lock)
}

fn verbs() -> Verbs {
    Verbs::default().with("meters", || json!(["a"]))
}

fn raw(state_dir: &Path, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket(state_dir)).unwrap();
    stream.write_all(request).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_verb_is_answered_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let _server = serve(folder.path(), verbs());
    assert_eq!(raw(folder.path(), b"meters\n"), "{\"answer\":[\"a\"]}\n");
    assert_eq!(ask(folder.path(), "meters").unwrap(), json!(["a"]));
    assert_eq!(
        ask(folder.path(), "key").unwrap_err().to_string(),
        "the gateway answers: unknown verb, expected one of: meters"
    );
}

#[test]
fn only_the_owner_can_open_it() {
    let folder = tempfile::tempdir().unwrap();
    let _server = serve(folder.path(), verbs());
    let mode = fs::metadata(socket(folder.path()))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn nonsense_is_answered_and_the_next_client_served() {
    let folder = tempfile::tempdir().unwrap();
    let _server = serve(folder.path(), verbs());
    let error = |request: &[u8]| -> Value {
        serde_json::from_str::<Value>(&raw(folder.path(), request)).unwrap()["error"].take()
    };
    assert_eq!(error(b"\xFF\n"), "a line that is not text");
    assert_eq!(error(&[b'x'; LONGEST_REQUEST + 1]), "line too long");
    assert_eq!(raw(folder.path(), b"no end"), "");
    // Connects and says nothing: the next waits no longer than the limit.
    let _silent = UnixStream::connect(socket(folder.path())).unwrap();
    assert_eq!(ask(folder.path(), "meters").unwrap(), json!(["a"]));
}

#[test]
fn a_panic_is_an_error_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let _server = serve(
        folder.path(),
        verbs().with("broken", || panic!("on purpose")),
    );
    assert!(matches!(
        ask(folder.path(), "broken"),
        Err(AskError::Refused(_))
    ));
    assert!(ask(folder.path(), "meters").is_ok());
}

#[test]
fn what_a_killed_gateway_left_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    for left in ["control.sock", "control.new"] {
        drop(UnixListener::bind(folder.path().join(left)).unwrap());
    }
    fs::write(folder.path().join("control.lock"), "999999999\n").unwrap();
    assert!(matches!(
        ask(folder.path(), "meters"),
        Err(AskError::NotRunning(_))
    ));
    let _server = serve(folder.path(), verbs());
    assert!(ask(folder.path(), "meters").is_ok());
}

#[test]
fn a_second_gateway_is_told_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), verbs());
    let error = StateLock::take(folder.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "another gateway (process {}) runs on {}",
            std::process::id(),
            folder.path().display()
        )
    );
    assert!(ask(folder.path(), "meters").is_ok());
    drop(server);
    assert!(!socket(folder.path()).exists());
    StateLock::take(folder.path()).unwrap();
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = StateLock::take(&file.join("state")).unwrap_err();
    assert!(matches!(error, LockError::Unusable { .. }), "{error}");
    assert!(error.to_string().contains(&file.display().to_string()));
}
