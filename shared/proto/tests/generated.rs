//! Regenerates the code from `payment.proto` and compares it with what is committed.
//!
//! `UPDATE_GOLDEN=1 cargo test -p nugul-proto` rewrites the committed code.
use std::path::Path;

use prost::Message;

#[test]
fn generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = protox::compile([root.join("proto/nugul/payment/v1/payment.proto")], [root.join("proto")])
        .expect("proto parses");
    let out = std::env::temp_dir().join(format!("nugul-proto-{}", std::process::id()));
    std::fs::create_dir_all(&out).expect("temporary directory");
    let name = "nugul.payment.v1.rs";
    let mut bare = files.clone();
    // Comments and positions are for the code; callers that ask over the wire do without.
    bare.file.iter_mut().for_each(|file| file.source_code_info = None);
    tonic_prost_build::configure().build_transport(true).out_dir(&out).compile_fds(files).expect("code is generated");
    let code = std::fs::read(out.join(name)).expect("generated file");
    std::fs::remove_dir_all(&out).expect("temporary directory is removed");
    for (name, fresh) in [(name, code), ("nugul.payment.v1.bin", bare.encode_to_vec())] {
        let golden = root.join("src/gen").join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some_and(|v| v == "1") {
            std::fs::write(&golden, &fresh).expect("golden file is written");
        }
        let committed = std::fs::read(&golden).unwrap_or_default();
        assert!(committed == fresh, "src/gen/{name} is stale: UPDATE_GOLDEN=1 cargo test -p nugul-proto");
    }
}
