//! The body of an outbox's row: the parts of several outputs, one behind the other. Pure.
//!
//! The first byte is the version of this layout, 1. Each part is the output's tag, its length (four bytes, lowest first) and its bytes.

use super::Tag;

/// The parts in one piece; `None` if there are none.
pub(super) fn pack(parts: impl Iterator<Item = (Tag, Box<[u8]>)>) -> Option<Box<[u8]>> {
    let mut body = Vec::new();
    for (Tag(tag), part) in parts {
        // A telegram has at most 256 bytes, so what is kept of it is never as long as four bytes can count.
        let Ok(length) = u32::try_from(part.len()) else {
            continue;
        };
        if body.is_empty() {
            body.push(VERSION);
        }
        body.push(tag);
        body.extend(length.to_le_bytes());
        body.extend(&part);
    }
    (!body.is_empty()).then(|| body.into())
}

/// The parts of a body, in order. What cannot be read is told once, as the last.
pub(super) fn unpack(body: &[u8]) -> impl Iterator<Item = Result<(Tag, &[u8]), Damaged>> {
    let mut rest = match body.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        _ => Err(Damaged),
    };
    std::iter::from_fn(move || match rest {
        Ok([]) => None,
        Ok(bytes) => {
            let part = first(bytes);
            rest = part.map_or(Ok(&[]), |(_, _, behind)| Ok(behind));
            Some(part.map(|(tag, part, _)| (tag, part)).ok_or(Damaged))
        }
        Err(damaged) => {
            rest = Ok(&[]);
            Some(Err(damaged))
        }
    })
}

/// Bytes that are no part of any output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

/// The first part and what stands behind it.
fn first(bytes: &[u8]) -> Option<(Tag, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (part, behind) = rest.split_at_checked(length)?;
    Some((Tag(tag), part, behind))
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(parts: &[(u8, Vec<u8>)]) -> Option<Box<[u8]>> {
        pack(
            parts
                .iter()
                .map(|(tag, part)| (Tag(*tag), part.clone().into())),
        )
    }

    #[test]
    fn by_hand() {
        let body = packed(&[(1, b"ab".to_vec()), (2, Vec::new())]).unwrap();
        assert_eq!(*body, *b"\x01\x01\x02\0\0\0ab\x02\0\0\0\0");
        assert_eq!(packed(&[]), None);
    }

    #[test]
    fn what_is_cut_off_or_of_another_version_is_told_once() {
        for (body, whole) in [
            (&b""[..], 0),
            (b"\x02\x01\0\0\0\0", 0),
            (b"\x01\x01\x02\0\0\0a", 0),
            (b"\x01\x01\0\0\0\0\x02\0\0", 1),
            (b"\x01\x01\xFF\xFF\xFF\xFF", 0),
        ] {
            let parts: Vec<_> = unpack(body).collect();
            assert_eq!(parts.len(), whole + 1, "{body:?}");
            assert_eq!(parts.last(), Some(&Err(Damaged)));
        }
        assert_eq!(unpack(b"\x01").count(), 0);
    }

    proptest! {
        #[test]
        fn comes_out_as_it_went_in(parts in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..300)), 1..5)) {
            let body = packed(&parts).unwrap();
            let out: Vec<_> = unpack(&body).map(|part| part.unwrap()).map(|(tag, part)| (tag.0, part.to_vec())).collect();
            prop_assert_eq!(out, parts);
        }

        #[test]
        fn never_panics_and_always_ends(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(unpack(&body).count() <= body.len() + 1);
        }
    }
}
