//! The state directory: where the database's files are.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::failure::Failure;

/// Where a database lives.
pub(super) trait Place: Send {
    /// Connects to the database; makes an empty one if there is none.
    fn connect(&self) -> Result<Connection, Failure>;

    /// Connects to it for reading what can be read although it cannot be opened in the ordinary way: without its log, without locks.
    fn connect_read_only(&self) -> Result<Connection, Failure>;

    /// Moves the database out of the way, and answers where to, with a connection to it if one can be made.
    fn set_aside(&self, at: Timestamp) -> Result<(String, Option<Connection>), Failure>;
}

/// A directory in the file system.
#[derive(Debug, Clone)]
pub(super) struct StateDir(PathBuf);

impl StateDir {
    pub(super) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    fn database(&self) -> PathBuf {
        self.0.join(DATABASE)
    }

    /// Keeps only the latest of the damaged databases: they are as large as the disk lets them be, and hold keys.
    fn remove_older(&self, latest: &Path) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let latest = latest.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(ASIDE) && !name.starts_with(&*latest) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

impl Place for StateDir {
    fn connect(&self) -> Result<Connection, Failure> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)?;
        let path = self.database();
        // SQLite gives its other files the mode of this one, so it has to be right before SQLite sees it.
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE)
            .open(&path)?;
        if file.metadata()?.permissions().mode() & 0o777 != PRIVATE {
            file.set_permissions(Permissions::from_mode(PRIVATE))?;
            // And what was made before by a looser rule.
            let log = with_suffix(&path, "-wal");
            if log.exists() {
                fs::set_permissions(log, Permissions::from_mode(PRIVATE))?;
            }
        }
        // Closed before SQLite opens it: closing a file gives up the process's locks on it.
        drop(file);
        let connection = Connection::open_with_flags(
            &path,
            OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        // A file whose name is not on disk is lost however well its content is.
        File::open(&self.0)?.sync_all()?;
        Ok(connection)
    }

    fn connect_read_only(&self) -> Result<Connection, Failure> {
        immutable(&self.database())
    }

    fn set_aside(&self, at: Timestamp) -> Result<(String, Option<Connection>), Failure> {
        let aside = self
            .0
            .join(format!("{ASIDE}{}", at.strftime("%Y%m%dT%H%M%SZ")));
        let path = self.database();
        for suffix in ["", "-wal", "-shm"] {
            match fs::rename(with_suffix(&path, suffix), with_suffix(&aside, suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        self.remove_older(&aside)?;
        let connection = Connection::open_with_flags(
            &aside,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        );
        Ok((aside.display().to_string(), connection.ok()))
    }
}

/// SQLite reads such a file as it is: it neither locks it nor looks at its log.
fn immutable(path: &Path) -> Result<Connection, Failure> {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(byte))
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    Ok(Connection::open_with_flags(
        uri,
        OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI,
    )?)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The database's file.
const DATABASE: &str = "omnigate.db";

/// What the name of a damaged database begins with.
const ASIDE: &str = "omnigate.db.damaged-";

/// For the gateway's user only: there are keys in it.
const PRIVATE: u32 = 0o600;
