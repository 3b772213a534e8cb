/* See graphql.h. */
#include "graphql.h"

#include "common/json.h"
#include "common/utf8.h"

#include <strings.h>

static const char viewer[] = "query Viewer{viewer{id entity username}}";

static const char upsert_bucket[] =
	"mutation "
	"UpsertBucket($id:String,$name:String,$project:String,$entity:String,$groupName:String,$description:String,"
	"$displayName:String,$notes:String,$config:JSONString,$host:String,$program:String,$jobType:String,$state:"
	"String,"
	"$sweep:String,$tags:[String!],$summaryMetrics:JSONString){upsertBucket(input:{id:$id,name:$name,modelName:$"
	"project,"
	"entityName:$entity,groupName:$groupName,description:$description,displayName:$displayName,notes:$notes,config:"
	"$config,"
	"host:$host,jobProgram:$program,jobType:$jobType,state:$state,sweep:$sweep,tags:$tags,summaryMetrics:$"
	"summaryMetrics})"
	"{bucket{id name displayName sweepName project{id name entity{id name}} historyLineCount} inserted}}";

static const char create_run_files[] =
	"mutation "
	"CreateRunFiles($entity:String!,$project:String!,$run:String!,$files:[String!]!){createRunFiles(input:{"
	"entityName:$entity,projectName:$project,runName:$run,files:$files}){runID uploadHeaders files{name "
	"uploadUrl}}}";

static const char upsert_sweep[] =
	"mutation UpsertSweep($id:ID,$config:String,$description:String,$entityName:String,$projectName:String,"
	"$state:String,$displayName:String){upsertSweep(input:{id:$id,config:$config,description:$description,"
	"entityName:$entityName,projectName:$projectName,state:$state,displayName:$displayName}){sweep{id name state "
	"project{id "
	"name entity{id name}}} configValidationWarnings}}";

static const char list_sweeps[] =
	"query Sweeps($entity:String,$project:String,$after:String){project(name:$project,entityName:$entity){id "
	"sweeps("
	"first:100,after:$after){edges{node{id name description state}} pageInfo{endCursor hasNextPage}}}}";

static const char one_sweep[] = "query SweepState($entity:String,$project:String,$sweep:String!){project(name:$project,"
				"entityName:$entity){id sweep(sweepName:$sweep){id name state}}}";

static const char sweep_runs[] =
	"query SweepRuns($entity:String,$project:String,$sweep:String!){project(name:$project,entityName:$entity){id "
	"sweep("
	"sweepName:$sweep){id state runs(first:10){edges{node{name state historyLineCount summaryMetrics}}}}}}";

/* Consumes variables. */
static char *body_of(const char *operation, const char *query, json_t *variables)
{
	autojson json_t *body =
		json_pack("{s:s, s:s, s:o}", "operationName", operation, "query", query, "variables", variables);
	INVARIANT(body, "GraphQL variables that are not UTF-8");
	return json_line(body);
}

char *graphql_viewer(void)
{
	return body_of("Viewer", viewer, json_object());
}

char *graphql_upsert_run(const json_t *variables)
{
	return body_of("UpsertBucket", upsert_bucket, json_copy((json_t *)variables));
}

char *graphql_create_files(const json_t *variables)
{
	return body_of("CreateRunFiles", create_run_files, json_copy((json_t *)variables));
}

char *graphql_upsert_sweep(const json_t *variables)
{
	return body_of("UpsertSweep", upsert_sweep, json_copy((json_t *)variables));
}

char *graphql_list_sweeps(const char *entity, const char *project, const char *after)
{
	return body_of("Sweeps", list_sweeps,
		       json_pack("{s:s?, s:s, s:s?}", "entity", entity, "project", project, "after", after));
}

char *graphql_sweep(const char *entity, const char *project, const char *name)
{
	return body_of("SweepState", one_sweep,
		       json_pack("{s:s?, s:s, s:s}", "entity", entity, "project", project, "sweep", name));
}

char *graphql_sweep_runs(const char *entity, const char *project, const char *name)
{
	return body_of("SweepRuns", sweep_runs,
		       json_pack("{s:s?, s:s, s:s}", "entity", entity, "project", project, "sweep", name));
}

static void set_message(struct graphql_answer *a, const char *text)
{
	if (a->message || !text)
		return;
	a->message = xasprintf("%.300s", text);
	utf8_clean(a->message);
}

static void take_error(struct graphql_answer *a, const json_t *error)
{
	const char *code = json_str_or(json_object_get(error, "extensions"), "code", "");
	const char *message = json_is_string(error) ? json_string_value(error) : json_str_or(error, "message", NULL);
	a->errors = true;
	set_message(a, message);
	if (str_eq(code, "PERMISSION_ERROR") || str_eq(code, "UNAUTHENTICATED") || str_eq(code, "FORBIDDEN") ||
	    (message && strcasestr(message, "permission denied")))
		a->permission = true;
}

void graphql_read(struct graphql_answer *ret, const char *body, size_t size)
{
	size_t i;
	json_t *error;
	*ret = (struct graphql_answer){0};
	autojson json_t *o = json_parse(body, size, NULL);
	if (!json_is_object(o)) {
		ret->errors = true;
		return;
	}
	json_array_foreach(json_object_get(o, "errors"), i, error) take_error(ret, error);
	if (json_object_get(o, "error"))
		take_error(ret, json_object_get(o, "error"));
	json_t *data = json_object_get(o, "data");
	ret->data = json_is_object(data) ? json_incref(data) : NULL;
	ret->errors = ret->errors || !ret->data;
}

void graphql_fini(struct graphql_answer *a)
{
	json_decref(a->data);
	free(a->message);
	*a = (struct graphql_answer){0};
}

json_t *graphql_at(const struct graphql_answer *a, const char *const *path)
{
	json_t *at = a->data;
	for (size_t i = 0; path[i]; i++)
		at = json_object_get(at, path[i]);
	return at;
}

const char *graphql_text(const struct graphql_answer *a, const char *const *path)
{
	return json_string_value(graphql_at(a, path));
}
