//! Containers of old files: ziplists and zipmaps. They are only read, into the elements that they hold.
//!
//! Ziplist: total bytes (u32), offset of the last entry (u32), number of entries (u16, 65535 = unknown), entries, 255. An
//! entry is the length of the one before (a byte, or 254 and four bytes), then a string or an integer. Zipmap: number of
//! pairs (a byte, 254 and more = unknown), pairs, 255; a value may have unused bytes behind it.

use crate::ds::parts::corrupt::Corrupt;
use crate::ds::parts::element::Element;

const END: u8 = 255;
const BIG_LEN: u8 = 254;
const ZIPLIST_HEADER: usize = 10;

fn broken(offset: usize, reason: &'static str) -> Corrupt {
    Corrupt { offset, reason }
}

/// Calls `f` with every element of a ziplist, checking all of it.
///
/// # Errors
/// The ziplist is broken, or `f` refused an element with a reason.
pub fn ziplist<'a>(bytes: &'a [u8], mut f: impl FnMut(Element<'a>) -> Result<(), &'static str>) -> Result<(), Corrupt> {
    if bytes.len() <= ZIPLIST_HEADER {
        return Err(broken(0, "ziplist shorter than its header"));
    }
    let total = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let tail = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
    let announced = u16::from_le_bytes([bytes[8], bytes[9]]);
    if total as usize != bytes.len() {
        return Err(broken(0, "ziplist size differs from its header"));
    }
    let end = bytes.len() - 1;
    if bytes[end] != END {
        return Err(broken(end, "ziplist without terminator"));
    }
    let (mut at, mut previous, mut last, mut count) = (ZIPLIST_HEADER, 0, ZIPLIST_HEADER, 0_usize);
    while at < end {
        let start = at;
        let cut = || broken(start, "ziplist entry cut off");
        let take = |at: usize, n: usize| bytes[..end].get(at..at.checked_add(n)?);
        let before = match bytes[at] {
            BIG_LEN => {
                let len = take(at + 1, 4).and_then(|b| b.first_chunk()).ok_or_else(cut)?;
                at += 5;
                u32::from_le_bytes(*len) as usize
            }
            END => return Err(broken(at, "ziplist terminator too early")),
            len => {
                at += 1;
                usize::from(len)
            }
        };
        if before != previous {
            return Err(broken(start, "wrong length of the previous ziplist entry"));
        }
        let head = *take(at, 1).and_then(|b| b.first()).ok_or_else(cut)?;
        let integer = |at: usize, n: usize| {
            let mut value = [0; 8];
            let raw = take(at, n)?;
            value[8 - n..].copy_from_slice(raw);
            Some(i64::from_le_bytes(value) >> (64 - 8 * n))
        };
        let (element, next) = match head {
            0x00..=0xbf => {
                let (head_len, len) = match head >> 6 {
                    0 => (1, usize::from(head)),
                    1 => {
                        let low = *take(at + 1, 1).and_then(|b| b.first()).ok_or_else(cut)?;
                        (2, usize::from(head & 0x3f) << 8 | usize::from(low))
                    }
                    _ => {
                        let len = take(at + 1, 4).and_then(|b| b.first_chunk()).ok_or_else(cut)?;
                        (5, u32::from_be_bytes(*len) as usize)
                    }
                };
                (Element::Str(take(at + head_len, len).ok_or_else(cut)?), at + head_len + len)
            }
            0xc0 => (Element::Int(integer(at + 1, 2).ok_or_else(cut)?), at + 3),
            0xd0 => (Element::Int(integer(at + 1, 4).ok_or_else(cut)?), at + 5),
            0xe0 => (Element::Int(integer(at + 1, 8).ok_or_else(cut)?), at + 9),
            0xf0 => (Element::Int(integer(at + 1, 3).ok_or_else(cut)?), at + 4),
            0xfe => (Element::Int(integer(at + 1, 1).ok_or_else(cut)?), at + 2),
            0xf1..=0xfd => (Element::Int(i64::from(head & 0x0f) - 1), at + 1),
            _ => return Err(broken(at, "unknown encoding of a ziplist entry")),
        };
        f(element).map_err(|reason| broken(start, reason))?;
        (previous, last, at) = (next - start, start, next);
        count += 1;
    }
    if announced != u16::MAX && usize::from(announced) != count {
        return Err(broken(8, "wrong number of ziplist entries"));
    }
    if tail != last {
        return Err(broken(4, "wrong offset of the last ziplist entry"));
    }
    Ok(())
}

