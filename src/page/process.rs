//! What the operating system says of this process.

use std::fmt;
use std::fs;

use prometheus_client::registry::Unit;
use rustix::param::{clock_ticks_per_second, page_size};

use super::metrics::Encoder;

/// Figures of this process; those that the system does not tell are absent.
#[derive(Debug, Default)]
pub(super) struct Process {
    resident_bytes: Option<u64>,
    cpu_ticks: Option<u64>,
    threads: Option<u64>,
    open_files: Option<u64>,
}

impl Process {
    /// As it is now.
    pub(super) fn now() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let mut process = Self::from_stat(&stat);
        process.open_files = fs::read_dir("/proc/self/fd")
            .ok()
            .map(|files| files.count() as u64);
        process
    }

    /// From a line as in proc(5). The program's name, in brackets, may hold anything.
    fn from_stat(stat: &str) -> Self {
        let numbers: Vec<_> = stat
            .rsplit_once(") ")
            .map_or("", |(_, rest)| rest)
            .split(' ')
            .collect();
        // The first after the name is number 3.
        let number = |at: usize| numbers.get(at - 3)?.parse::<u64>().ok();
        Self {
            resident_bytes: number(24).map(|pages| pages * page_size() as u64),
            cpu_ticks: number(14)
                .zip(number(15))
                .map(|(user, system)| user + system),
            threads: number(20),
            open_files: None,
        }
    }

    pub(super) fn encode(&self, to: &mut Encoder<'_>) -> fmt::Result {
        if let Some(bytes) = self.resident_bytes {
            let help = "Resident memory of the process.";
            to.gauge(
                "process_resident_memory",
                help,
                Some(&Unit::Bytes),
                bytes as f64,
            )?;
        }
        if let Some(ticks) = self.cpu_ticks {
            let seconds = ticks as f64 / clock_ticks_per_second() as f64;
            to.seconds_counter(
                "process_cpu",
                "Processor time that the process has used.",
                seconds,
            )?;
        }
        if let Some(threads) = self.threads {
            to.gauge(
                "process_threads",
                "Threads of the process.",
                None,
                threads as f64,
            )?;
        }
        if let Some(files) = self.open_files {
            to.gauge(
                "process_open_fds",
                "Files that the process has open.",
                None,
                files as f64,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_brackets_does_not_confuse() {
        let stat = "17 (a) b (c) S 1 17 17 0 -1 4194560 500 0 0 0 12 30 0 0 20 0 7 0 100 1000000 250 18446744073709551615";
        let process = Process::from_stat(stat);
        assert_eq!(process.resident_bytes, Some(250 * page_size() as u64));
        assert_eq!((process.cpu_ticks, process.threads), (Some(42), Some(7)));
    }

    #[test]
    fn this_process_has_figures() {
        let process = Process::now();
        assert!(process.resident_bytes > Some(1 << 20));
        assert!(process.threads >= Some(1) && process.open_files >= Some(3));
        assert!(Process::from_stat("").threads.is_none());
    }
}
