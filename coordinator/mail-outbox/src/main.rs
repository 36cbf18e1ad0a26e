//! nugul-mail-outbox
fn main() {}
