//! Finds secrets in text, in whatever form a careless program might print them.

/// Secrets, and the text in which none of them may be.
pub struct Search {
    secrets: Vec<Vec<u8>>,
    texts: Vec<(String, String)>,
}

impl Search {
    /// For these passwords and tokens, and these keys in hexadecimal digits.
    pub fn of(passwords: &[&str], keys: &[&str]) -> Self {
        let written = passwords.iter().chain(keys).map(|text| text.as_bytes());
        let mut secrets: Vec<_> = written.map(<[u8]>::to_vec).collect();
        secrets.extend(keys.iter().map(|key| super::air::bytes(key)));
        Self {
            secrets,
            texts: Vec::new(),
        }
    }

    /// A text to search, and what it is.
    pub fn add(&mut self, what: impl Into<String>, text: impl AsRef<str>) {
        self.texts.push((what.into(), plain(text.as_ref())));
    }

    /// Where a secret is, and in which form.
    pub fn found(&self) -> Vec<String> {
        let forms: Vec<_> = self
            .secrets
            .iter()
            .flat_map(|secret| forms(secret))
            .collect();
        self.texts
            .iter()
            .flat_map(|(what, text)| {
                let found = forms.iter().filter(|form| text.contains(form.as_str()));
                found.map(move |form| format!("{form} in {what}: {text}"))
            })
            .collect()
    }
}

/// As text, hexadecimal digits, a list of bytes as Rust and others print it, escaped, and base64 wherever in a longer text it begins.
fn forms(secret: &[u8]) -> Vec<String> {
    let mut forms = vec![
        String::from_utf8_lossy(secret).into_owned(),
        hex(secret),
        format!("{secret:?}"),
        format!("{secret:x?}"),
        format!("{secret:02x?}"),
        hex_prefixed(secret),
        secret.escape_ascii().to_string(),
        percent(secret),
    ];
    forms.extend((0..3).map(|before| base64_behind(before, secret)));
    // A list is searched without its brackets: more may stand in it.
    let mut forms: Vec<_> = forms
        .iter()
        .map(|form| plain(form.trim_matches(['[', ']'])))
        .collect();
    forms.sort();
    forms.dedup();
    forms
}

/// Without what tells one way to write the same from another: case, spaces, line breaks, and separators of hexadecimal digits.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_whitespace() && !matches!(letter, ':' | '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex_prefixed(bytes: &[u8]) -> String {
    let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:#04x}")).collect();
    bytes.join(",")
}

fn percent(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
}

/// The digits that depend on `bytes` alone, whatever so many bytes before them and any behind them are.
fn base64_behind(before: usize, bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = 8 * before..8 * (before + bytes.len());
    let bit = |at: usize| bytes[at / 8 - before] >> (7 - at % 8) & 1;
    (bits.start.div_ceil(6)..bits.end / 6)
        .map(|digit| {
            let value = (6 * digit..6 * digit + 6).fold(0, |value, at| value << 1 | bit(at));
            char::from(DIGITS[usize::from(value)])
        })
        .collect()
}

#[test]
fn every_form_is_found() {
    let key = [0x9A_u8, 0x25, 0x13, 0x9E, 0x0A, 0x44, 0xCC, 0x2E];
    let text = "9A25139E0A44CC2E";
    for leak in [
        format!("key {text}"),
        text.to_lowercase(),
        format!("{key:?}"),
        format!("{key:#?}"),
        format!("{key:02X?}"),
        format!("{key:#04x?}"),
        "9A 25 13 9E 0A 44 CC 2E".to_owned(),
        "9a:25:13:9e:0a:44:cc:2e".to_owned(),
        // Of the bytes, and of the text behind "a", "ab" and `{"k":"`.
        "miUTngpEzC4=".to_owned(),
        "YTlBMjUxMzlFMEE0NENDMkU=".to_owned(),
        "YWI5QTI1MTM5RTBBNDRDQzJF".to_owned(),
        "eyJrIjoiOUEyNTEzOUUwQTQ0Q0MyRSJ9".to_owned(),
        format!("{:?}", text.as_bytes()),
        format!("{:?}", String::from_utf8_lossy(text.as_bytes())),
        "\\x9a%\\x13\\x9e\\nD\\xcc.".to_owned(),
    ] {
        let mut search = Search::of(&[], &[text]);
        search.add("a log", &leak);
        assert!(!search.found().is_empty(), "{leak}");
    }
    let mut search = Search::of(&["correct horse"], &[text]);
    search.add(
        "a log",
        "9A25139E0A44CC2F, [154, 37, 19, 158, 10, 68, 204, 47], a correct house",
    );
    assert!(search.found().is_empty());
}
