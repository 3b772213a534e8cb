"""GraphQL for the fake W&B server: documents are parsed, validated against schema.graphql and executed by graphql-core,
so an unknown field, a missing argument or a variable of the wrong type is found, and an answer has what was selected
and no more."""
import functools
import json
import logging
import pathlib

import yaml
from graphql import build_ast_schema, parse, validate
from graphql import execute as run_document
from graphql.error import GraphQLError
from graphql.type.definition import GraphQLObjectType

from records import CONSOLE, EVENTS, HISTORY, Breach, Refused, check, now, storage_id, strict_json

SCHEMA_FILE = pathlib.Path(__file__).with_name("schema.graphql")
PAGE = 500  # the server cuts longer lists off, whatever was asked for
logging.getLogger("graphql.execution.executor").disabled = True
logging.getLogger("graphql.execution.utils").disabled = True


def connection(nodes, first=None, after=None, total=True):
    start = int(after) if after else 0
    end = start + min(PAGE if first is None else first, PAGE)
    edges = [{"cursor": str(start + i + 1), "node": node} for i, node in enumerate(nodes[start:end])]
    more = {"totalCount": len(nodes)} if total else {"uploadHeaders": []}
    return {"edges": edges, **more, "pageInfo": {"endCursor": edges[-1]["cursor"] if edges else None,
                                                 "hasNextPage": end < len(nodes), "hasPreviousPage": start > 0,
                                                 "startCursor": edges[0]["cursor"] if edges else None}}


