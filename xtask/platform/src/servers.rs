//! A private MariaDB for the distributed profile: own data, own port, nothing shared with a server already here.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;
use crate::process::Spec;

/// Both databases belong to this account of the private server, which listens on loopback alone.
const ACCOUNT: &str = "nugul";

/// The coordinator's and payment's databases.
pub(crate) const DATABASES: [&str; 2] = ["nugul", "nugul_payment"];

/// The server, without the name of a database.
pub(crate) fn server_url(port: u16) -> String {
    format!("mysql://{ACCOUNT}:{ACCOUNT}@127.0.0.1:{port}")
}

pub(crate) fn mysql_url(port: u16, database: &str) -> String {
    format!("{}/{database}", server_url(port))
}

/// Makes the data directory when there is none, and says how to start the server. `more` is what the account may use besides
/// the databases of the platform.
pub(crate) fn mariadb(dir: &Path, port: u16, more: &str) -> Result<Spec, Error> {
    let program = find("mariadbd").or_else(|| find("mysqld")).ok_or_else(|| missing("mariadbd", "mariadb-server"))?;
    let data = dir.join("data");
    let root = rustix::process::getuid().is_root();
    if !data.exists() {
        install(dir, &data, root)?;
    }
    let init = dir.join("init.sql");
    let mut sql = format!("CREATE USER IF NOT EXISTS '{ACCOUNT}'@'%' IDENTIFIED BY '{ACCOUNT}';\n");
    for database in DATABASES {
        sql += &format!("CREATE DATABASE IF NOT EXISTS {database} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;\n");
        sql += &format!("GRANT ALL ON {database}.* TO '{ACCOUNT}'@'%';\n");
    }
    if !more.is_empty() {
        sql += &format!("GRANT ALL ON {more} TO '{ACCOUNT}'@'%';\n");
    }
    fs::write(&init, sql).map_err(|error| Error::io("cannot write", &init, &error))?;
    let temporary = temporary_files(dir)?;
    let mut spec = Spec::new(program)
        .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--socket=mariadb.sock"])
        .args(["--innodb-flush-log-at-trx-commit=1", "--character-set-server=utf8mb4", "--max-connections=300"])
        .args(["--collation-server=utf8mb4_bin", "--skip-log-bin"])
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--tmpdir={}", temporary.display()))
        .arg(format!("--init-file={}", init.display()))
        .arg(format!("--port={port}"));
    if root {
        spec = spec.arg("--user=root");
    }
    Ok(spec)
}

/// Into a directory of another name first: a half-made one is never taken for a whole one.
fn install(dir: &Path, data: &Path, root: bool) -> Result<(), Error> {
    let program = find("mariadb-install-db").ok_or_else(|| missing("mariadb-install-db", "mariadb-server"))?;
    let new = dir.join("data.new");
    if new.exists() {
        fs::remove_dir_all(&new).map_err(|error| Error::io("cannot remove", &new, &error))?;
    }
    let temporary = temporary_files(dir)?;
    let mut command = Command::new(program);
    command.args([
        "--no-defaults",
        "--auth-root-authentication-method=socket",
        "--skip-test-db",
        "--skip-name-resolve",
    ]);
    command.arg(format!("--datadir={}", new.display())).arg(format!("--tmpdir={}", temporary.display()));
    if root {
        command.arg("--user=root");
    }
    let output = command.output().map_err(|error| Error::new(format!("mariadb-install-db: {error}")))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        return Err(Error::new(format!("mariadb-install-db failed ({}): {text}", output.status)));
    }
    fs::rename(&new, data).map_err(|error| Error::io("cannot make", data, &error))
}

/// A server that starts removes the temporary tables it finds, so two that share a directory would take each other's.
fn temporary_files(dir: &Path) -> Result<PathBuf, Error> {
    let temporary = dir.join("tmp");
    fs::create_dir_all(&temporary).map_err(|error| Error::io("cannot make", &temporary, &error))?;
    Ok(temporary)
}

/// A program on PATH or in the directories of system services.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}

pub(crate) fn missing(program: &str, package: &str) -> Error {
    Error::new(format!("{program} is not installed; on Debian: apt-get install {package}"))
}
