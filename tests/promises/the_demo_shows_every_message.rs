//! The demo needs nothing, shows the whole way of a reading, and ends when told to.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use super::support::{DEADLINE, wait_for};

struct Demo {
    process: Child,
    lines: Receiver<String>,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_omnigate"))
            .arg("demo")
            .args(["--interval", "0.5"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { process, lines }
    }

    /// Reads on until a line contains this.
    fn wait_for(&self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut seen = Vec::new();
        while let Ok(line) = self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            if line.contains(text) {
                return line;
            }
            seen.push(line);
        }
        panic!("no {text:?} in:\n{}", seen.join("\n"));
    }

    fn signal(&self, name: &str) {
        let process = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args([&format!("-{name}"), &process])
                .status()
                .unwrap()
                .success()
        );
    }

    fn exit_code(&mut self) -> Option<i32> {
        wait_for("the demo's end", || self.process.try_wait().unwrap()).code()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[test]
fn from_the_set_message_to_offline() {
    let mut demo = Demo::start(&[]);
    demo.wait_for("the gateway is online");
    demo.wait_for("3 accepted, 0 refused");
    for channel in [
        "A+ / Active positive energy",
        "A- / Active negative energy",
        "P+ / Active positive power",
        "P- / Active negative power",
    ] {
        let line = demo.wait_for(channel);
        assert!(line.contains("kam-3266685"), "{line}");
    }
    demo.signal("TERM");
    demo.wait_for("the gateway is offline");
    assert_eq!(demo.exit_code(), Some(0));
}

#[test]
fn it_ends_when_its_time_is_over() {
    let mut demo = Demo::start(&["--seconds", "15"]);
    demo.wait_for("the gateway is offline");
    assert_eq!(demo.exit_code(), Some(0));
}

#[test]
fn an_interrupt_ends_it_cleanly() {
    let mut demo = Demo::start(&[]);
    demo.wait_for("the gateway is online");
    demo.signal("INT");
    demo.wait_for("the gateway is offline");
    assert_eq!(demo.exit_code(), Some(0));
}

#[test]
fn nobody_has_to_read_it() {
    let mut demo = Demo::start(&[]);
    demo.wait_for("the gateway is online");
    // Its reader goes away; the next message that it prints tells it.
    let (_, nothing) = mpsc::channel();
    drop(std::mem::replace(&mut demo.lines, nothing));
    assert_eq!(demo.exit_code(), Some(0));
}

#[test]
fn raw_messages_are_shown_without_keys() {
    let demo = Demo::start(&["--raw"]);
    let set = demo.wait_for("v2/demo/sensors/set [");
    assert!(
        set.contains("32666857") && !set.contains("9A25139E3244CC2E391A8EF6B915B697"),
        "{set}"
    );
    let data = demo.wait_for("/data {");
    let (topic, payload) = data.split_once(' ').unwrap();
    assert!(topic.starts_with("v2/demo/kam-3266685"), "{topic}");
    let payload: serde_json::Value = serde_json::from_str(payload).unwrap();
    assert_eq!(payload["aggregateType"], "Raw");
}
