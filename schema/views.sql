-- The views a person types; recreated at every start of the daemon, so they may gain columns.  No view shows a sweep
-- whose submit is not complete.

DROP VIEW IF EXISTS results;
DROP VIEW IF EXISTS leaderboard;
DROP VIEW IF EXISTS curves;
DROP VIEW IF EXISTS steps;
DROP VIEW IF EXISTS queue;
DROP VIEW IF EXISTS resources;
DROP VIEW IF EXISTS samples;
DROP VIEW IF EXISTS counted_epoch;
DROP VIEW IF EXISTS visible_job;

-- Jobs of complete sweeps.  config: JSON of every parameter; one of them is quicker as coalesce(own ->> X, base ->> X).
CREATE VIEW visible_job AS
  SELECT job.id AS job, job.*, json_patch(sweep.base, job.own) AS config, sweep.base, sweep.name AS sweep_name, sweep.metric, sweep.goal
  FROM job JOIN sweep ON sweep.id = job.sweep WHERE sweep.state = 'active';

-- The epochs that count: of each (job, epoch) the highest attempt's row, so a repeated epoch counts once.
CREATE VIEW counted_epoch AS
  SELECT * FROM epoch AS e
  WHERE e.attempt = (SELECT max(attempt) FROM epoch WHERE job = e.job AND epoch = e.epoch);

-- One row per job: the report's table.  minutes = training + testing of the epochs that count.
CREATE VIEW results AS
  SELECT j.id AS job,
    coalesce(j.own ->> 'model', j.base ->> 'model') AS model,
    coalesce(j.own ->> 'lr', j.base ->> 'lr') AS lr,
    coalesce(j.own ->> 'scheduler', j.base ->> 'scheduler') AS scheduler,
    CASE j.state WHEN 'done' THEN e.test_accuracy END AS test_accuracy,
    CASE j.state WHEN 'done' THEN round(e.seconds / 60, 4) END AS minutes,
    CASE j.state
      WHEN 'done' THEN
        coalesce(j.reason || CASE WHEN j.attempts > 1 THEN ', ' ELSE '' END, '') ||
        CASE j.attempts WHEN 1 THEN '' WHEN 2 THEN 'resumed once' ELSE 'resumed ' || (j.attempts - 1) || ' times' END
      WHEN 'failed' THEN 'failed: ' || coalesce(j.reason, '?')
      WHEN 'running' THEN 'running, ' || coalesce(e.epoch, 0) || '/' || coalesce(j.own ->> 'epochs', j.base ->> 'epochs')
      ELSE CASE WHEN j.reason IS NULL THEN j.state
                WHEN j.reason LIKE j.state || '%' THEN j.reason -- "cancelled by uid 1000"
                ELSE j.state || ': ' || j.reason END
    END AS notes,
    j.sweep_name AS sweep,
    e.best_test_accuracy,
    e.best_test_epoch AS best_epoch
  FROM (SELECT *, (SELECT count(*) FROM attempt AS a WHERE a.job = visible_job.id) AS attempts FROM visible_job) AS j
  LEFT JOIN job_epochs AS e ON e.job = j.id
  ORDER BY j.id;

-- One row per finished job, ranked within its sweep by the sweep's metric; in that order, the index's (an ORDER BY here
-- would sort them all before the first).
CREATE VIEW leaderboard AS
  SELECT s.name AS sweep,
    row_number() OVER (PARTITION BY e.sweep ORDER BY e.cost, e.job) AS rank,
    e.job, j.swept AS config, s.metric, e.value, e.best, e.best_epoch, round(e.seconds / 60, 4) AS minutes,
    coalesce(j.own ->> 'seed', s.base ->> 'seed') AS seed
  FROM job_epochs AS e CROSS JOIN job AS j ON j.id = e.job CROSS JOIN sweep AS s ON s.id = e.sweep
  WHERE j.state = 'done' AND s.state = 'active';

-- One row per job and epoch.
CREATE VIEW curves AS
  SELECT c.job, c.epoch, c.lr, c.batch_size, c.train_loss, c.train_accuracy, c.test_loss, c.test_accuracy,
    c.train_seconds + c.test_seconds AS seconds, c.images_per_second, c.ram_mib, c.vram_mib, c.watts
  FROM counted_epoch AS c JOIN visible_job AS j ON j.id = c.job
  ORDER BY c.job, c.epoch;

-- One row per job and training step that was sampled (parameter log_steps): of each the highest attempt's, as of epochs.
CREATE VIEW steps AS
  SELECT s.job, s.epoch, s.step, s.train_loss, s.lr, s.grad_norm
  FROM step AS s JOIN visible_job AS j ON j.id = s.job
  WHERE s.attempt = (SELECT max(attempt) FROM step WHERE job = s.job AND step = s.step)
  ORDER BY s.job, s.step;

