//! How bytes lie in the file under `appendfsync always`: in groups, one for each sync, in the place of a reserve that was there
//! before them.
//!
//! To sync a file that has grown the file system has to write its journal as well; to sync bytes that took the place of others
//! it has not, which makes a third of the time, or half. So the file is longer than what is in it: behind that is a reserve of
//! remarks, lines of `#` that a reader skips (as Redis does, from 7.0 on), and a group takes the place of its beginning. What
//! was killed leaves its reserve in the file, and a reader has nothing to do about it; whoever goes on in the file cuts it.
//!
//! A file that grew is cut somewhere by a loss of power. Of bytes that took the place of others any sectors may be missing. So
//! a group begins with a remark that tells how long it is and its checksum (`#G:<bytes>,<CRC-64>`). A group that is not whole
//! and is the last is taken for the end of a file that was cut: its sync was not over, and nobody was answered.

use crate::ds::algo::crc64::checksum;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// Bytes of the largest group: a reader has all of it in memory to check it. What is larger is appended as ever.
pub const LEN_MAX: usize = 64 << 10;
/// What a group begins with.
pub const MARK: &[u8] = b"#G:";
/// A line of the reserve with its end, which is where the offset in the file is a multiple.
const LINE: u64 = 64;
const LINE_BYTES: [u8; LINE as usize] = {
    let mut line = [b'#'; LINE as usize];
    line[LINE as usize - 1] = b'\n';
    line
};
/// The unit in which disks write.
const SECTOR: u64 = 512;