class Api:
    """Resolvers: query_*, mutation_* take (server, arguments); project_*, run_*, sweep_* take the object too."""

    def __init__(self, server):
        self.server, self.records = server, server.records

    # --- queries ---

    def query_viewer(self, **_):
        entity = self.records.entity
        teams = [{"id": storage_id("Entity", name), "name": name, "isTeam": name != entity}
                 for name in [entity, *self.records.teams]]
        return {"id": storage_id("User", entity), "admin": False, "email": f"{entity}@example.org", "entity": entity,
                "flags": "{}", "name": entity, "username": entity, "teams": connection(teams)}

    def query_serverInfo(self):
        features = [{"name": name, "isEnabled": True} for name in self.server.features]
        return {"cliVersionInfo": {"min_cli_version": "0.8.0", "max_cli_version": "99.0.0"}, "features": features,
                "exposesExplicitRunQueueAckPath": True, "latestLocalVersionInfo": None}

    def query_entity(self, name=None, **_):
        return {"id": storage_id("Entity", name or ""), "name": name, "isTeam": True, "organization": None}

    def query_project(self, name=None, entityName=None):
        entity, project = self.records.place(entityName, name)
        return {"id": storage_id("Project", project, entity), "name": project, "entityName": entity,
                "entity": self.query_entity(entity)}

    query_model = query_project

    # --- mutations ---

    def mutation_upsertBucket(self, given):
        run, inserted = self.records.upsert_run(given)
        return {"bucket": self.show_run(run), "inserted": inserted}

    def mutation_upsertModel(self, given):
        project = self.query_project(given.get("name"), given.get("entityName"))
        return {"entityName": project["entityName"], "inserted": False, "model": project, "project": project}

    def mutation_upsertSweep(self, given):
        sweep, inserted = self.records.upsert_sweep(given, yaml.safe_load)
        return {"configValidationWarnings": [], "inserted": inserted, "sweep": self.show_sweep(sweep)}

    def mutation_createRunFiles(self, given):
        run = self.records.run(given["entityName"], given["projectName"], given["runName"])
        run.promise(given["files"])
        files = [{"name": name, "uploadUrl": self.server.upload_url(run, name)} for name in given["files"]]
        return {"runID": run.id, "uploadHeaders": self.server.upload_headers, "files": files}

    def mutation_stopRun(self, given):
        found = [run for run in self.records.runs.values() if run.id == given["id"]]
        check(found, f"stopRun: no run has the id {given['id']!r}")
        found[0].stopped = True
        return {"success": True}

    def mutation_notifyScriptableRunAlert(self, given):
        self.records.run(given["entityName"], given["projectName"], given["runName"])
        self.records.alerts.append(given)
        return {"success": True}

    # --- objects ---

    def show_run(self, run):
        behind = self.records.stale_by
        fields = run.fields
        return {"object": run, "id": run.id, "name": run.name, "createdAt": run.created, "state": run.state,
                "commit": fields.get("commit"), "description": fields.get("description"),
                "displayName": fields["displayName"], "group": fields.get("groupName"), "host": fields.get("host"),
                "jobType": fields.get("jobType"), "notes": fields.get("notes"), "tags": fields["tags"],
                "sweepName": fields.get("sweep"), "exitcode": run.exitcode, "heartbeatAt": run.heartbeat_at,
                "stopped": run.stopped, "shouldStop": run.stopped, "fileCount": len(run.files),
                "historyLineCount": max(0, len(run.lines[HISTORY]) - behind),
                "eventsLineCount": max(0, len(run.lines[EVENTS]) - behind),
                "logLineCount": max(0, len(run.lines[CONSOLE]) - behind),
                "historyTail": json.dumps(run.lines[HISTORY][-1:]), "eventsTail": json.dumps(run.lines[EVENTS][-1:])}

    def show_sweep(self, sweep):
        config = yaml.safe_load(sweep.config)
        return {"object": sweep, "id": sweep.id, "name": sweep.name, "bestLoss": None, "config": sweep.config,
                "createdAt": sweep.created, "method": config["method"], "state": sweep.state,
                "runCount": len(self.records.runs_of(sweep)),
                **{key: sweep.fields.get(key) for key in ("description", "displayName", "controller", "scheduler")}}

    def runs_in(self, project, names=None):
        return [run for (e, p, _), run in sorted(self.records.runs.items())
                if (e, p) == (project["entityName"], project["name"]) and (not names or run.name in names)]

    def project_bucket(self, project, name, missingOk=False):
        run = self.records.runs.get((project["entityName"], project["name"], name))
        if not run and not missingOk:
            raise Refused(404, f"run {name} not found", "NOT_FOUND")
        return self.show_run(run) if run else None

    def project_run(self, project, name):
        return self.project_bucket(project, name)

    def project_runs(self, project, first=None, after=None, names=None, **_):
        return connection([self.show_run(run) for run in self.runs_in(project, names)], first, after)

    def project_totalRuns(self, project):
        return len(self.runs_in(project))

    def project_sweep(self, project, sweepName):
        sweep = self.records.sweeps.get((project["entityName"], project["name"], sweepName))
        if not sweep:
            raise Refused(404, f"sweep {sweepName} not found", "NOT_FOUND")
        return self.show_sweep(sweep)

    def project_sweeps(self, project, first=None, after=None, **_):
        place = project["entityName"], project["name"]
        found = [sweep for key, sweep in self.records.sweeps.items() if key[:2] == place]
        return connection([self.show_sweep(sweep) for sweep in found], first, after)

    def run_config(self, run, keys=None):
        return json.dumps({k: v for k, v in run["object"].config.items() if keys is None or k in keys})

    def run_wandbConfig(self, run, keys=None):
        value = run["object"].config.get("_wandb", {}).get("value", {})
        return json.dumps({k: v for k, v in value.items() if keys is None or k in keys})

    def run_summaryMetrics(self, run, keys=None):
        text = run["object"].summary
        if keys is None or text is None:
            return text
        return json.dumps({k: v for k, v in json.loads(text).items() if k in keys})

    def run_project(self, run):
        return self.query_project(run["object"].project, run["object"].entity)

    def run_sweep(self, run):
        return self.project_sweep(self.run_project(run), run["sweepName"]) if run["sweepName"] else None

    def run_files(self, run, first=None, after=None, names=None):
        owner = run["object"]
        for name in names or []:  # older clients ask for the places of files that are to be
            owner.promise([name])
        files = [{"id": storage_id("File", owner.name, name), "name": name, "md5": None,
                  "sizeBytes": len(owner.files.get(name, b"")), "directUrl": self.server.upload_url(owner, name),
                  "url": self.server.upload_url(owner, name)} for name in names or sorted(owner.files)]
        return connection(files, first, after, total=False)

    def sweep_project(self, sweep):
        return self.query_project(sweep["object"].project, sweep["object"].entity)

    def sweep_runs(self, sweep, first=None, after=None, **_):
        return connection([self.show_run(run) for run in self.records.runs_of(sweep["object"])], first, after)


