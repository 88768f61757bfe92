//! How inner nodes of long lists are compressed: LZF, as `list-compress-depth` promises.

use crate::ds::algo::lzf;
use crate::ds::parts::quicklist::Codec;

/// LZF, without a table kept between calls: nodes are compressed when they leave a list's ends, which is seldom, and a codec
/// is plain functions.
pub(super) const LZF: Codec = Codec { compress, expand };

fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    let mut packed = vec![0; plain.len().saturating_sub(1)];
    let len = lzf::compress(plain, &mut packed, &mut lzf::Table::new())?;
    packed.truncate(len);
    Some(packed)
}

fn expand(packed: &[u8], plain_len: usize) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    lzf::decompress(packed, plain_len, &mut plain).ok().map(|()| plain)
}