/// Appends the remark that `bytes`, which it comes before, are a group at offset `at` of the file.
pub fn write_header(out: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let before = out.len();
    // Writing to memory does not fail.
    let _ = write!(out, "#G:{},{:016x}", bytes.len(), checksum(bytes));
    let end = at + (out.len() - before + 2 + bytes.len()) as u64;
    // What is left of the reserve's line must be one yet, and not its end alone.
    if end % LINE == LINE - 1 {
        out.push(b' ');
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a reserve of `len` bytes or a little more to what ends at offset `at` of the file.
pub fn write_reserve(out: &mut Vec<u8>, at: u64, len: u64) {
    let end = out.len() + (reserve_end(at + len) - at) as usize;
    out.extend_from_slice(&LINE_BYTES[(at % LINE) as usize..]);
    while out.len() < end {
        out.extend_from_slice(&LINE_BYTES);
    }
}

/// Where a reserve ends that reaches up to `at`: not where a sector does, so that what Redis appended behind it is told from the
/// rest of a group whose beginning is lost.
fn reserve_end(at: u64) -> u64 {
    at.next_multiple_of(SECTOR) + LINE
}

/// What a line is that begins with `#`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remark {
    /// The next so many bytes are a group with this checksum.
    Group {
        len: usize,
        checksum: u64,
    },
    /// A group's beginning that does not tell what it should.
    Broken,
    Reserve,
    Other,
}

/// Reads the line (without its end) at offset `at` of the file.
pub fn read_remark(line: &[u8], at: u64) -> Remark {
    if let Some(rest) = line.strip_prefix(MARK) {
        return read_header(rest).unwrap_or(Remark::Broken);
    }
    let is_whole = (at + line.len() as u64) % LINE == LINE - 1 && line.len() < LINE as usize;
    if is_whole && line.iter().all(|byte| *byte == b'#') { Remark::Reserve } else { Remark::Other }
}

fn read_header(rest: &[u8]) -> Option<Remark> {
    let (len, checksum) = std::str::from_utf8(rest).ok()?.trim_end().split_once(',')?;
    let (len, checksum) = (len.parse().ok()?, u64::from_str_radix(checksum, 16).ok()?);
    (len <= LEN_MAX).then_some(Remark::Group { len, checksum })
}

/// True if these are the bytes of a group.
pub fn is_whole(bytes: &[u8], sum: u64) -> bool {
    checksum(bytes) == sum
}

/// True if what a reader finds at offset `at`, behind a reserve, is the rest of a group whose beginning is lost.
pub fn lost_its_beginning(at: u64) -> bool {
    at.is_multiple_of(SECTOR)
}

/// True if so many bytes in front of the end of what is in a file may be a group that was not synced.
pub fn may_be_last(bytes: u64) -> bool {
    bytes <= LEN_MAX as u64 + LINE
}

/// Where the reserve at the end of a file of `len` bytes begins; `len` if there is none.
///
/// # Errors
/// The system's.
pub fn data_len(file: &File, len: u64) -> io::Result<u64> {
    const CHUNK: u64 = 64 << 10;
    let mut buffer = vec![0; CHUNK as usize];
    let mut end = len;
    while end > 0 {
        let start = (end - 1) / CHUNK * CHUNK;
        let chunk = &mut buffer[..(end - start) as usize];
        file.read_exact_at(chunk, start)?;
        let is_reserve = |(at, byte): (usize, &u8)| *byte == LINE_BYTES[((start + at as u64) % LINE) as usize];
        if let Some(last) = chunk.iter().enumerate().rposition(|found| !is_reserve(found)) {
            let data = start + last as u64 + 1;
            // The end of a line of data, where one of the reserve's would be as well.
            let ends_line = chunk[last] == b'\r' && data < len && data % LINE == LINE - 1;
            return Ok(data + u64::from(ends_line));
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remark_at(bytes: &[u8], at: usize) -> (Remark, usize) {
        let end = at + bytes[at..].iter().position(|byte| *byte == b'\n').unwrap();
        let line = bytes[at..end].strip_suffix(b"\r").unwrap_or(&bytes[at..end]);
        (read_remark(line, at as u64), end + 1)
    }

    #[test]
    fn groups_of_any_length_leave_lines_behind_them() {
        for len in 0..200 {
            let mut file = b"*1\r\n$4\r\nPING\r\n".to_vec();
            let bytes = vec![b'x'; len];
            let at = file.len();
            write_header(&mut file, at as u64, &bytes);
            let (remark, begins) = remark_at(&file, at);
            assert_eq!((remark, begins), (Remark::Group { len, checksum: checksum(&bytes) }, file.len()));
            file.extend_from_slice(&bytes);
            let data = file.len();
            write_reserve(&mut file, data as u64, 1000);
            assert!((1000..1600).contains(&(file.len() - data)) && !lost_its_beginning(file.len() as u64));
            let mut at = data;
            while at < file.len() {
                let (remark, next) = remark_at(&file, at);
                assert_eq!(remark, Remark::Reserve, "{len}: at {at} of {data}");
                at = next;
            }
        }
    }

    #[test]
    fn other_remarks() {
        let read = |line: &str| read_remark(line.as_bytes(), 0);
        assert_eq!(read("#TS:1628217470"), Remark::Other);
        assert_eq!(read("#G:5,00000000000000ff"), Remark::Group { len: 5, checksum: 255 });
        let (cut, odd) = ("#G:5,00###", "#G:-1,00");
        for line in ["#G:", "#G:5", cut, odd, "#G:65537,0", "#G:99999999999999999999,0", "#G:5,10000000000000000"] {
            assert_eq!(read(line), Remark::Broken, "{line}");
        }
        assert_eq!(read(&"#".repeat(63)), Remark::Reserve);
        assert_eq!((read(&"#".repeat(62)), read(&"#".repeat(127)), read("#")), (Remark::Other, Remark::Other, Remark::Other));
        assert_eq!(read_remark(b"#", 62), Remark::Reserve);
    }

    #[test]
    fn the_data_end_where_the_reserve_begins() {
        let path = std::env::temp_dir().join(format!("redstart-group-{}", std::process::id()));
        for data in (0..200).chain([65_535, 65_536, 65_599, 70_000]) {
            for reserve in [0, 1, 63, 64, 100, 70_000] {
                // Ends with a line, as data do.
                let mut file = vec![b'#'; data];
                file.splice(data - data.min(2).., *b"\r\n");
                file.truncate(data.max(2));
                let data = file.len() as u64;
                if reserve > 0 {
                    write_reserve(&mut file, data, reserve);
                }
                std::fs::write(&path, &file).unwrap();
                let found = data_len(&File::open(&path).unwrap(), file.len() as u64).unwrap();
                assert_eq!(found, data, "a reserve of {reserve}");
            }
        }
        std::fs::write(&path, "").unwrap();
        assert_eq!(data_len(&File::open(&path).unwrap(), 0).unwrap(), 0);
        std::fs::remove_file(&path).unwrap();
    }
}
