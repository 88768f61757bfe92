//! Bulk strings in a row, as a range of a list has them: they are put together in a small buffer of their own, so that no length
//! of the output is read and written again for each, and of short ones eight bytes are copied whatever the length. The elements
//! of LRANGE of a hundred take two thirds of the time.

use super::reply::{ReplyWriter, SHORT_MAX, short_text};

const BUFFER_LEN: usize = 512;
/// Longer texts go straight to the output: of two digits at most.
const COPIED_MAX: usize = 99;
/// What one short bulk string may write, with what is overwritten by the next.
const STEP_MAX: usize = 16;

/// Writes what it is given at the latest when it is dropped.
pub struct Bulks<'w, 'a> {
    reply: &'w mut ReplyWriter<'a>,
    buffer: [u8; BUFFER_LEN],
    len: usize,
}

impl<'w, 'a> Bulks<'w, 'a> {
    /// None so far.
    #[inline]
    pub fn new(reply: &'w mut ReplyWriter<'a>) -> Self {
        Bulks { reply, buffer: [0; BUFFER_LEN], len: 0 }
    }

    /// One bulk string more.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        match bytes.len() {
            len @ 0..=SHORT_MAX => self.push_short(&short_text(bytes).to_le_bytes(), len),
            _ => self.push_longer(bytes),
        }
    }

    /// A bulk string of the first `len` bytes of a text; what is behind them does not get out.
    #[inline(always)]
    pub fn push_short(&mut self, text: &[u8; SHORT_MAX], len: usize) {
        let room = self.buffer.get_mut(self.len..).and_then(|rest| rest.first_chunk_mut::<STEP_MAX>());
        match room {
            Some(room) if len <= SHORT_MAX => {
                room[..4].copy_from_slice(&[b'$', b'0' + len as u8, b'\r', b'\n']);
                room[4..4 + SHORT_MAX].copy_from_slice(text);
                room[4 + len..6 + len].copy_from_slice(b"\r\n");
                self.len += len + 6;
            }
            _ => self.push_longer(&text[..len.min(SHORT_MAX)]),
        }
    }

    /// An integer as a bulk string.
    #[inline(never)]
    pub fn push_integer(&mut self, n: i64) {
        self.push(itoa::Buffer::new().format(n).as_bytes());
    }

    /// Any other one, or one for which the buffer is too full.
    #[inline(never)]
    fn push_longer(&mut self, bytes: &[u8]) {
        if bytes.len() > COPIED_MAX {
            self.flush();
            return self.reply.bulk(bytes);
        }
        let (tens, ones) = (b'0' + (bytes.len() / 10) as u8, b'0' + (bytes.len() % 10) as u8);
        let head: &[u8] = if bytes.len() < 10 { &[b'$', ones, b'\r', b'\n'] } else { &[b'$', tens, ones, b'\r', b'\n'] };
        let total = head.len() + bytes.len() + 2;
        if self.len + total > BUFFER_LEN {
            self.flush();
        }
        let room = &mut self.buffer[self.len..self.len + total];
        room[..head.len()].copy_from_slice(head);
        room[head.len()..total - 2].copy_from_slice(bytes);
        room[total - 2..].copy_from_slice(b"\r\n");
        self.len += total;
    }

    fn flush(&mut self) {
        self.reply.raw(&self.buffer[..self.len]);
        self.len = 0;
    }
}

impl Drop for Bulks<'_, '_> {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::reply::Output;

    #[test]
    fn a_short_text_is_all_there() {
        for len in 0..=SHORT_MAX {
            let text = &b"abcdefgh"[..len];
            let padded = [text, &[0; SHORT_MAX][..]].concat();
            assert_eq!(Some(&short_text(text).to_le_bytes()), padded.first_chunk(), "{len}");
        }
    }

    #[test]
    fn a_row_reads_as_one_by_one() {
        let lens = (0..300usize).map(|i| i * i % if i % 5 == 0 { 5003 } else { 123 });
        let texts: Vec<Vec<u8>> = lens.map(|len| (0..len).map(|c| b'a' + (c % 26) as u8).collect()).collect();
        for count in [0, 1, 2, 30, 300] {
            let (mut row, mut single) = (Output::default(), Output::default());
            let mut bulks = ReplyWriter::new(&mut row, false);
            let mut bulks = Bulks::new(&mut bulks);
            for text in &texts[..count] {
                match text.first_chunk() {
                    Some(start) if text.len() % 3 == 0 => bulks.push_short(start, text.len() % 9),
                    _ => bulks.push(&text[..text.len() % 9]),
                }
                bulks.push(text);
                bulks.push_integer(text.len() as i64 - 5);
                ReplyWriter::new(&mut single, false).bulk(&text[..text.len() % 9]);
                ReplyWriter::new(&mut single, false).bulk(text);
                ReplyWriter::new(&mut single, false).bulk_integer(text.len() as i64 - 5);
            }
            drop(bulks);
            assert_eq!(row.bytes, single.bytes);
        }
    }
}