def parse_json_string(value):
    check(isinstance(value, str), f"GraphQL variables: {value!r} stands where a JSONString should")
    try:
        strict_json(value)
    except ValueError as e:
        raise Breach(f"GraphQL variables: a JSONString that is not JSON ({e}): {value[:200]!r}") from e
    return value


def build(api):
    """The schema with its resolvers."""
    schema = build_ast_schema(parse(SCHEMA_FILE.read_text()))
    schema.get_type("String").parse_value = lambda value: value if isinstance(value, str) else None  # 5 is no string
    for name in ("DateTime", "Duration", "Int64", "JSON", "JSONString"):
        scalar = schema.get_type(name)
        parser = parse_json_string if name == "JSONString" else lambda value: value
        scalar.serialize, scalar.parse_value = lambda value: value, parser
        scalar.parse_literal = lambda node: getattr(node, "value", None)
    for kind in ("Query", "Mutation", "Project", "Run", "Sweep"):
        object_type = schema.get_type(kind)
        assert isinstance(object_type, GraphQLObjectType)
        for name, field in object_type.fields.items():
            method = getattr(api, f"{kind.lower()}_{name}", None)
            if method and kind == "Query":
                field.resolver = functools.partial(lambda method, _root, _info, **args: method(**args), method)
            elif method and kind == "Mutation":
                field.resolver = functools.partial(lambda method, _root, _info, input: method(input), method)
            elif method:
                field.resolver = functools.partial(lambda method, node, _info, **args: method(node, **args), method)
    return schema


class Executor:
    def __init__(self, server):
        self.api = Api(server)
        self.schema = build(self.api)
        self.validated = {}

    def document(self, query):
        """The parsed document; Breach if it is not valid for the schema."""
        if query not in self.validated:
            try:
                document = parse(query)
            except GraphQLError as e:
                raise Breach(f"GraphQL syntax: {e}") from e
            errors = validate(self.schema, document)
            check(not errors, f"GraphQL: {'; '.join(str(e) for e in errors)} in {query[:300]}")
            self.validated[query] = document
        return self.validated[query]

    def operation(self, query, name=None):
        """What a request does, for faults and counts: the first field of its operation."""
        for definition in self.document(query).definitions:
            if hasattr(definition, "operation") and (not name or (definition.name and definition.name.value == name)):
                return definition.selection_set.selections[0].name.value
        raise Breach(f"GraphQL: no operation {name!r}")

    def execute(self, query, variables, name=None):
        """(status, answer) of a request; Breach if it broke a rule."""
        try:
            result = run_document(self.schema, self.document(query), variable_values=variables, operation_name=name)
        except GraphQLError as e:
            raise Breach(f"GraphQL variables: {e}") from e
        if not result.errors:
            return 200, {"data": result.data}
        status, errors = 200, []
        for error in result.errors:
            cause = getattr(error, "original_error", error)
            if isinstance(cause, Breach):
                raise cause
            if not isinstance(cause, Refused):
                raise Breach(f"GraphQL: {error}") from cause
            status = cause.status
            errors.append({"message": str(cause), "path": error.path, "extensions": {"code": cause.code}})
        return status, {"errors": errors, "data": result.data}


__all__ = ["Executor", "now"]
