//! nugul-bench
fn main() {}
