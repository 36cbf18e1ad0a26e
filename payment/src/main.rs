//! nugul-payment
fn main() {}
