"""What the fake W&B server holds, and the rules it holds its clients to.  No network here: the server calls in under
its lock and answers with what comes back.

A breach of a rule raises Breach: it is remembered in Records.violations (every test asserts that there are none), and
the client is refused with 400.  Refused raises no such alarm: it is what a correct client may meet (no such project,
permission denied)."""
import base64
import datetime
import hashlib
import json
import string

HISTORY, EVENTS, SUMMARY, CONSOLE = "wandb-history.jsonl", "wandb-events.jsonl", "wandb-summary.json", "output.log"
MAX_LINE_BYTES = 10 * 1024 * 1024 - 100 * 1024
MAX_REQUEST_BYTES = 10 * 1024 * 1024
STREAM_KEYS = {"files", "uploaded", "preempting", "complete", "exitcode", "failed", "dropped"}
SWEEP_STATES = {"PENDING", "RUNNING", "PAUSED", "FINISHED", "CANCELED", "CRASHED"}
SWEEP_KEYS = {"method", "parameters", "metric", "metrics", "early_terminate", "run_cap", "name", "description",
              "program", "command", "project", "entity", "controller", "scheduler", "job", "image_uri",
              "kind", "apiVersion"}
PARAMETER_KEYS = {"value", "values", "distribution", "min", "max", "mu", "sigma", "q", "a", "b", "probabilities",
                  "parameters"}


class Breach(Exception):
    """A client broke the protocol."""


class Refused(Exception):
    def __init__(self, status, message, code=None):
        super().__init__(message)
        self.status, self.code = status, code


def check(truth, text):
    if not truth:
        raise Breach(text)


def no_constant(name):
    raise ValueError(f"{name} is not JSON")


