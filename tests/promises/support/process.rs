//! A program of ours that runs.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{DEADLINE_OF_AN_END, wait_at_most, wait_for};

/// Runs until it is dropped.
pub struct Process {
    process: Child,
    output: Arc<Mutex<String>>,
    /// They end with what they read.
    collectors: [JoinHandle<()>; 2],
}

impl Process {
    /// Starts it, with everything it prints collected.
    pub fn start(mut command: Command) -> Self {
        Self::again(&mut command)
    }

    /// The same with a command that was used before.
    pub fn again(command: &mut Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output: Arc<Mutex<String>> = Arc::default();
        let collectors = [
            collect(process.stdout.take().unwrap(), Arc::clone(&output)),
            collect(process.stderr.take().unwrap(), Arc::clone(&output)),
        ];
        Self {
            process,
            output,
            collectors,
        }
    }

    /// Everything it printed so far, standard output and standard error together.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Waits until it printed this.
    pub fn wait_for_output(&self, text: &str) {
        wait_for(&format!("{text:?} in the program's output"), || {
            Some(self.output()).filter(|output| output.contains(text))
        });
    }

    /// Writes lines to its standard input.
    pub fn feed<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        let input = self.stdin();
        for line in lines {
            writeln!(input, "{line}").unwrap();
        }
        input.flush().unwrap();
    }

    /// Sends it a signal: `TERM`, `INT`, `HUP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.process.id().to_string())
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// How it ended, if it has.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().unwrap()
    }

    /// Waits for its end, and for all that it printed.
    pub fn wait(&mut self) -> ExitStatus {
        let process = &mut self.process;
        let status = wait_at_most(DEADLINE_OF_AN_END, "the program's end", || {
            let ended = process.try_wait().unwrap();
            if ended.is_none() {
                thread::sleep(Duration::from_millis(20));
            }
            ended
        });
        wait_for("the end of the program's output", || {
            let ended = self.collectors.iter().all(JoinHandle::is_finished);
            ended.then_some(())
        });
        if !status.success() {
            eprintln!("{}", self.output());
        }
        status
    }

    fn stdin(&mut self) -> &mut ChildStdin {
        self.process.stdin.as_mut().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        if thread::panicking() {
            eprintln!("the program printed:\n{}", self.output());
        }
    }
}

fn collect(
    stream: impl std::io::Read + Send + 'static,
    output: Arc<Mutex<String>>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut output = output.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
        }
    })
}
