//! Lengths in as few bytes as they need: seven bits a byte, lowest first, the high bit set on all but the last.

/// Bytes that `n` takes. `n` is below 2^35.
#[inline]
pub fn len(n: usize) -> usize {
    match n {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        0x20_0000..0x1000_0000 => 4,
        _ => 5,
    }
}

/// Writes `n`, returns how many bytes that took.
///
/// # Safety
/// `len(n)` bytes at `at` can be written.
#[inline]
pub unsafe fn write(at: *mut u8, mut n: usize) -> usize {
    let mut width = 0;
    // SAFETY: the caller's promise; the loop writes `len(n)` bytes.
    unsafe {
        while n >= 0x80 {
            at.add(width).write(n as u8 | 0x80);
            n >>= 7;
            width += 1;
        }
        at.add(width).write(n as u8);
    }
    width + 1
}

/// Reads a length and how many bytes it takes.
///
/// # Safety
/// `at` points to what `write` wrote.
#[inline]
pub unsafe fn read(at: *const u8) -> (usize, usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let first = at.read();
        if first < 0x80 {
            return (first as usize, 1);
        }
        let (mut value, mut width) = ((first & 0x7f) as usize, 1);
        loop {
            let byte = at.add(width).read();
            value |= ((byte & 0x7f) as usize) << (7 * width);
            width += 1;
            if byte < 0x80 {
                return (value, width);
            }
        }
    }
}
