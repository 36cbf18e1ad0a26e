-- How much an event is wanted, in steps of the week's ranking; searches are told of it.
ALTER TABLE events ADD COLUMN demand BIGINT NOT NULL DEFAULT 0;
CREATE INDEX events_by_demand ON events (demand);

-- The title in English or in Latin letters, and who performs: a JSON array of names. Older events, and older code, say neither.
ALTER TABLE events ADD COLUMN title_en VARCHAR(120) NULL;
ALTER TABLE events ADD COLUMN cast_names TEXT NULL;
