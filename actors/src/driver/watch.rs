//! Waiting for a name in the file system, without looking again and again.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{sleep, timeout};

/// Watches the folders in which a device's name may appear or change.
///
/// Set it up before looking for the name: what happens from then on is not missed.
#[derive(Debug)]
pub struct Watch(Option<AsyncFd<OwnedFd>>);

impl Watch {
    /// Watches each of these folders; one that does not exist (udev removes an empty `/dev/serial`) through its nearest ancestor
    /// that does.
    ///
    /// Where the system refuses (its number of watches is limited) the watch only looks at the clock.
    pub fn on<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Self {
        Self(Self::start(folders).ok())
    }

    fn start<'a>(folders: impl IntoIterator<Item = &'a Path>) -> std::io::Result<AsyncFd<OwnedFd>> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        for folder in folders {
            for folder in folder.ancestors() {
                let folder = if folder.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    folder
                };
                match inotify::add_watch(&inotify, folder, CHANGES) {
                    Ok(_) => break,
                    Err(Errno::NOENT) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for the sake of types that change their descriptor: this does not"
        )]
        AsyncFd::with_interest(inotify, Interest::READABLE)
    }

    /// Returns after a change, or after a long time in which none was seen.
    pub async fn changed(&self) {
        match &self.0 {
            Some(inotify) => match timeout(LOOK_ANYWAY, inotify.readable()).await {
                Ok(Ok(mut readable)) => {
                    // A device appears in several steps: link, owner, permissions.
                    sleep(SETTLE).await;
                    drain(inotify);
                    readable.clear_ready();
                }
                Ok(Err(_)) => sleep(LOOK_WITHOUT_WATCH).await,
                Err(_) => {}
            },
            None => sleep(LOOK_WITHOUT_WATCH).await,
        }
    }
}

/// What may make a name appear or a device usable.
const CHANGES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::ONLYDIR);
const SETTLE: Duration = Duration::from_millis(50);
const LOOK_ANYWAY: Duration = Duration::from_secs(60);
const LOOK_WITHOUT_WATCH: Duration = Duration::from_secs(2);

fn drain(inotify: &AsyncFd<OwnedFd>) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(inotify.get_ref(), &mut buffer);
    while events.next().is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if it is only noticed by looking anyway.
    async fn noticed(watch: &Watch) {
        assert!(watch.0.is_some(), "the system refuses to watch");
        timeout(LOOK_ANYWAY / 2, watch.changed())
            .await
            .expect("a change");
    }

    #[tokio::test]
    async fn a_folder_that_appears_later_is_noticed_at_once() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("serial/by-id");
        let watch = Watch::on([folder.as_path()]);
        let ((), ()) = tokio::join!(noticed(&watch), async {
            sleep(Duration::from_millis(20)).await;
            std::fs::create_dir_all(&folder).unwrap();
        });

        let watch = Watch::on([folder.as_path()]);
        let ((), ()) = tokio::join!(noticed(&watch), async {
            std::fs::write(folder.join("dongle"), "").unwrap();
        });
    }

    #[tokio::test]
    async fn nothing_happens_while_nothing_changes() {
        let root = tempfile::tempdir().unwrap();
        let watch = Watch::on([root.path()]);
        assert!(
            timeout(Duration::from_millis(200), watch.changed())
                .await
                .is_err()
        );
    }
}
