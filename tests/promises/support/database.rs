//! What a gateway has in its database.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

/// A copy of a gateway's database as it would be after a kill; opening the database itself would change it.
pub struct Copy {
    pub connection: Connection,
    _folder: TempDir,
}

impl Copy {
    /// Of the database in this folder. `None`: there is none, or it was changed meanwhile.
    pub fn of(state_dir: &Path) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        for name in [DATABASE, "omnigate.db-wal"] {
            let from = state_dir.join(name);
            if from.exists() {
                fs::copy(from, folder.path().join(name)).ok()?;
            }
        }
        let path = folder.path().join(DATABASE);
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
        Some(Self {
            connection: connection.ok()?,
            _folder: folder,
        })
    }

    /// What this question, which has a number as its answer, has as its answer, if it can be asked yet.
    pub fn number(&self, question: &str) -> Option<i64> {
        let answer = self.connection.query_row(question, [], |row| row.get(0));
        answer.ok()
    }
}

const DATABASE: &str = "omnigate.db";
