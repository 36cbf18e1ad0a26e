//! Debian's rustc with the WASM standard library, unpacked (not installed) into the cache and started through its own loader.
//!
//! The mirror and its key come from this machine's own apt settings. No root needed, nothing outside the cache is written.
//! Linkers come from rustup's toolchain.
use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Toolchain, has_targets};
use crate::paths;
use crate::run::{Failure, Fallible, captured, say, step};

/// Where a current rustc is packaged, in this order.
const SUITES: [&str; 2] = ["testing", "unstable"];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const LINKERS: &str = "lib/rustlib/x86_64-unknown-linux-gnu/bin";

pub(super) fn ensure(native_rustc: &Path) -> Fallible<Toolchain> {
    let architecture = captured(Command::new("dpkg").arg("--print-architecture")).unwrap_or_default();
    if architecture.trim() != "amd64" {
        return Err(Failure::new("Debian's compiler needs Debian on amd64"));
    }
    let sysroot = captured(Command::new(native_rustc).args(["--print", "sysroot"]))?;
    let linkers = Path::new(sysroot.trim()).join(LINKERS);
    let (lld, component_ld) = (linkers.join("rust-lld"), linkers.join("wasm-component-ld"));
    if !lld.exists() || !component_ld.exists() {
        return Err(Failure::new(format!("no WASM linkers in {}", linkers.display())));
    }
    let dir = paths::cache().join("wasm");
    fs::create_dir_all(&dir)?;
    // Two checkouts may come here at once; the second finds it done.
    let lock = File::create(dir.join(".lock"))?;
    lock.lock()?;
    let unpacked = dir.join("R");
    if !unpacked.join(".done").exists() {
        install(&dir, &unpacked)?;
    }
    let rustc = wrapper(&dir, &unpacked)?;
    if !has_targets(&rustc) {
        let said = captured(Command::new(&rustc).arg("-V")).unwrap_or_else(|failure| failure.to_string());
        return Err(Failure::new(format!("Debian's rustc does not run here: {}", said.trim())));
    }
    let mut path = vec![dir.join("bin")];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    path.extend([linkers.clone(), linkers.join("gcc-ld")]);
    let path = env::join_paths(path).map_err(|error| Failure::new(error.to_string()))?;
    Ok(Toolchain {
        env: vec![
            ("RUSTC".into(), rustc.into_os_string()),
            ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER".into(), lld.into_os_string()),
            ("CARGO_TARGET_WASM32_WASIP2_LINKER".into(), component_ld.into_os_string()),
            ("PATH".into(), path),
        ],
    })
}

