//! Mistakes in settings and on the command line are named, all of them, without repeating what may be a secret; exit codes tell scripts
//! and service managers what to do.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::support::telegrams::{COMPACT_2_06, KEY, WRONG_KEY};

const SETTINGS: &str = "[gateway]\nid = \"g\"\n[mqtt]\nurl = \"mqtt://me:s3cret@broker\"\npasword = \"s3cret\"\n[log]\nlevel = \"loud\"\n";

#[test]
fn run_and_check_config_name_every_mistake_and_run_is_not_to_be_restarted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("omnigate.toml");
    std::fs::write(&file, SETTINGS).unwrap();
    let file = file.to_str().unwrap();
    for (command, code) in [("run", 78), ("check-config", 1)] {
        let output = omnigate(&[command, "--config", file], "");
        assert_eq!(output.status.code(), Some(code), "{command}");
        let said = said(&output);
        for mistake in ["4: mqtt.url", "5: mqtt.pasword", "7: log.level"] {
            assert!(
                said.contains(&format!("{file}:{mistake}: ")),
                "{command} does not say {mistake}: {said}"
            );
        }
        assert!(!said.contains("s3cret"), "{said}");
    }
}

#[test]
fn the_documented_settings_have_no_mistakes() {
    let output = omnigate(&["check-config", "--config", "deploy/omnigate.toml"], "");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn decode_says_whether_every_line_was_good() {
    let good = format!("{COMPACT_2_06} {KEY}\n");
    let output = omnigate(&["decode"], &good);
    assert_eq!(output.status.code(), Some(0));
    assert!(said(&output).contains(r#""value":2060,"unit":"Wh""#));
    let output = omnigate(
        &["decode", "-"],
        &format!("{good}{COMPACT_2_06} {WRONG_KEY}\n{good}"),
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said(&output).lines().count(), 3);
}

#[test]
fn a_key_on_the_command_line_is_never_repeated() {
    let half_a_key = &KEY[..31];
    for arguments in [
        &["decode", "--key", half_a_key][..],
        &["decode", "--key", KEY, "/nowhere"],
        &["decode", "file", KEY],
        &["decode", KEY, KEY, KEY],
        &["decode", "--key", KEY],
    ] {
        let output = omnigate(arguments, "00\n");
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
        let unfinished = said(&output).to_uppercase();
        assert!(
            !unfinished.contains(half_a_key),
            "{arguments:?}: {unfinished}"
        );
    }
}

#[test]
fn help_tells_the_exit_codes() {
    let help = said(&omnigate(&["run", "--help"], ""));
    for line in ["  0  ", "  1  ", "  2  ", " 70  ", " 78  "] {
        assert!(help.contains(line), "{line:?} in {help}");
    }
    assert_eq!(omnigate(&["fly"], "").status.code(), Some(2));
}

fn omnigate(arguments: &[&str], input: &str) -> Output {
    let mut process = Command::new(env!("CARGO_BIN_EXE_omnigate"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have ended without reading.
    process
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .ok();
    process.wait_with_output().unwrap()
}

/// All that it printed.
fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr]
        .map(String::from_utf8_lossy)
        .concat()
}
