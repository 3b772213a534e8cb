-- Schema version 1.  Migrations are numbered and append-only; this file never changes once released.
-- Times are Unix milliseconds (*_ms); accuracies are percent; durations are seconds.  A value that was not finite
-- (NaN, infinity) is NULL, and the row's `nonfinite` names its columns.
-- CHECKs of several values are chains of OR: for IN SQLite fills a table of its own at each INSERT and UPDATE.

CREATE TABLE sweep (
  id           INTEGER PRIMARY KEY AUTOINCREMENT, -- s1, s2, ...
  name         TEXT NOT NULL,
  project      TEXT NOT NULL,    -- W&B's project; also groups sweeps here
  state        TEXT NOT NULL CHECK (state IN ('expanding', 'active')), -- expanding: a submit in progress, hidden
  metric       TEXT NOT NULL,    -- what the sweep is judged by, e.g. test_accuracy
  goal         TEXT NOT NULL CHECK (goal IN ('maximize', 'minimize')),
  swept        TEXT NOT NULL,    -- JSON list of the swept parameters, in the order in which they vary
  base         TEXT NOT NULL,    -- JSON of every parameter of a job, but for what its own row says
  n_jobs       INTEGER NOT NULL,
  text         TEXT NOT NULL,    -- the sweep file as submitted
  overrides    TEXT NOT NULL,    -- JSON list of [key, value] from --override
  hash         TEXT NOT NULL,    -- of what it expands to: the same sweep again has the same hash
  submission   TEXT UNIQUE,      -- the client's id of this submit: sent twice, stored once
  data_dir     TEXT,             -- --data: where its data set was found
  time_limit_s REAL,             -- of each attempt; NULL: none
  wandb        TEXT,             -- JSON of W&B's settings for its runs: mode, project, entity, ...; never a key
  file_dir     TEXT,             -- absolute directory of the sweep file, where its .env may lie; NULL: not known
  breaker_attempt INTEGER NOT NULL DEFAULT 0, -- attempts up to it do not count any more for the circuit breaker
  retries      INTEGER NOT NULL, -- how often a job is repeated after oom, device, internal or a lost worker
  owner_uid    INTEGER NOT NULL,
  note         TEXT,
  submitted_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX sweep_by_hash ON sweep(hash);
CREATE INDEX sweep_expanding ON sweep(id) WHERE state = 'expanding';

CREATE TABLE job (
  id          INTEGER PRIMARY KEY, -- only what was never shown is deleted, so none is used twice
  sweep       INTEGER NOT NULL REFERENCES sweep(id),
  position    INTEGER NOT NULL,  -- 0-based place in the sweep
  kind        TEXT NOT NULL,     -- 'train': the built-in trainer
  own         TEXT NOT NULL,     -- JSON of the parameters in which it may differ from its sweep's base; never changes.
                                 -- All of its parameters: visible_job.config
  swept       TEXT NOT NULL,     -- JSON of the swept parameters alone
  use_wandb   INTEGER NOT NULL DEFAULT 0, -- its run is forwarded: as in base and own, where no index reaches it
  state       TEXT NOT NULL CHECK (state = 'queued' OR state = 'running' OR state = 'paused' OR state = 'done' OR
                                    state = 'failed' OR state = 'cancelled' OR state = 'pruned'),
  reason      TEXT,              -- why it is in that state, for people
  priority    INTEGER NOT NULL DEFAULT 0, -- higher starts first
  retries_used INTEGER NOT NULL DEFAULT 0,
  not_before_ms INTEGER NOT NULL DEFAULT 0, -- a retry waits until then
  created_ms  INTEGER NOT NULL,
  ended_ms    INTEGER,
  UNIQUE (sweep, position)
) STRICT;
CREATE INDEX job_by_state ON job(state, priority DESC, id);
CREATE INDEX job_of_sweep ON job(sweep, state, id); -- a page of one state; how many are in which
CREATE INDEX job_of_wandb ON job(sweep, id) WHERE use_wandb;
CREATE INDEX job_waiting ON job(not_before_ms) WHERE state = 'queued' AND not_before_ms > 0; -- for their time

CREATE TABLE worker (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  device     TEXT NOT NULL REFERENCES device(id),
  pid        INTEGER NOT NULL,
  start_time INTEGER NOT NULL,   -- field 22 of /proc/PID/stat: with pid and boot_id, names one process for ever
  boot_id    TEXT NOT NULL,
  state      TEXT NOT NULL CHECK (state = 'starting' OR state = 'ready' OR state = 'gone'),
  started_ms INTEGER NOT NULL,
  ended_ms   INTEGER,
  reason     TEXT                -- how it ended: "killed by signal 9", "asked to stop", ...
) STRICT;
CREATE INDEX worker_alive ON worker(id) WHERE state <> 'gone';

CREATE TABLE device (
  id     TEXT PRIMARY KEY,       -- "cpu", "cuda:0"
  kind   TEXT NOT NULL CHECK (kind IN ('cpu', 'cuda')),
  name   TEXT,                   -- as the worker found it
  slots  INTEGER NOT NULL DEFAULT 1,
  state  TEXT NOT NULL CHECK (state = 'ready' OR state = 'set_aside' OR state = 'absent'),
  reason TEXT,
  times_aside INTEGER NOT NULL DEFAULT 0 -- set aside so often in a row; 0: it works
) STRICT;

CREATE TABLE attempt (
  id         INTEGER PRIMARY KEY AUTOINCREMENT, -- the fencing token: a later attempt of a job has a higher id
  job        INTEGER NOT NULL REFERENCES job(id),
  number     INTEGER NOT NULL,   -- 1, 2, ... within the job
  worker     INTEGER REFERENCES worker(id),
  device     TEXT,
  state      TEXT NOT NULL CHECK (state = 'running' OR state = 'done' OR state = 'failed' OR state = 'cancelled' OR
                                   state = 'released' OR state = 'lost'),
  class      TEXT CHECK (class = 'config' OR class = 'data' OR class = 'diverged' OR class = 'oom' OR class = 'device' OR
                          class = 'internal' OR class = 'time_limit' OR class = 'hang'), -- of a failure; of a lost worker where it is known
  reason     TEXT,
  start_epoch INTEGER,           -- epochs finished when it started: > 0 after a resume
  start_step INTEGER,            -- steps done in the epoch it resumed in
  details    TEXT,               -- JSON of the worker's `started`: backend, amp, threads, versions
  started_ms INTEGER NOT NULL,
  started_mono_ms INTEGER,       -- CLOCK_MONOTONIC, comparable while the machine is up: time asleep does not count
  ended_ms   INTEGER,
  seconds    REAL,               -- from start to end by that clock; NULL: not known
  last_seq   INTEGER NOT NULL DEFAULT 0, -- events 1..last_seq are stored
  UNIQUE (job, number)
) STRICT;
CREATE UNIQUE INDEX attempt_live ON attempt(job) WHERE state = 'running'; -- one live attempt a job

CREATE TABLE event (             -- the one log; readers follow it with id > ?
  id      INTEGER PRIMARY KEY,   -- rising: no event is ever deleted
  at_ms   INTEGER NOT NULL,
  sweep   INTEGER,
  job     INTEGER,
  attempt INTEGER,
  seq     INTEGER,               -- the worker's number of a durable event
  kind    TEXT NOT NULL,         -- state, started, epoch, metric, telemetry, checkpoint, done, failed, ...
  detail  TEXT,                  -- JSON
  UNIQUE (attempt, seq)
) STRICT;
CREATE INDEX event_by_job ON event(job, id);

CREATE TABLE epoch (
  attempt        INTEGER NOT NULL REFERENCES attempt(id),
  epoch          INTEGER NOT NULL, -- epochs finished: 1-based
  job            INTEGER NOT NULL REFERENCES job(id),
  event          INTEGER NOT NULL REFERENCES event(id),
  lr             REAL,
  batch_size     INTEGER,
  train_loss     REAL,
  train_accuracy REAL,            -- percent
  test_loss      REAL,
  test_accuracy  REAL,            -- percent
  train_seconds  REAL,
  test_seconds   REAL,
  images_per_second REAL,         -- of training
  ram_mib        INTEGER,         -- peak resident memory of the worker in this job
  vram_mib       INTEGER,
  watts          REAL,            -- mean over the epoch; with a GPU the GPU's, else the processor packages'
  joules         REAL,            -- energy of the epoch, of the same
  nonfinite      TEXT,            -- comma-separated columns that were NaN or infinite
  PRIMARY KEY (attempt, epoch)
) STRICT, WITHOUT ROWID;
CREATE INDEX epoch_by_job ON epoch(job, epoch, attempt);

CREATE TABLE job_epochs (        -- the epochs of a job that count (view counted_epoch), summed up as they are inserted
  job        INTEGER PRIMARY KEY REFERENCES job(id),
  sweep      INTEGER NOT NULL,
  epoch      INTEGER NOT NULL,   -- the last; test_accuracy, value and cost are its
  event      INTEGER NOT NULL,   -- of the epoch that was inserted last
  seconds    REAL NOT NULL,      -- training and testing of all
  ram_mib    INTEGER,            -- the highest
  vram_mib   INTEGER,
  test_accuracy REAL,
  value      REAL,               -- the sweep's metric
  cost       REAL NOT NULL,      -- lower is better: value or -value; infinite where there is none
  best       REAL,               -- the best value
  best_cost  REAL NOT NULL,
  best_epoch INTEGER,            -- the first that reached it
  best_test_accuracy REAL,
  best_test_epoch INTEGER
) STRICT;
CREATE INDEX job_epochs_by_cost ON job_epochs(sweep, cost, job);

-- The next epoch: added.
CREATE TRIGGER epoch_next AFTER INSERT ON epoch
WHEN NEW.epoch > coalesce((SELECT epoch FROM job_epochs WHERE job = NEW.job), 0) BEGIN
  INSERT INTO job_epochs
  SELECT NEW.job, sweep, NEW.epoch, NEW.event, coalesce(NEW.train_seconds, 0) + coalesce(NEW.test_seconds, 0),
    NEW.ram_mib, NEW.vram_mib, NEW.test_accuracy, value, cost, value, cost,
    CASE WHEN value IS NOT NULL THEN NEW.epoch END,
    NEW.test_accuracy, CASE WHEN NEW.test_accuracy IS NOT NULL THEN NEW.epoch END
  FROM (
    SELECT *, coalesce(CASE goal WHEN 'maximize' THEN -value ELSE value END, 9e999) AS cost
    FROM (
      SELECT s.id AS sweep, s.goal,
        CASE s.metric WHEN 'train_loss' THEN NEW.train_loss WHEN 'train_accuracy' THEN NEW.train_accuracy
                      WHEN 'test_loss' THEN NEW.test_loss WHEN 'test_accuracy' THEN NEW.test_accuracy
                      ELSE (SELECT value FROM metric WHERE attempt = NEW.attempt AND epoch = NEW.epoch AND name = s.metric)
        END AS value
      FROM job AS j JOIN sweep AS s ON s.id = j.sweep WHERE j.id = NEW.job))
  WHERE true -- the parser's: without it ON belongs to the join
  ON CONFLICT (job) DO UPDATE SET
    epoch = excluded.epoch, event = excluded.event, seconds = seconds + excluded.seconds,
    ram_mib = max(coalesce(ram_mib, excluded.ram_mib), coalesce(excluded.ram_mib, ram_mib)),
    vram_mib = max(coalesce(vram_mib, excluded.vram_mib), coalesce(excluded.vram_mib, vram_mib)),
    test_accuracy = excluded.test_accuracy, value = excluded.value, cost = excluded.cost,
    best = CASE WHEN excluded.cost < best_cost THEN excluded.best ELSE best END,
    best_epoch = CASE WHEN excluded.cost < best_cost THEN excluded.best_epoch ELSE best_epoch END,
    best_cost = min(best_cost, excluded.cost),
    best_test_epoch = CASE WHEN excluded.test_accuracy > coalesce(best_test_accuracy, -1)
                           THEN excluded.epoch ELSE best_test_epoch END,
    best_test_accuracy = CASE WHEN excluded.test_accuracy > coalesce(best_test_accuracy, -1)
                              THEN excluded.test_accuracy ELSE best_test_accuracy END;
END;
-- One that an attempt before had finished already: all over again.
CREATE TRIGGER epoch_again AFTER INSERT ON epoch
WHEN EXISTS (SELECT 1 FROM job_epochs WHERE job = NEW.job AND epoch >= NEW.epoch AND event <> NEW.event) BEGIN
  INSERT OR REPLACE INTO job_epochs
  SELECT job, sweep, epoch, NEW.event, seconds, ram_mib, vram_mib, test_accuracy, value, cost,
    best, best_cost, CASE WHEN best IS NOT NULL THEN best_epoch END,
    best_test_accuracy, CASE WHEN best_test_accuracy IS NOT NULL THEN best_test_epoch END
  FROM (
    SELECT job, sweep, epoch, test_accuracy, value, cost,
      sum(coalesce(train_seconds, 0) + coalesce(test_seconds, 0)) OVER (ORDER BY epoch) AS seconds,
      max(ram_mib) OVER (ORDER BY epoch) AS ram_mib, max(vram_mib) OVER (ORDER BY epoch) AS vram_mib,
      first_value(value) OVER by_cost AS best, first_value(cost) OVER by_cost AS best_cost,
      first_value(epoch) OVER by_cost AS best_epoch, first_value(test_accuracy) OVER by_accuracy AS best_test_accuracy,
      first_value(epoch) OVER by_accuracy AS best_test_epoch
    FROM (
      SELECT *, coalesce(CASE goal WHEN 'maximize' THEN -value ELSE value END, 9e999) AS cost
      FROM (
        SELECT e.*, s.id AS sweep, s.goal,
          CASE s.metric WHEN 'train_loss' THEN e.train_loss WHEN 'train_accuracy' THEN e.train_accuracy
                        WHEN 'test_loss' THEN e.test_loss WHEN 'test_accuracy' THEN e.test_accuracy
                        ELSE (SELECT value FROM metric WHERE attempt = e.attempt AND epoch = e.epoch AND name = s.metric)
          END AS value
        FROM job_epochs AS was CROSS JOIN sweep AS s ON s.id = was.sweep CROSS JOIN epoch AS e ON e.job = was.job
        WHERE was.job = NEW.job
          AND e.attempt = (SELECT max(attempt) FROM epoch WHERE job = e.job AND epoch = e.epoch)))
    WINDOW by_cost AS (ORDER BY cost, epoch), by_accuracy AS (ORDER BY test_accuracy DESC, epoch)
    ORDER BY epoch DESC LIMIT 1);
END;

CREATE TABLE metric (            -- a metric without a column of its own; inserted before its epoch, whose trigger reads it
  attempt   INTEGER NOT NULL REFERENCES attempt(id),
  epoch     INTEGER NOT NULL,
  name      TEXT NOT NULL,
  value     REAL,
  nonfinite TEXT,                -- "nan", "inf" or "-inf" where value is NULL
  event     INTEGER NOT NULL REFERENCES event(id),
  PRIMARY KEY (attempt, epoch, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE step (              -- samples of training steps: parameter log_steps
  job       INTEGER NOT NULL REFERENCES job(id),
  step      INTEGER NOT NULL,    -- of the whole job: 1-based
  attempt   INTEGER NOT NULL REFERENCES attempt(id),
  epoch     INTEGER NOT NULL,    -- under way: 1-based
  event     INTEGER NOT NULL REFERENCES event(id),
  train_loss REAL NOT NULL,      -- mean over the step's images
  lr        REAL NOT NULL,
  grad_norm REAL,                -- where gradients are clipped, before that
  nonfinite TEXT,                -- "nan", "inf" or "-inf" where grad_norm is NULL for that
  PRIMARY KEY (job, step, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE telemetry (
  event   INTEGER NOT NULL REFERENCES event(id),
  attempt INTEGER NOT NULL REFERENCES attempt(id),
  at_ms   INTEGER NOT NULL,
  name    TEXT NOT NULL,         -- seconds, cpu_percent, ram_mib, ...: worker/telemetry.h
  value   REAL,
  PRIMARY KEY (event, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX telemetry_by_attempt ON telemetry(attempt, event);

CREATE TABLE wandb_sweep (       -- a sweep as it is at Weights & Biases
  sweep   INTEGER PRIMARY KEY REFERENCES sweep(id),
  entity  TEXT,                  -- as the server calls them
  project TEXT,
  name    TEXT,                  -- its short id there; NULL: it has none (nothing is swept, or it was refused)
  node    TEXT,                  -- its id for GraphQL
  url     TEXT,
  state   TEXT,                  -- there: RUNNING, PAUSED, FINISHED, CANCELED; what was last seen or set
  problem TEXT                   -- why nothing of it is sent at the moment, for people: no key, a wrong key, ...
) STRICT;

CREATE TABLE wandb_run (         -- how far the run of a job has come at Weights & Biases; sweep-forward reports it
  job          INTEGER PRIMARY KEY REFERENCES job(id),
  run_id       TEXT NOT NULL UNIQUE, -- W&B's id of the run
  entity       TEXT,
  project      TEXT,
  url          TEXT,
  phase        TEXT NOT NULL CHECK (phase = 'open' OR phase = 'left' OR phase = 'finished' OR phase = 'refused'), -- left:
                                     -- it waits for a device
  problem      TEXT,              -- refused: why, for people
  last_event   INTEGER NOT NULL DEFAULT 0, -- everything up to it is acknowledged by W&B
  last_epoch   INTEGER NOT NULL DEFAULT 0, -- no epoch at or below it is sent again
  last_step    INTEGER NOT NULL DEFAULT 0, -- nor a sample of a step
  history      INTEGER NOT NULL DEFAULT 0, -- lines of wandb-history.jsonl that are there
  events       INTEGER NOT NULL DEFAULT 0, -- of wandb-events.jsonl
  output       INTEGER NOT NULL DEFAULT 0, -- of output.log
  output_bytes INTEGER NOT NULL DEFAULT 0, -- of the job's log.txt that those lines are
  stopped      INTEGER NOT NULL DEFAULT 0  -- 1: "stop" was pressed there, and heeded
) STRICT;
