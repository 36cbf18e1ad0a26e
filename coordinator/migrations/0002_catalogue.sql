-- Events and their performances. Seats are not rows: a hall is its grades, a seat is an index.
CREATE TABLE events (
  id BINARY(16) NOT NULL,
  seller_id BINARY(16) NOT NULL,
  title VARCHAR(120) NOT NULL,
  category VARCHAR(80) NOT NULL,
  place VARCHAR(80) NOT NULL,
  description TEXT NOT NULL,
  starts_on VARCHAR(10) NOT NULL,
  ends_on VARCHAR(10) NOT NULL,
  runtime_min BIGINT NOT NULL,
  rating VARCHAR(80) NOT NULL,
  grades TEXT NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE performances (
  id BINARY(16) NOT NULL,
  event_id BINARY(16) NOT NULL,
  starts_at BIGINT NOT NULL,
  sales_open_at BIGINT NOT NULL,
  PRIMARY KEY (id)
);

CREATE INDEX performances_by_event ON performances (event_id, starts_at);

-- One row, raised with every change of the two tables above: tells when the search index is old.
CREATE TABLE catalogue_changes (
  id BIGINT NOT NULL,
  changes BIGINT NOT NULL,
  PRIMARY KEY (id)
);
INSERT INTO catalogue_changes (id, changes) VALUES (1, 0);
