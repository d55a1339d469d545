//! What a limits file accepts, and what is logged about it. A process follows one limits file, so each test runs in a
//! process of its own.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use premier::{Config, Lease, Limit, MemoryHandler, Throttle, limits};
use premier_tests::listener::Listener;
use premier_tests::waits::eventually;
use tempfile::TempDir;
use tracing::Level;

const MINUTE: Duration = Duration::from_secs(60);

/// Whether this is the process of the test; otherwise runs the test in one.
#[track_caller]
fn is_alone(test: &str) -> bool {
    const VARIABLE: &str = "PREMIER_TEST_ALONE";
    if env::var_os(VARIABLE).is_some() {
        return true;
    }
    let mut process = process::Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("limits_file::{test}"), "--nocapture"])
        .env(VARIABLE, "1")
        .spawn()
        .unwrap();
    let mut status = None;
    eventually("the process ends", || {
        status = process.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.unwrap().success(), "{test} failed");
    false
}

/// A limits file that the process follows.
struct Followed {
    _directory: TempDir,
    path: PathBuf,
}

impl Followed {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("limits.toml");
        fs::write(&path, text).unwrap();
        premier::config(Config::new(MemoryHandler::new()).limits_file(&path)).unwrap();
        Self {
            _directory: directory,
            path,
        }
    }

    fn write(&self, text: &str) {
        fs::write(&self.path, text).unwrap();
    }
}

fn status() -> limits::FileStatus {
    limits::file_status().unwrap()
}

/// A limit with the name `login` that has been used.
fn used_login() -> Throttle {
    let login = Throttle::new("login", Limit::fixed_window(1, MINUTE));
    assert!(login.check("k").unwrap().allowed);
    login
}

fn limit_of(name: &str) -> Limit {
    let listed = limits::list();
    let found = listed.iter().find(|limit| &*limit.name == name);
    found.unwrap().limits[0]
}

#[test]
fn a_duration_is_a_number_of_seconds_or_a_text() {
    if !is_alone("a_duration_is_a_number_of_seconds_or_a_text") {
        return;
    }
    let file = Followed::new("[limits.login]\nquota = 3\nduration = 5\n");
    let _login = used_login();
    assert_eq!(
        limit_of("login"),
        Limit::fixed_window(3, Duration::from_secs(5))
    );
    file.write("[limits.login]\nquota = 3\nduration = 0.5\n");
    eventually("a part of a second applies", || {
        limit_of("login") == Limit::fixed_window(3, Duration::from_millis(500))
    });
    file.write("[limits.login]\nquota = 3\nduration = \"2s\"\n");
    eventually("a text applies", || {
        limit_of("login") == Limit::fixed_window(3, Duration::from_secs(2))
    });
}

#[test]
fn a_mistake_is_reported_with_its_line_and_column_and_what_is_accepted() {
    if !is_alone("a_mistake_is_reported_with_its_line_and_column_and_what_is_accepted") {
        return;
    }
    let file = Followed::new("[limits.login]\nrate = \"3/min\"\n");
    let _login = used_login();
    file.write("[limits.login]\nrate = 10\n");
    eventually("the file is refused", || status().error.is_some());
    let error = status().error.unwrap().to_string();
    assert!(
        error.ends_with("line 2, column 8: a rate is a text, as in \"10/s\", not 10"),
        "{error}"
    );
    assert_eq!(limit_of("login"), Limit::fixed_window(3, MINUTE));
}

#[test]
fn an_empty_file_changes_nothing_and_an_empty_table_takes_all_entries_out() {
    if !is_alone("an_empty_file_changes_nothing_and_an_empty_table_takes_all_entries_out") {
        return;
    }
    let file = Followed::new("[limits.login]\nrate = \"3/min\"\n");
    let _login = used_login();
    for text in ["", "\n", "# limits of the service\n"] {
        file.write("[limits.login]\nrate = \"3/min\"\n");
        eventually("the file is in force", || status().error.is_none());
        file.write(text);
        eventually("the file is refused", || status().error.is_some());
        assert_eq!(
            limit_of("login"),
            Limit::fixed_window(3, MINUTE),
            "{text:?}"
        );
    }
    file.write("[limits]\n");
    eventually("the limit is that of the code", || {
        limit_of("login") == Limit::fixed_window(1, MINUTE)
    });
    eventually("the file is in force", || status().error.is_none());
}

