//! The program's own words about its settings: what is wrong is named, and nothing is made by looking.

use std::{fs, path::Path, process::Command};

/// Whether the settings are taken, and what is said.
fn check(dir: &Path, settings: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nugul-coordinator"));
    command.arg("--check-config").env_clear().env("NUGUL_DATA", dir.join("data")).current_dir(dir);
    let output = command.envs(settings.iter().copied()).output().expect("the program");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).expect("text"))
}

#[test]
fn what_is_wrong_is_named_without_its_value_and_nothing_is_made() {
    let dir = std::env::temp_dir().join(format!("nugul-check-config-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("not.pem"), "secret").unwrap();
    let not_pem = dir.join("not.pem").display().to_string();
    let tls = [("NUGUL_TLS_CA", not_pem.as_str()), ("NUGUL_TLS_CERT", &not_pem), ("NUGUL_TLS_KEY", "/none.pem")];
    let settings_file = dir.join("settings").display().to_string();
    fs::write(&settings_file, "# ours\nNUGUL_REGION=999\n").unwrap();

    assert_eq!(check(&dir, &[]), (true, "the settings are valid\n".into()));
    let wrong: &[(&[(&str, &str)], &str)] = &[
        (&[("NUGUL_MYSQL_URL", "postgres://u:secret@h/d")], "NUGUL_MYSQL_URL"),
        (&[("NUGUL_REDIS_URL", "http://u:secret@h")], "NUGUL_REDIS_URL"),
        (&[("NUGUL_PUBLIC_ORIGIN", "tickets.example")], "NUGUL_PUBLIC_ORIGIN"),
        (&[("NUGUL_PUBLIC_ORIGIN", "https://tickets.example/shop")], "NUGUL_PUBLIC_ORIGIN"),
        (&[("NUGUL_PAYMENT_URL", "ftp://h")], "NUGUL_PAYMENT_URL"),
        (&[("NUGUL_SMTP_URL", "http://u:secret@h")], "NUGUL_SMTP_URL"),
        (&[("NUGUL_SIGNING_KEY_FILE", &not_pem)], "NUGUL_SIGNING_KEY_FILE"),
        (&[("NUGUL_HOLD_TTL_MS", "0")], "NUGUL_HOLD_TTL_MS"),
        (&[("NUGUL_PAY_WINDOW_MS", "-1")], "NUGUL_PAY_WINDOW_MS"),
        (&[("NUGUL_DECISION_WINDOW_MS", "soon")], "NUGUL_DECISION_WINDOW_MS"),
        (&[("NUGUL_REFRESH_REUSE_LEEWAY_MS", "-1")], "NUGUL_REFRESH_REUSE_LEEWAY_MS"),
        (&tls, "/none.pem"),
        (&[("NUGUL_SETTINGS_FILE", &settings_file)], "NUGUL_REGION"),
        (&[("NUGUL_SETTINGS_FILE", "/none/at/all")], "NUGUL_SETTINGS_FILE"),
    ];
    for (settings, named) in wrong {
        let (taken, said) = check(&dir, settings);
        assert!(!taken && said.contains(named) && !said.contains("secret"), "{settings:?}: {said}");
    }
    // The environment comes first.
    assert!(check(&dir, &[("NUGUL_SETTINGS_FILE", &settings_file), ("NUGUL_REGION", "7")]).0);
    assert!(!dir.join("data").exists());
    fs::remove_dir_all(&dir).unwrap();
}
