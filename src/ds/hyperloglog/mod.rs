//! HyperLogLog: counting distinct elements in a string of at most 12 KiB, with an error of about 0.81 %.
//!
//! An element's hash chooses one of 2^14 registers, which keeps the longest run of zeros seen in the rest of the hash.
//! The value is an ordinary string that users GET, SET and move between servers, so its bytes are those every server of
//! this family writes:
//!
//! ```text
//! "HYLL" | encoding: 0 dense, 1 sparse | 3 zero bytes | cached cardinality, 8 bytes little-endian | registers
//! ```
//!
//! The cache's top bit marks it as out of date. Dense registers have six bits each, packed from the low end of the
//! bytes ([`dense`]); sparse ones are a run-length code that suits the many zeros of a small set ([`sparse`]).
//! Since SET can plant any bytes, nothing in a value is trusted: runs are checked against its end and the number of
//! registers at every step (CVE-2019-10192, CVE-2025-32023).

mod dense;
mod estimate;
mod sparse;

#[cfg(test)]
mod tests;

use crate::clock::Rng;

/// One byte per register: the form in which values are merged.
pub type Registers = [u8; REGISTERS];

/// The number of registers, 2^14.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// The default of `hll-sparse-max-bytes`, header included.
pub const SPARSE_MAX_BYTES: usize = 3000;

const INDEX_BITS: u32 = 14;
/// The hash bits left for the run of zeros.
const RUN_BITS: u32 = 64 - INDEX_BITS;
const HASH_SEED: u64 = 0xadc8_3b19;

const HEADER: usize = 16;
const MAGIC: &[u8; 4] = b"HYLL";
const ENCODING_AT: usize = 4;
const CACHE_AT: usize = 8;
const CACHE_STALE: u8 = 0x80;

const _: () = assert!(HEADER + dense::BYTES == 12_304);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Dense,
    Sparse,
}

impl Encoding {
    /// As PFDEBUG ENCODING names it.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Dense => "dense",
            Encoding::Sparse => "sparse",
        }
    }
}

/// Why a string is no usable HyperLogLog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// It does not have the header, or the size its encoding demands: some other string (WRONGTYPE).
    Foreign,
    /// Its sparse runs end early, overflow or do not cover the registers (INVALIDOBJ).
    Corrupt,
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Invalid::Foreign => "Key is not a valid HyperLogLog string value.",
            Invalid::Corrupt => "Corrupted HLL object detected",
        })
    }
}

impl std::error::Error for Invalid {}

/// A cardinality, and whether it was read from the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub cardinality: u64,
    /// False if it was computed, which rewrote the cache and so changed the value.
    pub cached: bool,
}

/// An empty value. Its cache is valid: zero.
pub fn new_sparse() -> Vec<u8> {
    let mut value = header(Encoding::Sparse).to_vec();
    value.extend(sparse::EMPTY);
    value
}

/// Checks the header and the size, which is what tells a HyperLogLog from another string.
pub fn encoding(value: &[u8]) -> Result<Encoding, Invalid> {
    if value.len() < HEADER || &value[..4] != MAGIC {
        return Err(Invalid::Foreign);
    }
    match value[ENCODING_AT] {
        0 if value.len() == HEADER + dense::BYTES => Ok(Encoding::Dense),
        1 => Ok(Encoding::Sparse),
        _ => Err(Invalid::Foreign),
    }
}

/// Checks everything, sparse runs included.
pub fn validate(value: &[u8]) -> Result<(), Invalid> {
    match encoding(value)? {
        Encoding::Dense => Ok(()),
        Encoding::Sparse => sparse::for_each_run(&value[HEADER..], |_, _, _| ()),
    }
}

/// Counts an element; whether a register changed. The cache is marked stale then.
///
/// A sparse value turns dense when it would outgrow `sparse_max_bytes`, or for a run longer than its code can hold.
pub fn add(value: &mut Vec<u8>, element: &[u8], sparse_max_bytes: usize) -> Result<bool, Invalid> {
    let (index, run) = register_of(element);
    let changed = match encoding(value)? {
        Encoding::Dense => dense::raise(&mut value[HEADER..], index, run),
        Encoding::Sparse => match sparse::raise(value, &mut sparse::Cursor::default(), index, run, sparse_max_bytes)? {
            sparse::Raised::No => false,
            sparse::Raised::Yes => true,
            sparse::Raised::NeedsDense => {
                to_dense(value)?;
                dense::raise(&mut value[HEADER..], index, run)
            }
        },
    };
    if changed {
        mark_stale(value);
    }
    Ok(changed)
}

