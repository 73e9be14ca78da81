//! Tables for people: columns aligned by what is in them.

use std::io::{self, Write};

/// Rows of text, most under a heading.
pub struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
    right: [bool; COLUMNS],
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// A table with this heading. A column whose title begins with a space is aligned to the right.
    pub fn new(heading: [&str; COLUMNS]) -> Self {
        Self {
            right: heading.map(|title| title.starts_with(' ')),
            rows: vec![heading.map(|title| title.trim_start().to_owned())],
        }
    }

    /// A table without a heading.
    pub fn plain() -> Self {
        Self {
            right: [false; COLUMNS],
            rows: Vec::new(),
        }
    }

    /// Adds a row. Control characters do not reach the terminal.
    pub fn add(&mut self, row: [String; COLUMNS]) {
        let clean = |cell: String| cell.replace(|letter: char| letter.is_control(), "?");
        self.rows.push(row.map(clean));
    }

    /// Whether there is only the heading.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        self.lines().try_for_each(|line| writeln!(out, "{line}"))
    }

    /// Its lines, first the heading's.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let mut widths = [0; COLUMNS];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        self.rows.iter().map(move |row| {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(widths).zip(self.right) {
                let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
                let (before, behind) = if right { (&*gap, "") } else { ("", &*gap) };
                line.extend([before, cell, behind, "  "]);
            }
            line.trim_end().to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let mut table = Table::new(["name", " count"]);
        assert!(table.is_empty());
        table.add(["°C".to_owned(), "7".to_owned()]);
        table.add(["a\x1b[31m long".to_owned(), "12345678".to_owned()]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "name            count\n°C                  7\na?[31m long  12345678\n"
        );
    }
}
