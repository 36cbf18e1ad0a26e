-- Whether an event's seats are shown to who is logged in alone. Older events, and older code, show them to everyone.
ALTER TABLE events ADD COLUMN members_only BIGINT NOT NULL DEFAULT 0;
