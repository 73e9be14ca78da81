//! `deploy/omnigate.service` is right in systemd's own eyes, exposes little, and says what the program relies on.

use std::process::Command;

use omnigate::exit::Exit;
use tempfile::TempDir;

const UNIT: &str = include_str!("../../deploy/omnigate.service");

/// What it takes for `systemd-analyze` to look at the unit: a file of its name, with a program that is there.
fn unit() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("omnigate.service");
    let here = UNIT.replace("/usr/local/bin/omnigate", env!("CARGO_BIN_EXE_omnigate"));
    assert_ne!(here, UNIT);
    std::fs::write(&file, here).unwrap();
    (folder, file)
}

/// What it prints, and whether it is content.
fn systemd_analyze(arguments: &[&str]) -> (String, bool) {
    let (_folder, file) = unit();
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .arg(&file)
        .output()
        .unwrap_or_else(|error| {
            panic!("the tests need systemd-analyze (Debian package systemd): {error}")
        });
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.success())
}

#[test]
fn systemd_finds_no_mistake_in_it() {
    let (said, content) = systemd_analyze(&["verify", "--man=no"]);
    assert!(content && said.is_empty(), "{said}");
}

#[test]
fn it_exposes_little() {
    let (said, _) = systemd_analyze(&["security", "--offline=true", "--no-pager"]);
    let (_, rating) = said
        .split_once("Overall exposure level for omnigate.service: ")
        .unwrap_or_else(|| panic!("{said}"));
    let exposure: f32 = rating.split_whitespace().next().unwrap().parse().unwrap();
    // Versions of systemd look at different things; 1.3 with Debian 12's.
    assert!(exposure < 2.0, "{said}");
}

#[test]
fn it_says_what_the_program_relies_on() {
    let prevented = format!(
        "RestartPreventExitStatus={} {}",
        Exit::BadSettings,
        Exit::WrongUse
    );
    for line in [
        "Type=notify",
        "WatchdogSec=30",
        "Restart=on-failure",
        "RestartSec=5",
        "StartLimitIntervalSec=0",
        &prevented,
        "StateDirectory=omnigate",
        "DynamicUser=yes",
        "LimitCORE=0",
        // The files `password` and `stop_token` become the credentials `mqtt_password` and `mqtt_stop_token`.
        "LoadCredential=mqtt:/etc/omnigate/mqtt",
    ] {
        assert!(UNIT.lines().any(|other| other == line), "{line}");
    }
}
