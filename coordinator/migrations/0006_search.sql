-- What keeps the full-text indexes like the events above: how often an event was changed, which orders what is told of it.
ALTER TABLE events ADD COLUMN search_version BIGINT NOT NULL DEFAULT 1;

-- Events to be told of, written in the transaction that changed them. A row goes when it was told.
CREATE TABLE search_outbox (
  id BINARY(16) NOT NULL,
  event_id BINARY(16) NOT NULL,
  attempts BIGINT NOT NULL,
  next_at BIGINT NOT NULL,
  PRIMARY KEY (id)
);

CREATE INDEX search_outbox_due ON search_outbox (next_at);
CREATE INDEX search_outbox_by_event ON search_outbox (event_id);

-- The versions of each index that are told of changes: the one being built, the live one, the one before it.
CREATE TABLE search_versions (
  kind VARCHAR(16) NOT NULL,
  version BIGINT NOT NULL,
  state VARCHAR(16) NOT NULL,
  PRIMARY KEY (kind, version)
);

-- Jobs of the indexes. `running` is 1 or NULL, so the unique key allows one at a time. A replica works on it while it holds
-- the lease; `step`, `last_id` and the counts are where another goes on.
CREATE TABLE search_jobs (
  id BINARY(16) NOT NULL,
  work VARCHAR(16) NOT NULL,
  kind VARCHAR(16) NOT NULL,
  running BIGINT NULL,
  state VARCHAR(16) NOT NULL,
  step VARCHAR(16) NOT NULL,
  version BIGINT NULL,
  last_id BINARY(16) NULL,
  done BIGINT NOT NULL,
  total BIGINT NOT NULL,
  missing BIGINT NOT NULL,
  outdated BIGINT NOT NULL,
  surplus BIGINT NOT NULL,
  attempts BIGINT NOT NULL,
  reason VARCHAR(400) NULL,
  leased_by BINARY(16) NULL,
  leased_until BIGINT NOT NULL,
  begun_at BIGINT NOT NULL,
  finished_at BIGINT NULL,
  PRIMARY KEY (id),
  UNIQUE (running)
);
