//! `omnigate setup` tries the broker and the dongle for real, shows the meters on the air, and writes settings without mistakes.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use crate::support::air::Air;
use crate::support::broker::Broker;
use crate::support::telegrams::{COMPACT_2_06, METER};
use crate::support::wait_for;

const PROGRAM: &str = env!("CARGO_BIN_EXE_omnigate");

/// Without a terminal, with these arguments.
fn setup(file: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(["setup", "--config"])
        .arg(file)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn assert_no_mistakes(file: &Path) {
    let check = Command::new(PROGRAM)
        .args(["check-config", "--config"])
        .arg(file)
        .output()
        .unwrap();
    assert!(check.status.success(), "{check:?}");
}

#[test]
fn what_the_command_line_answers_is_tried_and_written() {
    let broker = Broker::start();
    let air = Air::open();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("omnigate.toml");
    let arguments = [
        "--id",
        "cellar",
        "--url",
        &broker.url(),
        "--path",
        air.port(),
        "--listen",
        "10",
    ];
    let output = std::thread::scope(|scope| {
        let output = scope.spawn(|| setup(&file, &arguments));
        while !output.is_finished() {
            air.try_send(COMPACT_2_06);
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        output.join().unwrap()
    });
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("iM871A, serial number 31323334, firmware 1.3"),
        "{text}"
    );
    assert!(text.contains(&format!("KAM {METER}  OmniPower")), "{text}");
    assert_no_mistakes(&file);

    let again = setup(&file, &["--id", "other", "--untried"]);
    assert!(!again.status.success());
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.contains("cellar"), "{kept}");
}

#[test]
fn what_does_not_work_is_said_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("omnigate.toml");
    let arguments = [
        "--id",
        "cellar",
        "--url",
        "mqtt://127.0.0.1:1",
        "--path",
        "/dev/no-dongle",
    ];
    let output = setup(&file, &arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("nobody listens there"), "{text}");
    assert!(text.contains("no dongle at /dev/no-dongle"), "{text}");
    assert!(!file.exists());

    let output = setup(&file, &[&arguments[..], &["--untried"]].concat());
    assert!(output.status.success());
    assert_no_mistakes(&file);
}

/// `script` gives the program a terminal.
#[test]
fn an_operator_at_a_terminal_is_asked_and_the_password_stays_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("omnigate.toml");
    let command = format!("{PROGRAM} setup --untried --config {}", file.display());
    let mut process = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let shown = Arc::<Mutex<String>>::default();
    collect(process.stdout.take().unwrap(), Arc::clone(&shown));
    let mut keyboard = process.stdin.take().unwrap();
    for (question, answer) in [
        // The first id cannot be used and is asked for again.
        ("The gateway's id", "a/b"),
        ("1 to 64 letters", "\u{8}\u{8}\u{8}cellar"),
        ("The broker", "mqtts://broker.example"),
        ("The user name", "gateway"),
        ("The password", "s3cret"),
        ("The dongle's port", ""),
        ("What it hears", ""),
    ] {
        wait_for(question, || {
            shown.lock().unwrap().contains(question).then_some(())
        });
        keyboard.write_all(answer.as_bytes()).unwrap();
        keyboard.write_all(b"\r").unwrap();
    }
    let status = process.wait().unwrap();
    let text = shown.lock().unwrap().clone();
    assert!(status.success(), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    assert_no_mistakes(&file);
    let written = std::fs::read_to_string(&file).unwrap();
    for line in [
        "id = \"cellar\"",
        "url = \"mqtts://broker.example\"",
        "username = \"gateway\"",
        "path = \"auto\"",
    ] {
        assert!(written.contains(line), "{written}");
    }
    assert!(!written.contains("s3cret"), "{written}");
    let password = std::fs::read_to_string(folder.path().join("mqtt/password")).unwrap();
    assert_eq!(password, "s3cret");
}

/// Prompts end without a line break, so bytes are taken as they come.
fn collect(mut stream: impl Read + Send + 'static, shown: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..count]);
            shown.lock().unwrap().push_str(&text);
        }
    });
}
