//! Running other programs: with a line of progress, with what they said when they fail, and ended when we are told to stop.
use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::paths;

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

/// The programs that run now, by process id; and whether no more may start.
static RUNNING: Mutex<(BTreeSet<u32>, bool)> = Mutex::new((BTreeSet::new(), false));

/// Ends the programs that run, and lets no other start.
pub(crate) fn stop_programs() {
    let mut running = running();
    running.1 = true;
    for pid in running.0.iter().filter_map(|&pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
        // One that ended just now is what is wanted.
        let _ = kill_process(pid, Signal::TERM);
    }
}

fn running() -> MutexGuard<'static, (BTreeSet<u32>, bool)> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a program and hands it to `wait`, which waits for its end.
fn with_program<T>(command: &mut Command, wait: impl FnOnce(Child) -> io::Result<T>) -> Fallible<T> {
    let child = {
        let mut running = running();
        if running.1 {
            return Err(Failure::new("stopped"));
        }
        let child = command.spawn().map_err(|error| cannot_start(command, &error))?;
        running.0.insert(child.id());
        child
    };
    let pid = child.id();
    let waited = wait(child);
    running().0.remove(&pid);
    Ok(waited?)
}

/// Runs a command with its output shown.
pub(crate) fn shown(command: &mut Command) -> Fallible {
    let status = with_program(command, |mut child| child.wait())?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{} failed ({status})", name(command)))) }
}

/// cargo, in the project's root.
pub(crate) fn cargo() -> Command {
    let mut command = nugul_platform::cargo();
    command.current_dir(paths::root());
    command
}

/// Runs a command and returns its standard output; what it said is part of the failure.
pub(crate) fn captured(command: &mut Command) -> Fallible<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = with_program(command, Child::wait_with_output)?;
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
    with_program(command.stdout(Stdio::piped()), |mut child| {
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).split(b'\n') {
                let line = line?;
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                see(&line);
            }
        }
        Ok(child.wait()?.success())
    })
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