#[test]
fn a_file_that_is_being_written_changes_nothing_until_it_is_complete() {
    if !is_alone("a_file_that_is_being_written_changes_nothing_until_it_is_complete") {
        return;
    }
    let both = "[limits.login]\nrate = \"3/min\"\n\n[limits.upload]\nrate = \"5/min\"\n";
    let file = Followed::new(both);
    let _login = used_login();
    let upload = Throttle::new("upload", Limit::fixed_window(1, MINUTE));
    assert!(upload.check("k").unwrap().allowed);
    let text = both.replace("3/min", "4/min");
    let (first, second) = text.split_at(text.find("\n\n").unwrap() + 1);
    // Real time is the point: a part of the file stays for longer than it takes to read it once. If it stays for as long
    // as a change has to, because the machine is busy, it is written again.
    eventually("the file is written in time", || {
        file.write(both);
        eventually("the earlier file applies", || {
            limit_of("login") == Limit::fixed_window(3, MINUTE)
                && limit_of("upload") == Limit::fixed_window(5, MINUTE)
        });
        let began = Instant::now();
        let mut writer = File::create(&file.path).unwrap();
        writer.write_all(first.as_bytes()).unwrap();
        let mut is_as_before = true;
        while began.elapsed() < Duration::from_millis(150) {
            is_as_before &= limit_of("upload") == Limit::fixed_window(5, MINUTE);
            thread::sleep(Duration::from_millis(5));
        }
        writer.write_all(second.as_bytes()).unwrap();
        let is_in_time = began.elapsed() < Duration::from_secs(1);
        assert!(is_as_before || !is_in_time, "a part of the file applies");
        is_in_time
    });
    eventually("the whole file applies", || {
        assert_eq!(limit_of("upload"), Limit::fixed_window(5, MINUTE));
        limit_of("login") == Limit::fixed_window(4, MINUTE)
    });
}

#[test]
fn a_lease_is_a_number_or_a_percentage() {
    if !is_alone("a_lease_is_a_number_or_a_percentage") {
        return;
    }
    let file = Followed::new("[limits.login]\nrate = \"30/min\"\nlease = 3\n");
    let _login = used_login();
    let limit = Limit::fixed_window(30, MINUTE);
    assert_eq!(limit_of("login"), limit.lease(Lease::Units(3)));
    file.write("[limits.login]\nrate = \"30/min\"\nlease = \"10%\"\n");
    eventually("a percentage applies", || {
        limit_of("login") == limit.lease(Lease::Percent(10))
    });
}

#[test]
fn a_change_says_what_it_has_changed_from_what_to_what() {
    if !is_alone("a_change_says_what_it_has_changed_from_what_to_what") {
        return;
    }
    let log = Log::install();
    let file =
        Followed::new("[limits.login]\nrate = \"3/min\"\n\n[limits.later]\nrate = \"1/s\"\n");
    let _login = used_login();
    file.write("[limits.login]\nrate = \"4/min\"\n");
    eventually("the file applies", || status().applied == 2);
    let changes: Vec<_> = status().changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        changes,
        [
            "later: fixed_window 1/1s → as in the code",
            "login: fixed_window 3/60s → fixed_window 4/60s"
        ]
    );
    log.assert_has(Level::INFO, &["limits applied", &changes[1]]);
}

#[test]
fn a_name_that_no_limit_has_is_reported() {
    if !is_alone("a_name_that_no_limit_has_is_reported") {
        return;
    }
    let log = Log::install();
    let file = Followed::new("[limits.login]\nrate = \"3/min\"\n\n[limits.logn]\nrate = \"1/s\"\n");
    assert_eq!(status().unknown.len(), 2);
    let _login = used_login();
    eventually("the limit is found", || status().unknown.len() == 1);
    assert_eq!(&*status().unknown[0], "logn");
    // Real time is the point: limits have a while to be used.
    eventually("the name is warned of", || {
        log.has(Level::WARN, &["limit=\"logn\""])
    });
    log.assert_has(Level::WARN, &["limit=\"logn\"", "similar=\"login\""]);
    assert!(!log.has(Level::WARN, &["limit=\"login\""]));
    // From now on unknown names are reported at once.
    file.write("[limits.lgin]\nrate = \"3/min\"\n");
    eventually("the next name is warned of", || {
        log.has(Level::WARN, &["limit=\"lgin\""])
    });
}

/// Keeps the events of all threads.
#[derive(Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

impl Log {
    fn install() -> Self {
        let log = Self::default();
        let kept = Arc::clone(&log.0);
        let listener = Listener::to_premier(move |metadata, text| {
            kept.lock().unwrap().push((*metadata.level(), text));
        });
        tracing::subscriber::set_global_default(listener).unwrap();
        log
    }

    /// Whether there is an event at this level that contains all of these parts.
    fn has(&self, level: Level, parts: &[&str]) -> bool {
        let events = self.0.lock().unwrap();
        events
            .iter()
            .any(|(of, text)| *of == level && parts.iter().all(|part| text.contains(part)))
    }

    #[track_caller]
    fn assert_has(&self, level: Level, parts: &[&str]) {
        assert!(self.has(level, parts), "{parts:?} in {:?}", self.0.lock());
    }
}
