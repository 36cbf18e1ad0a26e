//! Regenerates the code from `payment.proto` and compares it with what is committed.
//!
//! `UPDATE_GOLDEN=1 cargo test -p nugul-proto` rewrites the committed code.
use std::path::Path;

#[test]
fn generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = protox::compile([root.join("proto/nugul/payment/v1/payment.proto")], [root.join("proto")])
        .expect("proto parses");
    let out = std::env::temp_dir().join(format!("nugul-proto-{}", std::process::id()));
    std::fs::create_dir_all(&out).expect("temporary directory");
    tonic_prost_build::configure().build_transport(true).out_dir(&out).compile_fds(files).expect("code is generated");
    let name = "nugul.payment.v1.rs";
    let fresh = std::fs::read_to_string(out.join(name)).expect("generated file");
    std::fs::remove_dir_all(&out).expect("temporary directory is removed");
    let golden = root.join("src/gen").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|v| v == "1") {
        std::fs::write(&golden, &fresh).expect("golden file is written");
    }
    let committed = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(committed == fresh, "shared/proto/src/gen is stale: UPDATE_GOLDEN=1 cargo test -p nugul-proto");
}
