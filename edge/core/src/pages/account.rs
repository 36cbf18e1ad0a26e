//! Logging in, signing up, and what could not be shown.

use maud::html;

use super::{
    Chrome, LogInView, ProblemView, SignUpStep, SignUpView,
    layout::{Head, document, encode, fault_id, fault_line, problem_box},
    text::words,
};

/// Logging in.
pub fn log_in(c: &Chrome, v: &LogInView) -> String {
    let w = words(c.lang);
    let problem = v.problem.as_ref();
    let main = html! {
        div.narrow {
            h1 { (w.log_in) }
            (problem_box(c, problem))
            form.fields method="post" action="/log-in" {
                input type="hidden" name="next" value=(v.next);
                label for="email" { (w.email) }
                input #email name="email" type="email" value=(v.email) autocomplete="username" inputmode="email" aria-invalid=[fault_id(problem, "email").map(|_| "true")] aria-describedby=[fault_id(problem, "email")] required;
                (fault_line(problem, "email"))
                label for="password" { (w.password) }
                input #password name="password" type="password" autocomplete="current-password" aria-invalid=[fault_id(problem, "password").map(|_| "true")] aria-describedby=[fault_id(problem, "password")] required;
                (fault_line(problem, "password"))
                button.main.wide #log-in type="submit" { (w.log_in) }
            }
            p { (w.new_here) " " a href={ "/sign-up?next=" (encode(&v.next)) } { (w.sign_up) } }
        }
    };
    document(c, &Head { title: w.log_in, ..Head::default() }, &main)
}

/// Signing up.
pub fn sign_up(c: &Chrome, v: &SignUpView) -> String {
    let w = words(c.lang);
    let problem = v.problem.as_ref();
    let main = html! {
        div.narrow {
            h1 { (w.sign_up) }
            (problem_box(c, problem))
            @match v.step {
                SignUpStep::Email => {
                    p { (w.sign_up_what) }
                    form.fields method="post" action="/sign-up" {
                        input type="hidden" name="step" value="email";
                        input type="hidden" name="next" value=(v.next);
                        input type="hidden" name="key" value=(v.idempotency_key);
                        label for="email" { (w.email) }
                        input #email name="email" type="email" value=(v.email) autocomplete="email" inputmode="email" aria-invalid=[fault_id(problem, "email").map(|_| "true")] aria-describedby=[fault_id(problem, "email")] required;
                        (fault_line(problem, "email"))
                        button.main.wide type="submit" { (w.send_code) }
                    }
                }
                SignUpStep::Code => {
                    p { (w.code_sent) " " b { (v.email) } " " a href={ "/sign-up?next=" (encode(&v.next)) } { (w.code_other) } }
                    form.fields method="post" action="/sign-up" {
                        input type="hidden" name="step" value="code";
                        input type="hidden" name="next" value=(v.next);
                        input type="hidden" name="key" value=(v.idempotency_key);
                        input type="hidden" name="email" value=(v.email) autocomplete="username";
                        label for="code" { (w.code) }
                        input #code name="code" inputmode="numeric" autocomplete="one-time-code" aria-invalid=[fault_id(problem, "code").map(|_| "true")] aria-describedby=[fault_id(problem, "code")] required;
                        (fault_line(problem, "code"))
                        label for="password" { (w.password) " " small { (w.password_hint) } }
                        input #password name="password" type="password" minlength="8" maxlength="128" autocomplete="new-password" aria-invalid=[fault_id(problem, "password").map(|_| "true")] aria-describedby=[fault_id(problem, "password")] required;
                        (fault_line(problem, "password"))
                        label for="nickname" { (w.nickname) " " small { (w.nickname_hint) } }
                        input #nickname name="nickname" value=(v.nickname) maxlength="20" autocomplete="nickname" aria-invalid=[fault_id(problem, "nickname").map(|_| "true")] aria-describedby=[fault_id(problem, "nickname")] required;
                        (fault_line(problem, "nickname"))
                        button.main.wide #sign-up type="submit" { (w.sign_up) }
                    }
                    form method="post" action="/sign-up" {
                        input type="hidden" name="step" value="again";
                        input type="hidden" name="next" value=(v.next);
                        input type="hidden" name="key" value={ (v.idempotency_key) "-a" };
                        input type="hidden" name="email" value=(v.email);
                        p { (w.code_missing) " " button.plain #again type="submit" { (w.code_again) } }
                    }
                }
            }
            p { (w.have_account) " " a href={ "/log-in?next=" (encode(&v.next)) } { (w.log_in) } }
        }
    };
    document(c, &Head { title: w.sign_up, ..Head::default() }, &main)
}

/// A page that could not be shown: what happened, what was not changed, what to do next.
pub fn problem(c: &Chrome, v: &ProblemView) -> String {
    let w = words(c.lang);
    let p = &v.problem;
    let (title, says) = match p.status {
        404 => (w.not_found, Some(w.not_found_what)),
        429 | 503 => (w.away, Some(w.away_what)),
        500.. => (w.broken, Some(w.broken_what)),
        _ => (w.refused, None),
    };
    let main = html! {
        div.narrow {
            h1 { (title) }
            @match says {
                Some(says) => p { (says) },
                None => (problem_box(c, Some(p))),
            }
            p.actions {
                @if p.status != 404 { a.button.main href=(c.path) { (w.try_again) } }
                @else { a.button.main href="/search" { (w.find_shows) } }
                a.button href="/" { (w.to_home) }
            }
            @if !p.trace_id.is_empty() { p.quiet.id { (w.trace) ": " (p.trace_id) } }
        }
    };
    document(c, &Head { title, ..Head::default() }, &main)
}
