//! Running other programs: with a line of progress, and with what they said when they fail.
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Why a task failed: a sentence for a person.
pub(crate) type Fallible<T = ()> = Result<T, Failure>;

/// How much of a failed program's output is worth repeating.
const SAID_MAX_CHARS: usize = 2_000;

/// What went wrong.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<nugul_platform::Error> for Failure {
    fn from(error: nugul_platform::Error) -> Self {
        Self(error.to_string())
    }
}

/// A line about what is being done.
pub(crate) fn say(text: &str) {
    eprintln!("xtask: {text}");
}

/// Does a long step, telling every few seconds that it still runs and in the end how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Fallible<T>) -> Fallible<T> {
    const QUIET: Duration = Duration::from_secs(1);
    const EVERY: Duration = Duration::from_secs(10);
    let begun = Instant::now();
    let (done, finished) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut wait = QUIET;
            while finished.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                say(&format!("{what} … {} s", begun.elapsed().as_secs()));
                wait = EVERY;
            }
        });
        let result = work();
        drop(done);
        if result.is_ok() && begun.elapsed() >= QUIET {
            say(&format!("{what}: {:.1} s", begun.elapsed().as_secs_f64()));
        }
        result
    })
}

/// Runs a command with its output shown.
pub(crate) fn shown(command: &mut Command) -> Fallible {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{} failed ({status})", name(command)))) }
}

/// Runs a command and returns its standard output; what it said is part of the failure.
pub(crate) fn captured(command: &mut Command) -> Fallible<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| cannot_start(command, &error))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: String = format!("{}\n{}", said.trim(), text.trim()).trim().chars().take(SAID_MAX_CHARS).collect();
    Err(Failure::new(format!("{} failed ({}): {said}", name(command), output.status)))
}

/// Runs a command, shows every line of its output and hands each to `see`; true when it succeeded.
pub(crate) fn watched(command: &mut Command, mut see: impl FnMut(&str)) -> Fallible<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| cannot_start(command, &error))?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            see(&line);
        }
    }
    Ok(child.wait()?.success())
}

fn name(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let words = command.get_args().take(3).map(|word| word.to_string_lossy().into_owned());
    std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ")
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot start {}: {error}", name(command)))
}

/// A program on PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file())
}