fn install(dir: &Path, unpacked: &Path) -> Fallible {
    let apt = Apt { dir: dir.join("apt") };
    let (suite, version) =
        step("looking for rustc with the WASM targets among Debian's packages", || apt.choose_suite())?;
    // The compiler's shared libraries, found from its dependencies; gcc and binutils are not among them.
    let description = apt.cache(&["show", &format!("libstd-rust-dev={version}")])?;
    let library = description
        .split(|c: char| !(c.is_ascii_alphanumeric() || "-.+".contains(c)))
        .find(|word| {
            word.strip_prefix("libstd-rust-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
        .ok_or_else(|| Failure::new("Debian's libstd-rust-dev names no library"))?;
    let mut packages: BTreeSet<String> =
        ["rustc", "libstd-rust-dev", "libstd-rust-dev-wasm32"].map(str::to_owned).into_iter().collect();
    packages.extend(apt.dependencies(library)?);

    let (new, debs) = (dir.join("R.new"), dir.join("debs"));
    for path in [&new, &debs] {
        remove(path)?;
        fs::create_dir_all(path)?;
    }
    step(&format!("downloading rustc {version} from Debian {suite} (about 200 MB)"), || {
        captured(apt.command("apt-get").args(["download", "-qq"]).args(&packages).current_dir(&debs))
    })?;
    step("unpacking it", || {
        for deb in fs::read_dir(&debs)? {
            captured(Command::new("dpkg").arg("-x").arg(deb?.path()).arg(&new))?;
        }
        Ok(())
    })?;
    for path in
        [&debs, &apt.dir, &new.join("usr/share"), &new.join("usr/lib/rustlib/wasm32-wasip1"), &unpacked.to_owned()]
    {
        remove(path)?;
    }
    fs::write(new.join(".done"), &version)?;
    fs::rename(&new, unpacked)?;
    say(&format!("rustc {version} from Debian {suite}, for WASM builds only"));
    Ok(())
}

fn remove(path: &Path) -> Fallible {
    if path.exists() {
        fs::remove_dir_all(path)?;
    }
    Ok(())
}

/// A script that starts the unpacked compiler. It is left alone when it says the same: to cargo, a newer file is a newer compiler.
fn wrapper(dir: &Path, unpacked: &Path) -> Fallible<PathBuf> {
    let loader = ["usr/lib64", "lib64", "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"]
        .map(|place| unpacked.join(place).join("ld-linux-x86-64.so.2"))
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| Failure::new("Debian's packages brought no loader"))?;
    let text = format!(
        "#!/bin/sh\nR='{}'\nexec '{}' --argv0 \"$R/usr/bin/rustc\" --library-path \
         \"$R/usr/lib/x86_64-linux-gnu:$R/usr/lib\" \"$R/usr/bin/rustc\" --sysroot \"$R/usr\" \"$@\"\n",
        unpacked.display(),
        loader.display()
    );
    let path = dir.join("bin/rustc");
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(path);
    }
    fs::create_dir_all(dir.join("bin"))?;
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// apt with a configuration of our own, read after the system's, so that proxies and certificates stay in force.
struct Apt {
    dir: PathBuf,
}

impl Apt {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.dir.join("apt.conf"));
        command
    }

    fn cache(&self, args: &[&str]) -> Fallible<String> {
        captured(self.command("apt-cache").args(args))
    }

    /// The first suite of the first mirror whose rustc and WASM library are of one version; and that version.
    fn choose_suite(&self) -> Fallible<(&'static str, String)> {
        let mut last = Failure::new("this machine's apt knows no Debian mirror");
        for mirror in self.mirrors() {
            for suite in SUITES {
                self.configure(&mirror, suite)?;
                if let Err(failure) = captured(self.command("apt-get").args(["update", "-qq"])) {
                    last = failure;
                    continue;
                }
                let version = self.candidate("rustc");
                if version.is_some() && version == self.candidate("libstd-rust-dev-wasm32") {
                    return Ok((suite, version.unwrap_or_default()));
                }
                last = Failure::new(format!("Debian {suite} has no rustc with a WASM library of its version"));
            }
        }
        Err(last)
    }

    fn candidate(&self, package: &str) -> Option<String> {
        let policy = self.cache(&["policy", package]).ok()?;
        let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
        (version != "(none)").then(|| version.to_owned())
    }

    /// Every package this one needs, itself among them.
    fn dependencies(&self, package: &str) -> Fallible<Vec<String>> {
        let text = self.cache(&[
            "depends",
            "--recurse",
            "--no-recommends",
            "--no-suggests",
            "--no-conflicts",
            "--no-breaks",
            "--no-replaces",
            "--no-enhances",
            package,
        ])?;
        let named = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
        let ours = named
            .filter(|name| !(name.starts_with("libc-gconv") || (name.starts_with("gcc-") && name.ends_with("-base"))));
        Ok(ours.map(str::to_owned).collect())
    }

    /// Archive roots in this machine's own apt settings, the plain Debian one first.
    fn mirrors(&self) -> Vec<String> {
        let format = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)";
        let list = |options: &[OsString]| {
            let mut command = Command::new("apt-get");
            command.args(options).args(["indextargets", "--format", format, "Created-By: Packages"]);
            captured(&mut command).unwrap_or_default()
        };
        let mut text = list(&[]);
        if text.trim().is_empty() {
            // apt names them only after an update; where there has been none, one is done into a folder of our own.
            let lists = self.dir.join("system");
            let mut place = OsString::from("Dir::State::lists=");
            place.push(&lists);
            let options = ["-o".into(), place, "-o".into(), "APT::Sandbox::User=".into()];
            let made = fs::create_dir_all(lists.join("partial")).is_ok();
            if made && captured(Command::new("apt-get").args(&options).args(["update", "-qq"])).is_err() {
                say("apt-get update had errors; trying with what it got");
            }
            text = list(&options);
        }
        let mut found: Vec<(bool, String)> = text
            .lines()
            .filter_map(|line| {
                let mut parts = line.split('|');
                let (origin, uri, release) = (parts.next()?, parts.next()?, parts.next()?);
                (!release.contains("security") && !release.contains('/')).then(|| (origin != "Debian", uri.to_owned()))
            })
            .collect();
        found.sort();
        found.dedup();
        found.into_iter().map(|(_, uri)| uri).collect()
    }

    fn configure(&self, mirror: &str, suite: &str) -> Fallible {
        let dir = self.dir.display();
        for place in ["lists/partial", "cache/archives/partial", "empty"] {
            fs::create_dir_all(self.dir.join(place))?;
        }
        let signed = if Path::new(KEYRING).exists() { format!("signed-by={KEYRING} ") } else { String::new() };
        fs::write(self.dir.join("sources.list"), format!("deb [{signed}target=Packages] {mirror} {suite} main\n"))?;
        // The image's hooks are cleared: they are about the system's packages.
        let text = format!(
            r#"#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
APT::Sandbox::User "";
APT::Architecture "amd64";
#clear APT::Architectures;
APT::Architectures {{ "amd64"; }};
Acquire::Languages "none";
Dir::Etc::SourceList "{dir}/sources.list";
Dir::Etc::SourceParts "{dir}/empty";
Dir::Etc::PreferencesParts "{dir}/empty";
Dir::Etc::Preferences "{dir}/none";
Dir::State "{dir}";
Dir::State::status "/dev/null";
Dir::State::lists "{dir}/lists";
Dir::Cache "{dir}/cache";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
"#
        );
        fs::write(self.dir.join("apt.conf"), text)?;
        Ok(())
    }
}
