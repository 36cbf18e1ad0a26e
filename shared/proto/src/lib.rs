//! The gRPC contract between coordinator and payment service: `payment.proto` and the Rust code generated from it.
//!
//! The generated code is committed, so that a build needs no `protoc`; a test regenerates it and compares.

/// The machine-readable reason of a refusal travels under this metadata key.
pub const ERROR_CODE_KEY: &str = "nugul-error-code";

/// The domain of the reasons in a refusal's `google.rpc.ErrorInfo`.
pub const ERROR_DOMAIN: &str = "payment.nugul";

/// The id of the request a command came from travels under this metadata key, for the logs of both sides.
pub const TRACE_ID_KEY: &str = "nugul-trace-id";

/// The contract as a compiled description, for the reflection service.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/nugul.payment.v1.bin");

/// `nugul.payment.v1`: taking money, giving it back, telling what became of it.
#[allow(missing_docs, unreachable_pub, clippy::pedantic, clippy::unwrap_used)]
pub mod payment {
    /// Version 1 of the contract.
    pub mod v1 {
        include!("gen/nugul.payment.v1.rs");
    }
}
