//! Turns the worker's WASM into a module of JavaScript and WASM: wasm-bindgen as a library, then the entry that workerd loads.
//!
//! `nugul-bindgen INPUT.wasm OUT_DIR` writes `index.js`, `index_bg.wasm` (wasm-bindgen's) and `shim.js`, which esbuild
//! bundles with `index.js` afterwards. It does what the `worker-build` program does; linking wasm-bindgen takes a minute to
//! build where installing that program takes eleven.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

/// The fixed part of the entry module.
const SHIM: &str = include_str!("shim.js");

/// Handlers the platform calls with an argument, the environment and the context.
const EVENTS: [&str; 5] = ["fetch", "scheduled", "queue", "email", "connect"];

/// Exports that the shim itself uses and nobody else should see.
const INTERNAL: [&str; 2] = ["__wbg_reset_state", "__worker_init_state"];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [input, out_dir] = arguments.as_slice() else {
        eprintln!("usage: nugul-bindgen INPUT.wasm OUT_DIR");
        return ExitCode::from(2);
    };
    match run(Path::new(input), Path::new(out_dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nugul-bindgen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(input: &Path, out_dir: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(out_dir)?;
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    bindgen.input_path(input).typescript(false).out_name("index");
    bindgen.module(true)?.reset_state_function(true).force_enable_abort_handler(true);
    bindgen.generate(out_dir)?;
    let glue = fs::read_to_string(out_dir.join("index.js"))?;
    fs::write(out_dir.join("shim.js"), shim(&glue))?;
    Ok(())
}

/// The entry module for this glue code: every function becomes a method of the worker, every class is wrapped and exported.
fn shim(glue: &str) -> String {
    let mut text = String::from(SHIM);
    for line in glue.lines() {
        if let Some(name) = exported_function(line).filter(|name| !INTERNAL.contains(name)) {
            if EVENTS.contains(&name) {
                text += &format!(
                    "Worker.prototype.{name} = function (argument) {{\n  \
                     return wasm.{name}.call(this, argument, this.env, this.ctx);\n}};\n"
                );
            } else {
                text += &format!("Worker.prototype.{name} = wasm.{name};\n");
            }
        } else if let Some(name) = exported_class(line) {
            text += &format!("export const {name} = new Proxy(wasm.{name}, recovering);\n");
        }
    }
    text + "export default new Proxy(Worker, recovering);\n"
}

/// `export function NAME(`, `export async function NAME(` or `export { local as NAME }`.
fn exported_function(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("export ")?;
    let rest = rest.strip_prefix("async ").unwrap_or(rest);
    if let Some(rest) = rest.strip_prefix("function ") {
        return rest.split_once('(').map(|(name, _)| name.trim());
    }
    let (_, renamed) = rest.strip_prefix('{')?.split_once(" as ")?;
    renamed.split_once('}').map(|(name, _)| name.trim())
}

/// `export class NAME {`.
fn exported_class(line: &str) -> Option<&str> {
    line.strip_prefix("export class ")?.split_once('{').map(|(name, _)| name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_and_classes_are_found() {
        let glue = "export class SeatRoom {\n}\nexport function fetch(a, b, c) {\n}\nexport function __wbg_reset_state () {\n}\n\
                    export function start() {\n}\nfunction inner() {}\n";
        let text = shim(glue);
        assert!(text.contains("export const SeatRoom = new Proxy(wasm.SeatRoom, recovering);"));
        assert!(text.contains("wasm.fetch.call(this, argument, this.env, this.ctx)"));
        assert!(text.contains("Worker.prototype.start = wasm.start;"));
        assert!(!text.contains("prototype.__wbg_reset_state"));
        assert!(!text.contains("inner"));
    }
}
