-- A made-up migration, for migrate_next_test.c alone.
ALTER TABLE device ADD COLUMN of_the_next_version INTEGER NOT NULL DEFAULT 7;
