-- Messages have their place in the order they were put, whatever the clock says, and a lane by their receiver. What can never
-- be delivered or applied is put aside for a person.
ALTER TABLE outbox ADD COLUMN place BIGINT NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN lane BIGINT NOT NULL DEFAULT 1;
ALTER TABLE outbox ADD COLUMN trace_id VARCHAR(64) NOT NULL DEFAULT '';
UPDATE outbox SET lane = CASE WHEN body LIKE '{"kind":"settle"%' THEN 2 WHEN body LIKE '{"kind":"tell"%' THEN 3 ELSE 1 END
  WHERE done_at IS NULL;
CREATE INDEX outbox_by_lane ON outbox (lane, done_at, next_at);

-- `subject` names it at its source: a message by its id, a payment result by its offset.
CREATE TABLE parked (
  id BINARY(16) NOT NULL,
  source VARCHAR(16) NOT NULL,
  subject VARCHAR(64) NOT NULL,
  about BINARY(16) NOT NULL,
  reason VARCHAR(400) NOT NULL,
  parked_at BIGINT NOT NULL,
  PRIMARY KEY (id),
  UNIQUE (source, subject)
);