def no_duplicates(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a key twice among {keys}")
    return dict(pairs)


def strict_json(data):
    """JSON as its standard has it: UTF-8, no NaN, no key twice."""
    text = data.decode() if isinstance(data, bytes) else data
    return json.loads(text, parse_constant=no_constant, object_pairs_hook=no_duplicates)


def line_json(text, what):
    """A line of a file: an object in which NaN, Infinity and -Infinity may stand bare."""
    try:
        value = json.loads(text, object_pairs_hook=no_duplicates)
    except ValueError as e:
        raise Breach(f"{what} is not JSON ({e}): {text[:200]!r}") from e
    check(isinstance(value, dict), f"{what} is no object: {text[:200]!r}")
    return value


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def storage_id(*names):
    return base64.b64encode(":".join(names).encode()).decode()


class Run:
    def __init__(self, records, entity, project, name):
        self.records, self.entity, self.project, self.name = records, entity, project, name
        self.id = storage_id("Run", "v1", name, project, entity)
        self.fields = {"displayName": name, "tags": []}
        self.config, self.state, self.created = {}, "running", now()
        self.lines = {HISTORY: [], EVENTS: [], CONSOLE: []}
        self.summary, self.exitcode, self.complete, self.preempting = None, None, False, False
        self.stopped, self.reopened, self.upserts, self.heartbeats, self.heartbeat_at = False, 0, 0, 0, None
        self.promised, self.files, self.listed = set(), {}, set()
        self.in_flight = []  # requests being served; more than one is a breach, see begin()

    def __str__(self):
        return f"run {self.entity}/{self.project}/{self.name}"

    # --- UpsertBucket ---

    def upsert(self, given):
        self.upserts += 1
        for key in ("displayName", "groupName", "jobType", "host", "notes", "description", "commit", "jobProgram",
                    "jobRepo", "tags", "sweep"):
            if given.get(key) is not None:
                self.fields[key] = given[key]
        if self.fields.get("sweep"):
            check((self.entity, self.project, self.fields["sweep"]) in self.records.sweeps,
                  f"{self} names sweep {self.fields['sweep']!r}, which does not exist")
        if given.get("config") is not None:
            self.config = strict_json(given["config"])
            check(isinstance(self.config, dict), f"{self}: config is no object")
            for key, value in self.config.items():
                check(isinstance(value, dict) and "value" in value and value.keys() <= {"value", "desc"},
                      f"{self}: config key {key!r} is not wrapped in {{\"value\": ...}}: {value!r}")
        if given.get("summaryMetrics") is not None:
            line_json(given["summaryMetrics"], f"{self}: summaryMetrics")
            self.summary = given["summaryMetrics"]
        if self.complete:
            self.reopened += 1
            self.complete, self.exitcode = False, None
        self.state = given.get("state") or "running"

    # --- file_stream ---

    def begin(self, request):
        """request: something whose is_gone() tells that its client has hung up."""
        self.in_flight = [other for other in self.in_flight if not other.is_gone()]
        self.in_flight.append(request)
        check(len(self.in_flight) == 1, f"{self}: {len(self.in_flight)} file_stream requests in flight at once")

    def end(self, request):
        if request in self.in_flight:
            self.in_flight.remove(request)

    def stream(self, body):
        """Applies a file_stream request; checked as a whole before anything is changed."""
        check(isinstance(body, dict), f"{self}: file_stream body is no object")
        check(body.keys() <= STREAM_KEYS, f"{self}: unknown keys {sorted(body.keys() - STREAM_KEYS)} in file_stream")
        files = body.get("files", {})
        check(isinstance(files, dict), f"{self}: files is no object")
        changes = {name: self.check_file(name, chunk) for name, chunk in files.items()}
        summary = changes.pop(SUMMARY, None)
        fresh = any(offset + len(content) > len(self.lines[name]) for name, (offset, content) in changes.items())
        uploaded = body.get("uploaded", [])
        check(isinstance(uploaded, list) and all(isinstance(n, str) for n in uploaded), f"{self}: uploaded is no list")
        for name in uploaded:
            check(name in self.files, f"{self}: {name!r} is listed as uploaded, but was not")
        for flag in ("complete", "preempting"):
            check(isinstance(body.get(flag, False), bool), f"{self}: {flag} is no boolean")
        self.check_end(body, fresh or (summary is not None and summary[1][0] != self.summary))
        for name, (offset, content) in changes.items():
            self.lines[name][offset:offset + len(content)] = content
        if summary is not None:
            self.summary = summary[1][0]
        self.listed |= set(uploaded)
        self.preempting = self.preempting or body.get("preempting", False)
        self.heartbeats += not files
        self.heartbeat_at = now()
        if body.get("complete"):
            self.complete, self.exitcode = True, body["exitcode"]
            self.state = "finished" if self.exitcode == 0 else "preempted" if self.preempting else "failed"
            if self.stopped and self.exitcode != 0:
                self.state = "killed"
        elif not self.complete:
            self.state = "preempting" if self.preempting else "running"

    def check_end(self, body, fresh):
        if body.get("complete"):
            code = body.get("exitcode")
            check(isinstance(code, int) and not isinstance(code, bool), f"{self}: complete with exitcode {code!r}")
            listed = self.files if self.records.lenient else self.listed | set(body.get("uploaded", []))
            missing = self.promised - set(listed)
            check(not missing, f"{self}: complete before {sorted(missing)} are uploaded and listed")
        if self.complete:  # what was lost with an answer may be said again, and changes nothing
            check(body.get("complete") and body["exitcode"] == self.exitcode and not fresh,
                  f"{self}: a request after complete: {json.dumps(body)[:300]}")

    def check_file(self, name, chunk):
        what = f"{self}: {name}"
        check(name in self.lines or name == SUMMARY, f"{what}: a file that no page reads")
        check(isinstance(chunk, dict) and chunk.keys() == {"offset", "content"}, f"{what}: not offset and content")
        offset, content = chunk["offset"], chunk["content"]
        check(isinstance(offset, int) and not isinstance(offset, bool) and offset >= 0, f"{what}: offset {offset!r}")
        check(isinstance(content, list) and content and all(isinstance(line, str) for line in content),
              f"{what}: content is no list of lines")
        for line in content:
            check(len(line.encode()) <= MAX_LINE_BYTES, f"{what}: a line of {len(line.encode())} bytes")
        if name == SUMMARY:
            check(offset == 0 and len(content) == 1, f"{what}: offset {offset}, {len(content)} lines: not 0 and one")
            line_json(content[0], what)
            return offset, content
        old = self.lines[name]
        check(offset <= len(old), f"{what}: a gap: offset {offset} after {len(old)} lines")
        for i, line in enumerate(content):
            at = offset + i
            before = old[at] if at < len(old) else line
            check(before == line or (name == CONSOLE and self.records.lenient),
                  f"{what}: line {at} was {before[:300]!r}, now is {line[:300]!r}")
        self.check_lines(name, offset, content)
        return offset, content

    def check_lines(self, name, offset, content):
        if name == HISTORY:
            before = self.lines[HISTORY][offset - 1:offset] if offset else []
            steps = [self.check_history(offset + i - len(before), line) for i, line in enumerate(before + content)]
            check(all(a < b for a, b in zip(steps, steps[1:])), f"{self}: history from line {offset}: _step {steps}")
        for i, line in enumerate(content):
            if name == EVENTS:
                self.check_event(offset + i, line)
            if name == CONSOLE:
                check("\n" not in line.rstrip("\n"), f"{self}: console line {offset + i} is several")

    def check_history(self, at, line):
        row = line_json(line, f"{self}: history line {at}")
        step = row.get("_step")
        check(isinstance(step, int) and not isinstance(step, bool), f"{self}: history line {at} has _step {step!r}")
        for key in ("_runtime", "_timestamp"):
            check(is_number(row.get(key)), f"{self}: history line {at} has {key} {row.get(key)!r}")
        return step

    def check_event(self, at, line):
        row = line_json(line, f"{self}: event line {at}")
        check(row.get("_wandb") is True and is_number(row.get("_timestamp")) and is_number(row.get("_runtime")),
              f"{self}: event line {at} without _wandb, _timestamp, _runtime: {line[:200]}")
        wrong = [key for key in row if not key.startswith(("_", "system."))]
        check(not wrong, f"{self}: event line {at}: keys {wrong} do not begin with system.")

    # --- files ---

    def promise(self, names):
        check(not self.complete, f"{self}: files {names} are created after complete")
        for name in names:
            check(name and not name.startswith("/") and ".." not in name.split("/"), f"{self}: file name {name!r}")
        self.promised |= set(names)

    def put(self, name, data):
        check(name in self.promised, f"{self}: {name!r} is uploaded, but was never created")
        check(not self.complete, f"{self}: {name!r} is uploaded after complete")
        self.files[name] = data

    def dump(self):
        files = {n: {"size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in sorted(self.files.items())}
        return {"name": self.name, "entity": self.entity, "project": self.project, "id": self.id, "fields": self.fields,
                "config": self.config, "state": self.state, "exitcode": self.exitcode, "complete": self.complete,
                "preempting": self.preempting, "stopped": self.stopped, "reopened": self.reopened,
                "upserts": self.upserts, "heartbeats": self.heartbeats, "history": self.lines[HISTORY],
                "events": self.lines[EVENTS], "output": self.lines[CONSOLE], "summary": self.summary, "files": files,
                "uploaded": sorted(self.listed)}


class Sweep:
    def __init__(self, entity, project, number):
        self.entity, self.project, self.state, self.created = entity, project, "PENDING", now()
        letters = string.ascii_lowercase + string.digits
        self.name = "".join(letters[(number * 7 + i * 11) % 36] for i in range(4)) + f"{number:04d}"
        self.id = storage_id("Sweep", "v1", self.name, project, entity)
        self.config, self.fields, self.upserts = None, {}, 0

    def dump(self):
        return {"name": self.name, "entity": self.entity, "project": self.project, "id": self.id, "state": self.state,
                "config": self.config, "fields": self.fields, "upserts": self.upserts}


class Records:
    def __init__(self, entity="tester", teams=("lab",), forbidden=(), lenient=False):
        self.entity, self.teams, self.forbidden = entity, list(teams), set(forbidden)
        self.lenient = lenient  # W&B's own client rewrites console lines and lists no uploads: it may
        self.runs, self.sweeps, self.violations, self.alerts = {}, {}, [], []
        self.stale_by = 0  # how many history lines behind the server's counts are

    # --- who may ---

    def place(self, entity, project):
        """Checks that the caller may use this project."""
        entity = entity or self.entity
        if entity != self.entity and entity not in self.teams:
            raise Refused(404, f"entity {entity} not found", "NOT_FOUND")
        check(project and not set("/\\#?%:") & set(project) and len(project) <= 128, f"project name {project!r}")
        if project in self.forbidden:
            raise Refused(403, "permission denied", "PERMISSION_ERROR")
        return entity, project

    # --- runs ---

    def upsert_run(self, given):
        check(given.get("name"), "UpsertBucket without a name: a retry would make a second run")
        check(len(given["name"]) <= 128 and not set("/\\#?%:") & set(given["name"]), f"run name {given['name']!r}")
        entity, project = self.place(given.get("entityName"), given.get("modelName") or "uncategorized")
        key = (entity, project, given["name"])
        inserted = key not in self.runs
        run = self.runs.get(key) or Run(self, *key)
        check(not given.get("id") or given["id"] == run.id, f"{run}: storage id {given.get('id')!r} is another's")
        run.upsert(given)
        self.runs[key] = run
        return run, inserted

    def run(self, entity, project, name):
        run = self.runs.get((entity, project, name))
        if not run:
            self.place(entity, project)
            raise Breach(f"run {entity}/{project}/{name} was never created")
        return run

    # --- sweeps ---

    def upsert_sweep(self, given, parse_yaml):
        entity, project = self.place(given.get("entityName"), given.get("projectName"))
        inserted = not given.get("id")
        if inserted:
            check(given.get("config"), "UpsertSweep makes a sweep without a config")
            sweep = Sweep(entity, project, len(self.sweeps) + 1)
        else:
            found = [s for s in self.sweeps.values() if s.id == given["id"]]
            check(found, f"UpsertSweep: no sweep has the id {given['id']!r}")
            sweep = found[0]
        if given.get("config"):
            self.check_sweep_config(sweep, given["config"], parse_yaml)
            sweep.config = given["config"]
        if given.get("state"):
            check(given["state"] in SWEEP_STATES, f"sweep state {given['state']!r}")
            sweep.state = given["state"]
        for key in ("displayName", "description", "controller", "scheduler", "priorRunsFilters"):
            if given.get(key) is not None:
                sweep.fields[key] = given[key]
        sweep.upserts += 1
        self.sweeps[entity, project, sweep.name] = sweep
        return sweep, inserted

    def check_sweep_config(self, sweep, text, parse_yaml):
        config = parse_yaml(text)
        check(isinstance(config, dict), f"sweep config is no map: {text[:200]!r}")
        if sweep.config not in (None, text) and self.runs_of(sweep):
            raise Refused(400, "cannot reconfigure sweep which has already started")
        check(config.keys() <= SWEEP_KEYS, f"sweep config: unknown keys {sorted(config.keys() - SWEEP_KEYS)}")
        check(config.get("method") in ("grid", "random", "bayes", "custom"), f"sweep method {config.get('method')!r}")
        check(config.get("parameters") and isinstance(config["parameters"], dict), "sweep config without parameters")
        for name, parameter in config["parameters"].items():
            check(isinstance(parameter, dict) and parameter and parameter.keys() <= PARAMETER_KEYS,
                  f"sweep parameter {name!r}: {parameter!r}")
        metric = config.get("metric")
        check(metric is None or (metric.get("name") and metric.get("goal", "minimize") in ("minimize", "maximize")),
              f"sweep metric {metric!r}")
        check("controller" not in config or config["controller"].get("type") in ("local", "cloud"), "sweep controller")

    def runs_of(self, sweep):
        return [run for (e, p, _), run in self.runs.items()
                if (e, p, run.fields.get("sweep")) == (sweep.entity, sweep.project, sweep.name)]

    def dump(self):
        return {"runs": {"/".join(key): run.dump() for key, run in sorted(self.runs.items())},
                "sweeps": {"/".join(key): sweep.dump() for key, sweep in sorted(self.sweeps.items())},
                "alerts": self.alerts, "violations": self.violations}
