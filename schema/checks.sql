-- What must hold in results.db at any instant (sweepctl db check).  Each query gives one sentence a breach: none.
-- To add one: a name and a query whose only column is the sentence.  A test breaks each of them once.

-- name: pages
SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok';

-- name: references
SELECT printf('row %d of %s refers to a row of %s that is not there', rowid, "table", parent) FROM pragma_foreign_key_check;

-- name: running_jobs_live
SELECT printf('job %d is running, but %d of its attempts are', j.id, count(a.id))
FROM job AS j LEFT JOIN attempt AS a ON a.job = j.id AND a.state = 'running'
WHERE j.state = 'running' GROUP BY j.id HAVING count(a.id) <> 1;

-- name: live_attempts_of_running_jobs
SELECT printf('attempt %d is running, but its job %d is %s', a.id, a.job, coalesce(j.state, 'not there'))
FROM attempt AS a LEFT JOIN job AS j ON j.id = a.job WHERE a.state = 'running' AND j.state IS NOT 'running';

-- name: live_attempts_have_workers
SELECT printf('attempt %d is running, but its worker %d is gone', a.id, a.worker)
FROM attempt AS a JOIN worker AS w ON w.id = a.worker WHERE a.state = 'running' AND w.state = 'gone';

-- name: one_outcome
SELECT printf('job %d is %s, but %d of its attempts are done', j.id, j.state, count(a.id))
FROM job AS j LEFT JOIN attempt AS a ON a.job = j.id AND a.state = 'done'
GROUP BY j.id HAVING count(a.id) <> (j.state = 'done');

-- name: attempts_numbered
SELECT printf('job %d has %d attempts, the last is number %d', job, count(*), max(number))
FROM attempt GROUP BY job HAVING count(*) <> max(number) OR min(number) <> 1;

-- name: attempts_end
SELECT printf('attempt %d is %s and has %s end', id, state, CASE WHEN ended_ms IS NULL THEN 'no' ELSE 'an' END)
FROM attempt WHERE (state = 'running') <> (ended_ms IS NULL);

-- name: jobs_end
SELECT printf('job %d is %s and has %s end', id, state, CASE WHEN ended_ms IS NULL THEN 'no' ELSE 'an' END)
FROM job WHERE (state IN ('queued', 'running', 'paused')) <> (ended_ms IS NULL);

-- name: events_without_gaps
SELECT printf('attempt %d has stored events up to %d, but %d of them are there (the highest: %d)', a.id, a.last_seq,
              count(e.id), coalesce(max(e.seq), 0))
FROM attempt AS a LEFT JOIN event AS e ON e.attempt = a.id AND e.seq IS NOT NULL
GROUP BY a.id HAVING count(e.id) <> a.last_seq OR coalesce(max(e.seq), 0) <> a.last_seq;

-- name: epochs_have_events
SELECT printf('epoch %d of attempt %d belongs to event %d, which is not of that attempt and kind', p.epoch, p.attempt, p.event)
FROM epoch AS p LEFT JOIN event AS e ON e.id = p.event AND e.attempt = p.attempt AND e.kind = 'epoch' WHERE e.id IS NULL;

-- name: epochs_of_their_job
SELECT printf('epoch %d of attempt %d is of job %d, the attempt of job %d', p.epoch, p.attempt, p.job, a.job)
FROM epoch AS p JOIN attempt AS a ON a.id = p.attempt WHERE a.job <> p.job;

-- name: epochs_without_gaps
SELECT printf('job %d has %d epochs, the last is %d', job, count(DISTINCT epoch), max(epoch))
FROM epoch GROUP BY job HAVING count(DISTINCT epoch) <> max(epoch) OR min(epoch) <> 1;

-- name: epochs_summed_up
SELECT printf('the sums of job %d are of epoch %d and %.3f s, its epochs of %d and %.3f s', c.job, coalesce(s.epoch, 0),
              coalesce(s.seconds, 0), c.epoch, c.seconds)
FROM (SELECT job, max(epoch) AS epoch, sum(coalesce(train_seconds, 0) + coalesce(test_seconds, 0)) AS seconds
      FROM counted_epoch GROUP BY job) AS c
LEFT JOIN job_epochs AS s ON s.job = c.job
WHERE s.epoch IS NOT c.epoch OR abs(s.seconds - c.seconds) > 1e-6 * c.seconds;

-- name: sweeps_whole
SELECT printf('sweep s%d has %d jobs, but was submitted with %d', s.id, count(j.id), s.n_jobs)
FROM sweep AS s LEFT JOIN job AS j ON j.sweep = s.id WHERE s.state = 'active'
GROUP BY s.id HAVING count(j.id) <> s.n_jobs OR max(j.position) <> s.n_jobs - 1;

-- name: states_in_the_log
SELECT printf('job %d is %s, but the last move in its log is to %s', j.id, j.state, coalesce(e.detail ->> 'state', '?'))
FROM job AS j
JOIN event AS e ON e.id = (SELECT max(id) FROM event WHERE job = j.id AND kind = 'state')
WHERE e.detail ->> 'state' IS NOT j.state;

-- name: retries_bounded
SELECT printf('job %d was retried %d times of %d', j.id, j.retries_used, s.retries)
FROM job AS j JOIN sweep AS s ON s.id = j.sweep WHERE j.retries_used NOT BETWEEN 0 AND s.retries;

-- name: configurations_are_json
SELECT printf('the configuration of job %d is not JSON', id) FROM job WHERE NOT json_valid(own) OR NOT json_valid(swept)
UNION ALL
SELECT printf('the base of s%d is not JSON', id) FROM sweep WHERE NOT json_valid(base);

-- name: samples_are_of_their_attempts
SELECT printf('step %d of job %d was sampled by attempt %d, which is not its', s.step, s.job, s.attempt)
FROM step AS s JOIN attempt AS a ON a.id = s.attempt WHERE a.job <> s.job;