/// `add` for a dense value, in place. Whether a register changed; other values are left alone.
pub fn add_dense(value: &mut [u8], element: &[u8]) -> bool {
    if encoding(value) != Ok(Encoding::Dense) {
        return false;
    }
    let (index, run) = register_of(element);
    let changed = dense::raise(&mut value[HEADER..], index, run);
    if changed {
        mark_stale(value);
    }
    changed
}

/// The cardinality in the cache, if it is current.
pub fn cached(value: &[u8]) -> Result<Option<u64>, Invalid> {
    encoding(value)?;
    if value[HEADER - 1] & CACHE_STALE != 0 {
        return Ok(None);
    }
    let cache: [u8; 8] = value[CACHE_AT..HEADER].try_into().expect("eight bytes");
    Ok(Some(u64::from_le_bytes(cache)))
}

/// The cardinality, from the cache if that is current; otherwise it is computed and cached.
pub fn count(value: &mut [u8]) -> Result<Count, Invalid> {
    let encoding = encoding(value)?;
    if let Some(cardinality) = cached(value)? {
        return Ok(Count { cardinality, cached: true });
    }
    let histogram = match encoding {
        Encoding::Dense => estimate::histogram(&dense::unpack(&value[HEADER..])),
        Encoding::Sparse => {
            let mut histogram = [0u32; 64];
            sparse::for_each_run(&value[HEADER..], |_, len, register| histogram[usize::from(register)] += len as u32)?;
            histogram
        }
    };
    let cardinality = estimate::cardinality(&histogram);
    value[CACHE_AT..HEADER].copy_from_slice(&cardinality.to_le_bytes());
    Ok(Count { cardinality, cached: false })
}

/// The cardinality of merged registers, for PFCOUNT of several keys.
pub fn count_registers(registers: &Registers) -> u64 {
    estimate::cardinality(&estimate::histogram(registers))
}

/// No registers set, to merge into.
pub fn empty_registers() -> Box<Registers> {
    Box::new([0; REGISTERS])
}

/// Raises every register to the value's. After an error some may have been raised already.
pub fn merge_into(registers: &mut Registers, value: &[u8]) -> Result<(), Invalid> {
    match encoding(value)? {
        Encoding::Dense => {
            let unpacked = dense::unpack(&value[HEADER..]);
            for (register, other) in registers.iter_mut().zip(unpacked) {
                *register = (*register).max(other);
            }
            Ok(())
        }
        Encoding::Sparse => sparse::for_each_run(&value[HEADER..], |start, len, value| {
            if value > 0 {
                for register in &mut registers[start..start + len] {
                    *register = (*register).max(value);
                }
            }
        }),
    }
}

/// Turns PFMERGE's destination, empty or as it was, into the union of it and the registers, which already include it.
/// `dense` is whether one of the merged values was dense, the destination included. The cache is marked stale.
pub fn store_registers(
    destination: &mut Vec<u8>,
    registers: &Registers,
    dense: bool,
    sparse_max_bytes: usize,
) -> Result<(), Invalid> {
    if dense {
        to_dense(destination)?;
    }
    let mut next = 0;
    if encoding(destination)? == Encoding::Sparse {
        // One register after the other, as if elements were added: the runs come out in the same form.
        let mut cursor = sparse::Cursor::default();
        while next < REGISTERS {
            let register = registers[next];
            if register > 0
                && sparse::raise(destination, &mut cursor, next, register, sparse_max_bytes)? == sparse::Raised::NeedsDense
            {
                to_dense(destination)?;
                break;
            }
            next += 1;
        }
    }
    if next < REGISTERS {
        let mut merged = dense::unpack(&destination[HEADER..]);
        for (register, &other) in merged.iter_mut().zip(registers) {
            *register = (*register).max(other);
        }
        dense::pack(&merged, &mut destination[HEADER..]);
    }
    mark_stale(destination);
    Ok(())
}

/// The value PFMERGE writes to a key that did not exist.
pub fn from_registers(registers: &Registers, dense: bool, sparse_max_bytes: usize) -> Vec<u8> {
    let mut value = new_sparse();
    // The empty value is well-formed, so storing cannot fail.
    let stored = store_registers(&mut value, registers, dense, sparse_max_bytes);
    debug_assert_eq!(stored, Ok(()));
    value
}

/// Makes the value dense; whether it was not. The cached cardinality stays.
pub fn to_dense(value: &mut Vec<u8>) -> Result<bool, Invalid> {
    if encoding(value)? == Encoding::Dense {
        return Ok(false);
    }
    let mut registers = empty_registers();
    merge_into(&mut registers, value)?;
    value.resize(HEADER + dense::BYTES, 0);
    dense::pack(&registers, &mut value[HEADER..]);
    value[ENCODING_AT] = 0;
    Ok(true)
}

