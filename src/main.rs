//! The `redstart` binary.

/// Every allocation of the process, so that `used_memory` is exact.
#[global_allocator]
static ALLOCATOR: redstart::raw::alloc::Allocator = redstart::raw::alloc::Allocator;

fn main() {}
