-- Accounts and log-ins. An address is looked up by its SHA-256, because text columns compare 'é' and 'e' as equal in one
-- of the two databases and not in the other; so what is kept of an address without an account is its digest alone.
CREATE TABLE accounts (
  id BINARY(16) NOT NULL,
  email_key BINARY(32) NOT NULL,
  email VARCHAR(254) NOT NULL,
  nickname VARCHAR(40) NOT NULL,
  role VARCHAR(16) NOT NULL,
  password_hash VARCHAR(200) NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (id),
  UNIQUE (email_key)
);

-- The last code sent to an address, and how many were sent on the day that began at `day_start`.
CREATE TABLE email_codes (
  email_key BINARY(32) NOT NULL,
  code_hash BINARY(32) NOT NULL,
  tries BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  sent_at BIGINT NOT NULL,
  day_start BIGINT NOT NULL,
  day_count BIGINT NOT NULL,
  PRIMARY KEY (email_key)
);

CREATE INDEX email_codes_by_age ON email_codes (sent_at);

CREATE TABLE log_in_failures (
  email_key BINARY(32) NOT NULL,
  failures BIGINT NOT NULL,
  since BIGINT NOT NULL,
  PRIMARY KEY (email_key)
);

CREATE INDEX log_in_failures_by_age ON log_in_failures (since);

-- One log-in: the family of all refresh tokens that came from it.
CREATE TABLE sessions (
  id BINARY(16) NOT NULL,
  account_id BINARY(16) NOT NULL,
  refreshed_at BIGINT NOT NULL,
  revoked BIGINT NOT NULL,
  PRIMARY KEY (id)
);

CREATE INDEX sessions_by_account ON sessions (account_id);
CREATE INDEX sessions_by_age ON sessions (refreshed_at);

CREATE TABLE refresh_tokens (
  token_hash BINARY(32) NOT NULL,
  session_id BINARY(16) NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT NULL,
  PRIMARY KEY (token_hash)
);

CREATE INDEX refresh_tokens_by_age ON refresh_tokens (expires_at);
