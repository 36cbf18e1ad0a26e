//! nugul-coordinator
fn main() {}
