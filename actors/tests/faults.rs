//! Faults from the environment, and what a supervised panic leaves on standard error: nothing.
//!
//! The environment belongs to the whole process, so each test runs this program again, with faults, for one inner test.
#![cfg(feature = "fault-injection")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test program, helpers included"
)]

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use omnigate_actors::supervision::{Child, Monitor, Root, supervise};
use omnigate_actors::{faults, tree};

struct Counting {
    name: &'static str,
    seen: u32,
}

impl Actor for Counting {
    type Context = Context<Self>;
}

impl Supervised for Counting {}

struct Count;

impl Message for Count {
    type Result = u32;
}

impl Handler<Count> for Counting {
    type Result = u32;

    fn handle(&mut self, _: Count, _: &mut Context<Self>) -> u32 {
        faults::hit("parser", self.name);
        self.seen += 1;
        self.seen
    }
}

fn start(root: &Arc<Root>, name: &'static str) -> Child<Counting> {
    supervise(root, &tree::PARSER, move |_: &Arc<Monitor>| Counting {
        name,
        seen: 0,
    })
}

/// Asks two actors in turn, and writes down what they answered and why they failed.
#[test]
#[ignore = "for the other tests, which run it with faults"]
fn inner() {
    System::new().block_on(async {
        let root = Root::new(slog::Logger::root(slog::Discard, slog::o!()), |_| {});
        for name in ["kam-1234", "kam-234"] {
            let child = start(&root, name);
            let mut answers = Vec::new();
            for _ in 0..4 {
                let answer = child
                    .addr
                    .send(Count)
                    .timeout(Duration::from_secs(20))
                    .await;
                answers.push(answer.map_or_else(|_| "-".to_owned(), |count| count.to_string()));
            }
            let reason = child.handle.monitor.last_exit().map(|exit| exit.reason);
            println!(
                "{name}: {}; {}",
                answers.join(" "),
                reason.unwrap_or_default()
            );
        }
    });
}

fn with_faults(faults: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "inner", "--ignored", "--nocapture"])
        .env("OMNIGATE_FAULTS", faults)
        .output()
        .unwrap()
}

/// What the inner test wrote about its actors.
fn outcome(faults: &str) -> Vec<String> {
    let output = with_faults(faults);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "",
        "a supervised panic is for the log"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split_once("kam-"))
        .map(|(_, rest)| rest.to_owned())
        .collect()
}

#[test]
fn without_faults_nothing_happens() {
    assert_eq!(outcome(""), ["1234: 1 2 3 4; ", "234: 1 2 3 4; "]);
    assert_eq!(
        outcome("driver:panic:always"),
        ["1234: 1 2 3 4; ", "234: 1 2 3 4; "]
    );
}

#[test]
fn a_panic_happens_at_the_message_asked_for() {
    let place = "panicked at actors/src/faults.rs:";
    let outcome = outcome("parser:panic:2");
    let [first, second] = &outcome[..] else {
        panic!("{outcome:?}")
    };
    assert!(
        first.starts_with(&format!("1234: 1 - 1 2; {place}"))
            && first.ends_with(": injected fault"),
        "{first}"
    );
    assert_eq!(second, "234: 1 2 3 4; ", "counted over all instances");
}

#[test]
fn a_fault_may_be_for_one_instance_only() {
    for name in ["234", "kam-234"] {
        let outcome = outcome(&format!("parser/{name}:panic:x3"));
        assert_eq!(outcome[0], "1234: 1 2 3 4; ");
        assert!(
            outcome[1].starts_with("234: - - - 1; panicked"),
            "{outcome:?}"
        );
    }
}

#[test]
fn errors_and_stops_follow_the_message() {
    assert_eq!(
        outcome("parser/1234:error:2, parser/234:stop"),
        [
            "1234: 1 2 1 2; injected fault",
            "234: 1 1 2 3; stopped by itself"
        ]
    );
}

#[test]
fn a_hanging_handler_never_comes_back() {
    let mut inner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "inner", "--ignored"])
        .env("OMNIGATE_FAULTS", "parser:hang")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(inner.try_wait().unwrap(), None);
    inner.kill().unwrap();
    inner.wait().unwrap();
}

#[test]
fn what_is_not_understood_ends_the_program() {
    for (list, complaint) in [
        ("parser", "want actor[/instance]:kind[:when]"),
        (
            "parser:explode",
            "explode is none of panic, error, stop, hang",
        ),
        (
            "driver:panic,parser:panic:0",
            "0 is none of 3, x3, always, 1/3",
        ),
        ("parser:panic:1/", "1/ is none of"),
        ("parser:panic:1:2", "too many colons"),
    ] {
        let output = with_faults(list);
        assert_eq!(output.status.code(), Some(2), "{list}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.starts_with("OMNIGATE_FAULTS: ") && stderr.contains(complaint),
            "{stderr}"
        );
    }
}
