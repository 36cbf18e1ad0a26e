//! Idempotency keys: the answers given under them, and those whose first request is under way.
use std::collections::{HashMap, HashSet};

use crate::store::Answer;

/// What is known of keys.
#[derive(Debug, Default)]
pub struct Keys {
    answers: HashMap<String, Answer>,
    busy: HashSet<String>,
}

impl Keys {
    /// Starts work under a key: the answer given before, or a refusal while the first request is under way.
    pub(crate) fn begin(&mut self, key: &str) -> Option<Answer> {
        if let Some(answer) = self.answers.get(key) {
            return Some(answer.clone());
        }
        if !self.busy.insert(key.to_owned()) {
            return Some(Answer::error(409, "IDEMPOTENT_REQUEST_PROCESSING", "이전 멱등 요청이 처리중입니다."));
        }
        None
    }

    /// Ends work under a key.
    pub(crate) fn end(&mut self, key: &str) {
        self.busy.remove(key);
    }

    /// These answers were given.
    pub(crate) fn answered(&mut self, some: impl IntoIterator<Item = (String, Answer)>) {
        self.answers.extend(some);
    }
}