-- One row per running or waiting job, in order of start; position 0 runs, paused jobs come last and have none.
CREATE VIEW queue AS
  WITH place AS (
    SELECT 0 AS position, id AS job FROM visible_job WHERE state = 'running'
    UNION ALL
    SELECT * FROM (SELECT row_number() OVER (ORDER BY priority DESC, id), id FROM visible_job WHERE state = 'queued')
    UNION ALL
    SELECT NULL, id FROM visible_job WHERE state = 'paused')
  SELECT p.position, j.id AS job, j.sweep_name AS sweep, j.swept AS config, j.state, j.priority, a.device,
    coalesce(e.epoch, 0) AS epoch, coalesce(j.own ->> 'epochs', j.base ->> 'epochs') AS epochs,
    CASE j.state WHEN 'running' THEN
      round(e.seconds / 60 / e.epoch * (coalesce(j.own ->> 'epochs', j.base ->> 'epochs') - e.epoch), 2) END AS minutes_left,
    j.reason
  FROM place AS p CROSS JOIN visible_job AS j ON j.id = p.job
  LEFT JOIN attempt AS a ON a.job = j.id AND a.state = 'running'
  LEFT JOIN job_epochs AS e ON e.job = j.id;

-- One row per stretch of an attempt (first seconds, then half minutes): what it used.  worker/telemetry.h says what each is.
CREATE VIEW samples AS
  SELECT a.job, t.attempt, t.event, max(t.at_ms) AS at_ms,
    max(t.value) FILTER (WHERE t.name = 'seconds') AS seconds,
    max(t.value) FILTER (WHERE t.name = 'cpu_percent') AS cpu_percent,
    max(t.value) FILTER (WHERE t.name = 'ram_mib') AS ram_mib,
    max(t.value) FILTER (WHERE t.name = 'gpu_percent') AS gpu_percent,
    max(t.value) FILTER (WHERE t.name = 'vram_mib') AS vram_mib,
    max(t.value) FILTER (WHERE t.name = 'watts') AS watts,
    max(t.value) FILTER (WHERE t.name = 'joules') AS joules,
    max(t.value) FILTER (WHERE t.name = 'temperature_c') AS temperature_c,
    max(t.value) FILTER (WHERE t.name = 'sm_clock_mhz') AS sm_clock_mhz,
    max(t.value) FILTER (WHERE t.name = 'ecc_uncorrected') AS ecc_uncorrected
  FROM attempt AS a CROSS JOIN telemetry AS t ON t.attempt = a.id
  GROUP BY a.job, a.number, t.event; -- as the indices lie: a query for one job reads its own, a first page no more than that

-- One row per job that has run: what it cost.  Memory is the highest; minutes and watt_hours are of the epochs that count,
-- percentages means over time and their highest stretch of half a minute.  Job by job: its first row needs no other's.
CREATE VIEW resources AS
  SELECT j.id AS job, j.sweep_name AS sweep, coalesce(j.own ->> 'model', j.base ->> 'model') AS model,
    coalesce(j.own ->> 'batch_size', j.base ->> 'batch_size') AS batch_size,
    coalesce(j.own ->> 'use_amp', j.base ->> 'use_amp') AS use_amp,
    coalesce(j.own ->> 'use_batch_scheduler', j.base ->> 'use_batch_scheduler') AS use_batch_scheduler, j.swept AS config,
    j.state, round(e.seconds / 60, 4) AS minutes,
    (SELECT round(avg(images_per_second), 1) FROM counted_epoch WHERE job = j.id) AS images_per_second,
    nullif(max(coalesce(e.ram_mib, 0), coalesce(max(t.value) FILTER (WHERE t.name = 'ram_mib'), 0)), 0) AS ram_mib,
    nullif(max(coalesce(e.vram_mib, 0), coalesce(max(t.value) FILTER (WHERE t.name = 'vram_mib'), 0)), 0) AS vram_mib,
    (SELECT round(sum(joules) / 3600, 3) FROM counted_epoch WHERE job = j.id) AS watt_hours,
    (SELECT round(sum(watts * (train_seconds + test_seconds)) /
                  sum(train_seconds + test_seconds) FILTER (WHERE watts IS NOT NULL), 1)
     FROM counted_epoch WHERE job = j.id) AS watts,
    max(t.value) FILTER (WHERE t.name = 'watts') AS watts_max,
    round(sum(t.value * d.value) FILTER (WHERE t.name = 'cpu_percent') /
          sum(d.value) FILTER (WHERE t.name = 'cpu_percent' AND t.value IS NOT NULL), 1) AS cpu_percent,
    max(t.value) FILTER (WHERE t.name = 'cpu_percent') AS cpu_percent_max,
    round(sum(t.value * d.value) FILTER (WHERE t.name = 'gpu_percent') /
          sum(d.value) FILTER (WHERE t.name = 'gpu_percent' AND t.value IS NOT NULL), 1) AS gpu_percent,
    max(t.value) FILTER (WHERE t.name = 'gpu_percent') AS gpu_percent_max,
    max(t.value) FILTER (WHERE t.name = 'temperature_c') AS temperature_c
  FROM visible_job AS j CROSS JOIN job_epochs AS e ON e.job = j.id
  LEFT JOIN attempt AS a ON a.job = j.id
  LEFT JOIN telemetry AS t ON t.attempt = a.id
  LEFT JOIN telemetry AS d ON d.event = t.event AND d.name = 'seconds'
  GROUP BY j.id;
