//! The edge with a coordinator that is a table of answers.
