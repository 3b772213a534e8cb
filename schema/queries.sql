-- Every statement with which sweepd writes (and reads while it writes), by name.  A test prepares each of them.

-- name: find_submission
SELECT id FROM sweep WHERE submission = ?1 AND state = 'active';

-- name: find_same
-- Of another data directory, if one is named, it is another sweep.
SELECT id FROM sweep WHERE hash = ?1 AND owner_uid = ?2 AND (?3 IS NULL OR data_dir IS ?3) AND state = 'active'
ORDER BY id DESC LIMIT 1;

-- name: find_expanding
SELECT id FROM sweep INDEXED BY sweep_expanding WHERE state = 'expanding' AND (submission = ?1 OR hash = ?2 AND owner_uid = ?3 AND (?4 IS NULL OR data_dir IS ?4)) LIMIT 1;

-- name: add_sweep
INSERT INTO sweep (name, project, state, metric, goal, swept, n_jobs, text, overrides, hash, submission, data_dir,
                   retries, owner_uid, note, submitted_ms, time_limit_s, wandb, file_dir, base)
VALUES (?1, ?2, 'expanding', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, nullif(?16, 0), ?17, ?18, ?19);

-- name: add_job
INSERT INTO job (sweep, position, kind, own, swept, use_wandb, state, priority, created_ms)
VALUES (?1, ?2, 'train', ?3, ?4, ?7, 'queued', ?5, ?6);

-- name: activate_sweep
UPDATE sweep SET state = 'active' WHERE id = ?1;

-- name: delete_sweep_jobs
DELETE FROM job WHERE sweep = ?1;

-- name: delete_sweep
DELETE FROM sweep WHERE id = ?1;

-- name: expanding_sweeps
SELECT id FROM sweep INDEXED BY sweep_expanding WHERE state = 'expanding';

-- name: sweep
SELECT s.name, s.n_jobs, s.owner_uid, min(j.id), max(j.id),
  sum(j.state = 'queued'), sum(j.state = 'running'), sum(j.state = 'paused'), sum(j.state = 'done'),
  sum(j.state = 'failed'), sum(j.state = 'cancelled'), sum(j.state = 'pruned')
FROM sweep AS s JOIN job AS j ON j.sweep = s.id WHERE s.id = ?1 AND s.state = 'active' GROUP BY s.id;

-- name: open_jobs
SELECT id FROM job WHERE sweep = ?1 AND state IN ('queued', 'running', 'paused') ORDER BY position;

-- name: job
SELECT j.sweep, j.state, j.priority, j.retries_used, s.retries, s.owner_uid, a.id
FROM job AS j JOIN sweep AS s ON s.id = j.sweep
LEFT JOIN attempt AS a ON a.job = j.id AND a.state = 'running'
WHERE j.id = ?1 AND s.state = 'active';

-- name: startable
SELECT j.id, j.priority, j.not_before_ms,
  (SELECT ',' || group_concat(DISTINCT device) || ',' FROM attempt WHERE job = j.id AND class IN ('oom', 'device'))
FROM job AS j JOIN sweep AS s ON s.id = j.sweep
WHERE j.state = 'queued' AND (j.not_before_ms <= ?1 OR j.not_before_ms > ?3) AND s.state = 'active'
ORDER BY j.priority DESC, j.id LIMIT ?2;

-- name: next_start
SELECT min(not_before_ms) FROM job INDEXED BY job_waiting WHERE state = 'queued' AND not_before_ms > 0 AND not_before_ms > ?1 AND not_before_ms <= ?2;

-- name: move_job
UPDATE job SET state = ?2, reason = ?3, not_before_ms = ?4, retries_used = ?5, ended_ms = ?6
WHERE id = ?1;

-- name: set_priority
UPDATE job SET priority = ?2 WHERE id = ?1;

-- name: job_config
SELECT json_patch(s.base, j.own), s.data_dir FROM job AS j JOIN sweep AS s ON s.id = j.sweep WHERE j.id = ?1;

-- name: begin_attempt
INSERT INTO attempt (job, number, worker, device, state, started_ms, started_mono_ms)
VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM attempt WHERE job = ?1), ?2, ?3, 'running', ?4, ?5);

-- name: end_attempt
UPDATE attempt SET state = ?2, class = ?3, reason = ?4, ended_ms = ?5 WHERE id = ?1 AND state = 'running';

-- name: attempt
SELECT a.job, a.worker, a.number, a.state, a.last_seq, j.sweep FROM attempt AS a JOIN job AS j ON j.id = a.job WHERE a.id = ?1;

-- name: worker_attempts
SELECT id FROM attempt INDEXED BY attempt_live WHERE worker = ?1 AND state = 'running' ORDER BY id;

-- name: add_event
INSERT INTO event (at_ms, sweep, job, attempt, seq, kind, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7);

-- name: last_event
SELECT max(id) FROM event;

-- name: advance_attempt
UPDATE attempt SET last_seq = ?2 WHERE id = ?1;

-- name: attempt_started
UPDATE attempt SET start_epoch = ?2, start_step = ?3, details = ?4 WHERE id = ?1;

-- name: add_epoch
INSERT INTO epoch (attempt, epoch, job, event, lr, batch_size, train_loss, train_accuracy, test_loss, test_accuracy,
                   train_seconds, test_seconds, images_per_second, ram_mib, vram_mib, watts, nonfinite,
                   joules)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18);

