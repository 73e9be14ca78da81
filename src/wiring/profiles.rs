//! The profiles of types of meters: the embedded ones, and those of the directory that the settings name.

use std::sync::Arc;
use std::time::Duration;

use omnigate_actors::profiles::{InForce, Watch};
use omnigate_actors::status::StatusBoard;
use slog::{Logger, o, warn};

use crate::settings::Profiles;

/// Those in force, and the watch over the directory. Without a watch the embedded ones stay in force.
pub fn in_force(
    settings: &Profiles,
    status: &StatusBoard,
    log: &Logger,
) -> (Arc<InForce>, Option<Watch>) {
    let in_force = Arc::new(InForce::default());
    let Some(directory) = &settings.directory else {
        return (in_force, None);
    };
    let watch = Watch::start(
        directory.clone(),
        LOOK_EVERY,
        Arc::clone(&in_force),
        log.new(o!("part" => "profiles")),
    );
    match &watch {
        Ok(watch) => status.add("profiles", watch.section()),
        Err(error) => {
            warn!(log, "the directory of profiles is not watched"; "reason" => "profiles", "error" => %error);
        }
    }
    (in_force, watch.ok())
}

/// A file is read when it has looked the same for so long.
const LOOK_EVERY: Duration = Duration::from_secs(1);
