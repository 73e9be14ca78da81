//! Page: what the gateway does, to be seen with a browser, a monitoring system or a health check.
//!
//! Read-only, on the loopback address unless the settings say otherwise, with a bounded number of connections, and on threads of its own:
//! whatever happens here, no actor notices. It only reads what the actors share ([`Sources`]).
//!
//! | path | shows |
//! |---|---|
//! | `/` | the page; it refreshes itself by server-sent events from `/events` |
//! | `/meters/NAME` | a meter with its history as plots |
//! | `/metrics` | figures for Prometheus |
//! | `/healthz` | 200 if the gateway does its work, otherwise 503 and why, as JSON |

mod events;
mod history;
mod metrics;
mod plot;
mod process;
mod server;
mod view;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actix::System;
use slog::{Logger, info, warn};
use tokio::sync::Notify;

use crate::overview::Sources;

/// What the page is made from.
pub struct Config {
    /// Where it is.
    pub listen: SocketAddr,
    /// What it shows.
    pub sources: Sources,
    /// Where to log.
    pub log: Logger,
}

/// The running page. Ends when it is dropped.
pub struct Page(Arc<Notify>);

impl Page {
    /// Starts it. A port that is taken is a state: it is tried again until it is free.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(config: Config) -> io::Result<Self> {
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        thread::Builder::new()
            .name("page".to_owned())
            .spawn(move || {
                System::new().block_on(async {
                    tokio::select! {
                        () = serve(&config) => {}
                        () = stopped.notified() => {}
                    }
                });
            })?;
        Ok(Self(stop))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

async fn serve(config: &Config) {
    let mut told = None;
    loop {
        let ended = match server::bind(config.listen, &config.sources) {
            Ok((server, address)) => {
                info!(config.log, "the page is there"; "url" => format!("http://{address}/"));
                told = None;
                server.await.err()
            }
            Err(error) => Some(error),
        };
        let reason = ended.map_or_else(|| "it ended".to_owned(), |error| error.to_string());
        if told.as_ref() != Some(&reason) {
            warn!(config.log, "the page is not there, trying again until it is";
                "reason" => "page away", "listen" => config.listen.to_string(), "error" => &reason);
            told = Some(reason);
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// How often a port that is taken is tried.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
