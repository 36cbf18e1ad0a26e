//! nugul-toss-simulator
fn main() {}
