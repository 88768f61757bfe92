//! Bulk strings in a row, as a range of a list has them: they are put together in a small buffer of their own, so that no length
//! of the output is read and written again for each. Where more bytes than the text may be read, always as many are copied whatever
//! its length, eight or 63: LRANGE of a hundred of 10 to 39 bytes took twice as long with copies of just what there is.

use super::reply::{ReplyWriter, SHORT_MAX, short_text};

const BUFFER_LEN: usize = 512;
/// Longer texts go straight to the output: of two digits at most.
const COPIED_MAX: usize = 99;
/// Bytes ahead of such a text: `$`, two digits and the end of the line.
const HEAD_MAX: usize = 5;

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
            len @ 0..=SHORT_MAX => {
                let text = short_text(bytes).to_le_bytes();
                let mut once = Some((&text, len));
                self.push_padded(|| once.take());
            }
            _ => self.push_longer(bytes),
        }
    }

    /// Bulk strings of the first bytes (at most `N`, which is at most 99) of texts, for as long as `next` has one; what is behind
    /// them does not get out.
    #[inline(always)]
    pub fn push_padded<'t, const N: usize>(&mut self, mut next: impl FnMut() -> Option<(&'t [u8; N], usize)>) {
        const { assert!(N <= COPIED_MAX) };
        let mut end = self.len;
        while let Some((text, len)) = next() {
            let len = len.min(N);
            if end > BUFFER_LEN - (HEAD_MAX + N + 2) {
                self.reply.raw(&self.buffer[..end]);
                end = 0;
            }
            let room = &mut self.buffer[end..end + HEAD_MAX + N + 2];
            let (head, head_len) = head(len);
            room[..HEAD_MAX].copy_from_slice(&head);
            room[head_len..head_len + N].copy_from_slice(text);
            room[head_len + len..head_len + len + 2].copy_from_slice(b"\r\n");
            end += head_len + len + 2;
        }
        self.len = end;
    }

    /// An integer as a bulk string.
    #[inline(never)]
    pub fn push_integer(&mut self, n: i64) {
        self.push(itoa::Buffer::new().format(n).as_bytes());
    }

    /// Any other one.
    #[inline(never)]
    fn push_longer(&mut self, bytes: &[u8]) {
        if bytes.len() > COPIED_MAX {
            self.flush();
            return self.reply.bulk(bytes);
        }
        let (head, head_len) = head(bytes.len());
        let total = head_len + bytes.len() + 2;
        if self.len + total > BUFFER_LEN {
            self.flush();
        }
        let room = &mut self.buffer[self.len..self.len + total];
        room[..head_len].copy_from_slice(&head[..head_len]);
        room[head_len..total - 2].copy_from_slice(bytes);
        room[total - 2..].copy_from_slice(b"\r\n");
        self.len += total;
    }

    fn flush(&mut self) {
        self.reply.raw(&self.buffer[..self.len]);
        self.len = 0;
    }
}

/// What is ahead of a text of `len` (at most 99) bytes, and how many bytes of it.
#[inline(always)]
fn head(len: usize) -> ([u8; HEAD_MAX], usize) {
    let (tens, ones) = (b'0' + (len / 10) as u8, b'0' + (len % 10) as u8);
    if len < 10 { ([b'$', ones, b'\r', b'\n', 0], 4) } else { ([b'$', tens, ones, b'\r', b'\n'], 5) }
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
        let letters: Vec<u8> = (b'a'..=b'z').cycle().take(5003).collect();
        let (eight, more) = (letters.first_chunk::<8>().expect("long"), letters.first_chunk::<63>().expect("long"));
        let lens = (0..300usize).map(|i| i * i % if i % 5 == 0 { 5003 } else { 123 });
        for count in [0, 1, 2, 30, 300] {
            let (mut row, mut single) = (Output::default(), Output::default());
            let mut bulks = ReplyWriter::new(&mut row, false);
            let mut bulks = Bulks::new(&mut bulks);
            let mut one_by_one = ReplyWriter::new(&mut single, false);
            for len in lens.clone().take(count) {
                bulks.push(&letters[..len]);
                one_by_one.bulk(&letters[..len]);
                bulks.push_integer(len as i64 - 5);
                one_by_one.bulk_integer(len as i64 - 5);
                let (mut short, mut middling) = (0..len % 9, 0..len % 64);
                bulks.push_padded(|| short.next().map(|len| (eight, len)));
                bulks.push_padded(|| middling.next().map(|len| (more, len)));
                (0..len % 9).chain(0..len % 64).for_each(|len| one_by_one.bulk(&letters[..len]));
            }
            drop(bulks);
            assert_eq!(row.bytes, single.bytes);
        }
    }
}