/// Calls `f` with every name and value of a zipmap, checking all of it.
///
/// # Errors
/// The zipmap is broken, or `f` refused a pair with a reason.
pub fn zipmap(bytes: &[u8], mut f: impl FnMut(&[u8], &[u8]) -> Result<(), &'static str>) -> Result<(), Corrupt> {
    let cut = |at| broken(at, "zipmap cut off");
    let announced = *bytes.first().ok_or(cut(0))?;
    let (mut at, mut count) = (1, 0_usize);
    loop {
        let start = at;
        let Some(name) = zipmap_text(bytes, &mut at, false).ok_or(cut(start))? else { break };
        let value = zipmap_text(bytes, &mut at, true).ok_or(cut(start))?.ok_or(broken(start, "zipmap name without value"))?;
        f(name, value).map_err(|reason| broken(start, reason))?;
        count += 1;
    }
    if at != bytes.len() {
        return Err(broken(at, "data behind the end of a zipmap"));
    }
    if announced < BIG_LEN && usize::from(announced) != count {
        return Err(broken(0, "wrong number of zipmap pairs"));
    }
    Ok(())
}

/// The text at `at`, which moves behind it; an inner `None` at the terminator, an outer one if the text is cut off.
fn zipmap_text<'a>(bytes: &'a [u8], at: &mut usize, is_value: bool) -> Option<Option<&'a [u8]>> {
    let (len, head) = match *bytes.get(*at)? {
        END => {
            *at += 1;
            return Some(None);
        }
        BIG_LEN => (u32::from_le_bytes(*bytes.get(*at + 1..)?.first_chunk()?) as usize, 5),
        len => (usize::from(len), 1),
    };
    let mut from = at.checked_add(head)?;
    let mut unused = 0;
    if is_value {
        unused = usize::from(*bytes.get(from)?);
        from += 1;
    }
    let end = from.checked_add(len)?;
    let text = bytes.get(from..end)?;
    bytes.get(end..end + unused)?;
    *at = end + unused;
    Some(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(bytes: &[u8]) -> Result<Vec<Vec<u8>>, usize> {
        let mut seen = Vec::new();
        ziplist(bytes, |element| {
            seen.push(element.to_vec());
            Ok(())
        })
        .map(|()| seen)
        .map_err(|e| e.offset)
    }

    const ZIPLIST: &[u8] = b"\x2a\0\0\0\x1e\0\0\0\x07\0\
        \0\x02ab\x04\xf1\x02\xfd\x02\xfe\x9c\x03\xc0\xff\x7f\x04\xf0\x00\x00\x80\x05\xe0\x01\x00\x00\x00\x00\x00\x00\x80\xff";

    #[test]
    fn ziplists_of_every_entry() {
        let texts = ["ab", "0", "12", "-100", "32767", "-8388608", "-9223372036854775807"];
        assert_eq!(elements(ZIPLIST).map(|all| all.concat()), Ok(texts.concat().into_bytes()));
        for cut in 0..ZIPLIST.len() {
            assert!(elements(&ZIPLIST[..cut]).is_err());
        }
        for at in 0..ZIPLIST.len() {
            for byte in [0, 1, 0x3f, 0x40, 0x80, 0xc0, 0xd0, 0xe0, 0xf0, 0xfe, 0xff] {
                let mut damaged = ZIPLIST.to_vec();
                damaged[at] = byte;
                let _ = elements(&damaged);
            }
        }
    }

    #[test]
    fn zipmaps() {
        let bytes = b"\x02\x01a\x01\x02bxx\xfe\x02\x00\x00\x00cc\x00\x00\xff";
        let read = |bytes: &[u8]| {
            let mut seen = Vec::new();
            zipmap(bytes, |name, value| {
                seen.push((name.to_vec(), value.to_vec()));
                Ok(())
            })
            .map(|()| seen)
        };
        assert_eq!(read(bytes).unwrap(), [(b"a".to_vec(), b"b".to_vec()), (b"cc".to_vec(), Vec::new())]);
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err());
        }
        for at in 0..bytes.len() {
            for byte in [0, 1, 5, 200, 254, 255] {
                let mut damaged = bytes.to_vec();
                damaged[at] = byte;
                let _ = read(&damaged);
            }
        }
    }
}
