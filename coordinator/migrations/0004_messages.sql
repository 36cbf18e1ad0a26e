-- Answers kept for their idempotency keys, messages owed to others, and what was heard from them.
CREATE TABLE idempotency (
  scope BINARY(16) NOT NULL,
  idem_key VARCHAR(100) NOT NULL,
  digest VARCHAR(64) NOT NULL,
  status BIGINT NOT NULL,
  body TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (scope, idem_key)
);

CREATE TABLE outbox (
  id BINARY(16) NOT NULL,
  order_id BINARY(16) NOT NULL,
  body TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  attempts BIGINT NOT NULL,
  next_at BIGINT NOT NULL,
  done_at BIGINT NULL,
  PRIMARY KEY (id)
);

CREATE INDEX outbox_due ON outbox (done_at, next_at);

CREATE TABLE inbox (
  source VARCHAR(40) NOT NULL,
  last_offset BIGINT NOT NULL,
  PRIMARY KEY (source)
);
INSERT INTO inbox (source, last_offset) VALUES ('payment', 0);
