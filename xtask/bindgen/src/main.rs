//! nugul-bindgen
fn main() {}