-- name: add_metric
INSERT INTO metric (attempt, epoch, name, value, nonfinite, event) VALUES (?1, ?2, ?3, ?4, ?5, ?6);

-- name: add_step
INSERT INTO step (job, step, attempt, epoch, event, train_loss, lr, grad_norm, nonfinite)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9);

-- name: add_telemetry
INSERT INTO telemetry (event, attempt, at_ms, name, value) VALUES (?1, ?2, ?3, ?4, ?5);

-- name: devices_absent
UPDATE device SET state = 'absent', reason = CASE WHEN times_aside > 0 THEN reason END;

-- name: upsert_device
INSERT INTO device (id, kind, name, state) VALUES (?1, ?2, ?3, 'ready')
ON CONFLICT (id) DO UPDATE SET name = coalesce(excluded.name, name),
  state = CASE WHEN times_aside > 0 THEN 'set_aside' ELSE 'ready' END,
  reason = CASE WHEN times_aside > 0 THEN reason END;

-- name: add_worker
INSERT INTO worker (device, pid, start_time, boot_id, state, started_ms) VALUES (?1, 0, 0, '', 'starting', ?2);

-- name: worker_started
UPDATE worker SET pid = ?2, start_time = ?3, boot_id = ?4 WHERE id = ?1;

-- name: worker_ready
UPDATE worker SET state = 'ready' WHERE id = ?1;

-- name: worker_gone
UPDATE worker SET state = 'gone', reason = ?2, ended_ms = ?3 WHERE id = ?1;

-- name: workers
SELECT id, device, pid, start_time, boot_id FROM worker INDEXED BY worker_alive WHERE state <> 'gone' ORDER BY id;

-- name: time_limit
SELECT coalesce(s.time_limit_s, 0) FROM job AS j JOIN sweep AS s ON s.id = j.sweep WHERE j.id = ?1;

-- name: attempt_began
SELECT coalesce(started_mono_ms, 0) FROM attempt WHERE id = ?1;

-- name: attempt_ran
UPDATE attempt SET seconds = ?2 WHERE id = ?1;

-- name: attempt_has_epoch
SELECT 1 FROM epoch WHERE attempt = ?1 LIMIT 1;

-- name: device_faults
SELECT count(*) FROM attempt WHERE job = ?1 AND class = 'device';

-- name: set_aside
UPDATE device SET state = 'set_aside', times_aside = ?2, reason = ?3 WHERE id = ?1;

-- name: take_back
UPDATE device SET state = 'ready', times_aside = 0, reason = NULL WHERE id = ?1;

-- name: device_aside
SELECT times_aside, reason FROM device WHERE id = ?1;

-- name: newest_attempts
SELECT a.id, a.job,
  coalesce(a.class, CASE a.state WHEN 'lost' THEN 'lost' ELSE '' END),
  EXISTS (SELECT 1 FROM epoch AS e WHERE e.attempt = a.id), coalesce(a.seconds, -1)
FROM attempt AS a CROSS JOIN job AS j ON j.id = a.job JOIN sweep AS s ON s.id = j.sweep
WHERE j.sweep = ?1 AND a.id > s.breaker_attempt AND a.state IN ('done', 'failed', 'lost') AND j.state <> 'cancelled'
ORDER BY a.id DESC LIMIT ?2;

-- name: breaker_mark
UPDATE sweep SET breaker_attempt = ?2 WHERE id = ?1;

-- name: forward_wanted
SELECT 1 FROM sweep AS s WHERE s.state = 'active' AND coalesce(s.wandb ->> 'mode', 'online') <> 'disabled'
  AND EXISTS (SELECT 1 FROM job AS j WHERE j.sweep = s.id AND j.use_wandb) LIMIT 1;

-- name: forward_run
INSERT INTO wandb_run (job, run_id, entity, project, url, phase, problem, last_event, last_epoch, history, events, output,
                       output_bytes, stopped, last_step)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
ON CONFLICT (job) DO UPDATE SET entity = excluded.entity, project = excluded.project, url = excluded.url,
  phase = excluded.phase, problem = excluded.problem, last_event = excluded.last_event, last_epoch = excluded.last_epoch,
  history = excluded.history, events = excluded.events, output = excluded.output, output_bytes = excluded.output_bytes,
  stopped = excluded.stopped, last_step = excluded.last_step
WHERE excluded.last_event >= last_event AND excluded.history >= history AND excluded.events >= events
  AND excluded.output >= output;

-- name: forward_sweep
INSERT INTO wandb_sweep (sweep, entity, project, name, node, url, state, problem)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (sweep) DO UPDATE SET entity = coalesce(excluded.entity, entity), project = coalesce(excluded.project, project),
  name = coalesce(name, excluded.name), node = coalesce(node, excluded.node), url = coalesce(excluded.url, url),
  state = coalesce(excluded.state, state), problem = excluded.problem;

-- name: wandb_online
UPDATE sweep SET wandb = json_set(wandb, '$.mode', 'online')
WHERE id = (SELECT sweep FROM job WHERE id = ?1) AND wandb ->> 'mode' = 'offline';

-- name: wandb_again
-- No url: it was written as an offline file.
DELETE FROM wandb_run WHERE job = ?1 AND (phase = 'refused' OR url IS NULL);

-- name: wandb_wants
SELECT 1 FROM job WHERE id = ?1 AND use_wandb;