/// Marks the cached cardinality as out of date. PFADD does so for a key it created, even without elements.
pub fn mark_stale(value: &mut [u8]) {
    if let Some(top) = value.get_mut(HEADER - 1) {
        *top |= CACHE_STALE;
    }
}

/// Every register, for PFDEBUG GETREG.
pub fn registers(value: &[u8]) -> Result<Box<Registers>, Invalid> {
    let mut registers = empty_registers();
    merge_into(&mut registers, value)?;
    Ok(registers)
}

/// PFDEBUG DECODE's text: `z:LEN` and `Z:LEN` for short and long runs of zeros, `v:VALUE,LEN` for others. `None` for a
/// dense value.
pub fn decode(value: &[u8]) -> Result<Option<String>, Invalid> {
    match encoding(value)? {
        Encoding::Dense => Ok(None),
        Encoding::Sparse => sparse::decode(&value[HEADER..]).map(Some),
    }
}

/// PFSELFTEST: packs random registers, then counts `elements_max` elements in both encodings (the command takes ten
/// million). The error is what failed.
pub fn self_test(seed: u64, elements_max: u64, sparse_max_bytes: usize) -> Result<(), String> {
    let mut rng = Rng::seeded(seed);
    for _ in 0..8 {
        let registers: Registers = std::array::from_fn(|_| rng.next_u64() as u8 & 63);
        let mut packed = [0; dense::BYTES];
        dense::pack(&registers, &mut packed);
        for (index, (&expected, got)) in registers.iter().zip(dense::unpack(&packed)).enumerate() {
            if got != expected || dense::get(&packed, index) != expected {
                return Err(format!("TESTFAILED Register {index} should be {expected} but is {got}"));
            }
        }
    }
    let (mut dense, mut sparse) = (new_sparse(), new_sparse());
    let failed = |invalid: Invalid| format!("TESTFAILED {invalid}");
    to_dense(&mut dense).map_err(failed)?;
    let mut checkpoint = 1;
    for n in 1..=elements_max {
        let element = (n ^ seed).to_le_bytes();
        add(&mut dense, &element, sparse_max_bytes).map_err(failed)?;
        add(&mut sparse, &element, sparse_max_bytes).map_err(failed)?;
        if n < checkpoint {
            continue;
        }
        if n < sparse_max_bytes as u64 / 2 && encoding(&sparse) != Ok(Encoding::Sparse) {
            return Err("TESTFAILED sparse encoding not used".into());
        }
        let counted = count(&mut dense).map_err(failed)?.cardinality;
        if count(&mut sparse).map_err(failed)?.cardinality != counted {
            return Err("TESTFAILED dense/sparse disagree".into());
        }
        // Six standard errors; ten elements collide too often for that.
        let tolerated = match n {
            10 => 1.0,
            _ => (1.04 / (REGISTERS as f64).sqrt() * 6.0 * n as f64).ceil(),
        };
        let error = counted.abs_diff(n);
        if error as f64 > tolerated {
            return Err(format!("TESTFAILED Too big error. card:{n} abserr:{error}"));
        }
        checkpoint *= 10;
    }
    Ok(())
}

fn header(encoding: Encoding) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(MAGIC);
    header[ENCODING_AT] = u8::from(encoding == Encoding::Sparse);
    header
}

/// The register an element belongs to, and one more than the run of zeros in the rest of its hash (1..=51).
fn register_of(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element, HASH_SEED);
    let index = hash as usize & (REGISTERS - 1);
    let rest = hash >> INDEX_BITS | 1 << RUN_BITS;
    (index, rest.trailing_zeros() as u8 + 1)
}

/// MurmurHash2 for 64-bit machines (Austin Appleby, public domain), reading words as little-endian.
fn murmur64a(bytes: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(M);
    let words = bytes.chunks_exact(8);
    let tail = words.remainder();
    for word in words {
        let mut word = u64::from_le_bytes(word.try_into().expect("chunks of eight")).wrapping_mul(M);
        word = (word ^ word >> R).wrapping_mul(M);
        hash = (hash ^ word).wrapping_mul(M);
    }
    if !tail.is_empty() {
        let mut padded = [0; 8];
        padded[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u64::from_le_bytes(padded)).wrapping_mul(M);
    }
    hash = (hash ^ hash >> R).wrapping_mul(M);
    hash ^ hash >> R
}
