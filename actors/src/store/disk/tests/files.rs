//! The store on a real file system, with its thread.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::support::{Set, identify, radio, reading, silent};
use crate::counters::Counters;
use crate::store::disk::{DiskStore, Health, Limits, Restored};
use crate::store::outbox::Row;

fn open(folder: &Path) -> (DiskStore, Restored) {
    let set = Set::of(0..3);
    DiskStore::open(
        folder,
        Limits::default(),
        set,
        Arc::new(Counters::new()),
        silent(),
    )
    .unwrap()
}

async fn until_health(store: &DiskStore, wanted: impl Fn(&Health) -> bool) {
    let mut health = store.health();
    let waiting = health.wait_for(wanted);
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .unwrap()
        .unwrap();
}

async fn take(store: &DiskStore) -> Arc<Row> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(row) = store.next() {
            return row;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        tokio::time::timeout(left, store.ready().notified())
            .await
            .expect("a reading");
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn readings_survive_and_nobody_else_may_read_them() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    let (store, _) = open(&folder);
    for number in 0..3 {
        store.push(reading(0, number), None, radio());
    }
    let row = take(&store).await;
    store.remove(row.id);
    assert!(store.flush().await);
    assert_eq!(mode(&folder), 0o700);
    let mut files = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
        files += 1;
    }
    assert_eq!(files, 2, "the database and its log");
    drop(store);
    let (store, restored) = open(&folder);
    assert_eq!(restored.await.unwrap().unwrap().len(), 3);
    assert_eq!(identify(&take(&store).await.reading), (0, 1));
    assert_eq!(identify(&take(&store).await.reading), (0, 2));
    assert!(store.next().is_none());
}

#[tokio::test]
async fn a_loose_mode_is_tightened() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("omnigate.db");
    fs::write(&file, []).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let (store, _) = open(folder.path());
    assert!(store.flush().await);
    assert_eq!(mode(&file), 0o600);
}

#[tokio::test]
async fn a_second_gateway_on_the_same_database_waits_for_the_first_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = open(folder.path());
    first.push(reading(0, 1), None, radio());
    assert!(first.flush().await);
    let (second, _) = open(folder.path());
    until_health(&second, |health| {
        matches!(health, Health::Failing { reason, .. } if reason.contains("in use by another process"))
    })
    .await;
    second.push(reading(0, 2), None, radio());
    assert_eq!(
        identify(&take(&second).await.reading),
        (0, 2),
        "from memory"
    );
    drop(first);
    until_health(&second, |health| *health == Health::Working).await;
    assert_eq!(identify(&take(&second).await.reading), (0, 1));
}

#[tokio::test]
async fn a_damaged_file_is_kept_beside_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("omnigate.db"),
        "this is not a database, but it is long enough",
    )
    .unwrap();
    let (store, _) = open(folder.path());
    store.push(reading(0, 1), None, radio());
    assert!(store.flush().await);
    let aside: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with("omnigate.db.damaged-")
        })
        .collect();
    assert_eq!(aside.len(), 1);
    assert_eq!(mode(&aside[0].path()), 0o600);
    assert!(
        fs::read_to_string(aside[0].path())
            .unwrap()
            .starts_with("this is not")
    );
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_a_state() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("state");
    fs::write(&blocked, "a file where the folder should be").unwrap();
    let (store, _) = open(&blocked);
    until_health(&store, |health| matches!(health, Health::Failing { .. })).await;
    store.push(reading(0, 1), None, radio());
    assert_eq!(identify(&take(&store).await.reading), (0, 1));
    assert!(!store.flush().await);
    fs::remove_file(&blocked).unwrap();
    until_health(&store, |health| *health == Health::Working).await;
    assert!(store.flush().await);
    drop(store);
    let (store, _) = open(&blocked);
    assert_eq!(identify(&take(&store).await.reading), (0, 1));
}

/// A limit on the size of files stands for a disk that is full. It cannot be taken back, so the process that has it is another.
#[test]
fn a_file_that_may_not_grow_is_a_state() {
    let folder = tempfile::tempdir().unwrap();
    // Its output goes through pipes: where this process writes into a file, the limit would be that file's too.
    let process = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--ignored",
            "store::disk::tests::files::in_a_process_whose_files_may_not_grow",
        ])
        .env("OMNIGATE_TEST_DIR", folder.path())
        .output()
        .unwrap();
    assert!(
        process.status.success(),
        "{}",
        String::from_utf8_lossy(&process.stdout)
    );
    // What was committed before is there without the limit.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (store, _) = open(folder.path());
        assert_eq!(identify(&take(&store).await.reading), (0, 0));
    });
}

#[tokio::test]
#[ignore = "part of another test"]
async fn in_a_process_whose_files_may_not_grow() {
    let Some(folder) = std::env::var_os("OMNIGATE_TEST_DIR") else {
        return;
    };
    let (store, _) = open(Path::new(&folder));
    let mut number = 0;
    while !matches!(*store.health().borrow(), Health::Failing { .. }) {
        store.push(reading(0, number), None, radio());
        number += 1;
        assert!(number < 10_000);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!store.flush().await);
    for expected in 0..number {
        assert_eq!(identify(&take(&store).await.reading), (0, expected));
    }
}
