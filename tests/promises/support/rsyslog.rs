//! A real rsyslogd that listens on a socket of its own and writes what it understood as JSON lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::wait_for;

/// Runs until it is dropped.
pub struct Rsyslog {
    folder: TempDir,
    process: Option<Child>,
}

impl Rsyslog {
    pub fn start() -> Self {
        let mut daemon = Self {
            folder: tempfile::tempdir().unwrap(),
            process: None,
        };
        daemon.resume();
        daemon
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Starts it again, after [`Rsyslog::kill`].
    pub fn resume(&mut self) {
        let folder = self.folder.path().to_owned();
        let settings = folder.join("rsyslog.conf");
        fs::write(&settings, configuration(&folder)).unwrap();
        let process = Command::new(RSYSLOGD)
            .args(["-n", "-f"])
            .arg(&settings)
            .arg("-i")
            .arg(folder.join("pid"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("the tests need {RSYSLOGD} (Debian package rsyslog): {error}")
            });
        self.process = Some(process);
        wait_for("rsyslogd to listen", || {
            self.socket().exists().then_some(())
        });
    }

    /// Ends it, and its socket with it.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
            fs::remove_file(self.socket()).ok();
        }
    }

    /// Waits for the first message whose text contains this.
    pub fn message(&self, text: &str) -> Value {
        wait_for(&format!("{text:?} in the system's log"), || {
            self.all().into_iter().find(|message| {
                message["text"]
                    .as_str()
                    .is_some_and(|found| found.contains(text))
            })
        })
    }

    /// All messages so far.
    pub fn all(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("messages")).unwrap_or_default();
        // Of the last line the end may be missing still.
        let lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        // Without structured data rsyslogd writes nothing.
        let lines = lines.map(|line| line.replace("\"data\":}", "\"data\":null}"));
        lines
            .map(|line| {
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        self.kill();
    }
}

/// rsyslogd expects messages on local sockets in the form of the C library's `syslog` unless it is told that they may have any known form.
fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"global(workDirectory="{folder}")
module(load="imuxsock" SysSock.Use="off")
module(load="mmpstrucdata")
input(type="imuxsock" Socket="{folder}/log" UseSpecialParser="off" ParseHostname="on" RateLimit.Interval="0")
template(name="json" type="list") {{
    constant(value="{{\"severity\":\"") property(name="syslogseverity-text")
    constant(value="\",\"facility\":\"") property(name="syslogfacility-text")
    constant(value="\",\"time\":\"") property(name="timereported" dateFormat="rfc3339")
    constant(value="\",\"host\":\"") property(name="hostname" format="json")
    constant(value="\",\"program\":\"") property(name="app-name" format="json")
    constant(value="\",\"process\":\"") property(name="procid" format="json")
    constant(value="\",\"text\":\"") property(name="msg" format="json")
    constant(value="\",\"data\":") property(name="$!")
    constant(value="}}\n")
}}
action(type="mmpstrucdata")
action(type="omfile" file="{folder}/messages" template="json")
"#
    )
}

const RSYSLOGD: &str = "/usr/sbin/rsyslogd";
