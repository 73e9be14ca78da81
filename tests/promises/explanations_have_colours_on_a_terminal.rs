//! `decode --explain` has colours on a terminal, unless `NO_COLOR` objects. That a pipe gets none, the README's example shows.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

const LINE: &str = "27442D2C5768663230028D202E21870320D3A4F149B1B8F5783DF7434B8A66A55786499ABE7BAB59 9A25139E3244CC2E391A8EF6B915B697";

#[test]
fn unless_they_are_not_wanted() {
    let coloured = on_a_terminal(None);
    assert!(coloured.contains("\u{1b}[1m2060 Wh\u{1b}[0m"), "{coloured}");
    let plain = on_a_terminal(Some("1"));
    assert!(plain.contains("energy: 2060 Wh"), "{plain}");
    assert!(!plain.contains('\u{1b}'), "{plain}");
}

/// What the program prints on a terminal.
fn on_a_terminal(no_color: Option<&str>) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let terminal = OpenOptions::new().write(true).open(path).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_omnigate"));
    command
        .args(["decode", "--explain"])
        .env_remove("NO_COLOR")
        .envs(no_color.map(|value| ("NO_COLOR", value)))
        .stdin(Stdio::piped())
        .stdout(terminal);
    let mut process = command.spawn().unwrap();
    // Only the program holds the terminal now: its end is the end of what can be read.
    drop(command);
    writeln!(process.stdin.take().unwrap(), "{LINE}").unwrap();
    let mut printed = Vec::new();
    // A terminal that nobody holds any more is an error to read from, after everything was read.
    let _ = File::from(master).read_to_end(&mut printed);
    assert!(process.wait().unwrap().success());
    String::from_utf8(printed).unwrap()
}
