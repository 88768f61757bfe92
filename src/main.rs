//! The `redstart` binary.
fn main() {}
