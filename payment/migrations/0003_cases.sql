-- Everything a person has to look at in one list; reading payments by buyer and time; how far the ledger's sum was checked.
CREATE TABLE cases (
  case_no BIGINT NOT NULL PRIMARY KEY,
  kind BIGINT NOT NULL,
  order_id BINARY(16) NOT NULL,
  subject_digest BINARY(32) NOT NULL,
  subject VARCHAR(200) NOT NULL,
  reason VARCHAR(200) NOT NULL,
  ours_krw BIGINT NOT NULL,
  theirs_krw BIGINT NOT NULL,
  day VARCHAR(10) NOT NULL,
  opened_at_ms BIGINT NOT NULL,
  closed_at_ms BIGINT NOT NULL,
  note VARCHAR(200) NOT NULL,
  UNIQUE (kind, order_id, subject_digest)
);
CREATE INDEX cases_by_closing ON cases (closed_at_ms, case_no);
CREATE TABLE case_counter (
  id BIGINT NOT NULL PRIMARY KEY,
  last_case BIGINT NOT NULL
);
-- The digest is SHA-256 of the empty subject.
INSERT INTO cases (case_no, kind, order_id, subject_digest, subject, reason, ours_krw, theirs_krw, day, opened_at_ms,
    closed_at_ms, note)
  SELECT ROW_NUMBER() OVER (ORDER BY opened_at_ms, order_id), 1, order_id,
    x'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', '', reason, 0, 0, '', opened_at_ms, closed_at_ms,
    '' FROM open_cases;
INSERT INTO case_counter (id, last_case) SELECT 1, COALESCE(MAX(case_no), 0) FROM cases;
DROP TABLE open_cases;
CREATE INDEX payments_by_time ON payments (created_at_ms, order_id);
CREATE INDEX payments_by_user ON payments (user_id, created_at_ms, order_id);
CREATE INDEX ledger_by_time ON ledger (created_at_ms);
CREATE TABLE ledger_checked (
  account VARCHAR(32) NOT NULL PRIMARY KEY,
  up_to_entry BIGINT NOT NULL,
  balance BIGINT NOT NULL
);
