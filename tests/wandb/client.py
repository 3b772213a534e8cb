"""A small correct client of the fake server, from which tests of the server make bad ones."""
import base64
import http.client
import json

UPSERT = """mutation U($id: String, $name: String, $project: String, $entity: String, $config: JSONString,
$sweep: String, $tags: [String!]) { upsertBucket(input: {id: $id, name: $name, modelName: $project,
entityName: $entity, config: $config, sweep: $sweep, tags: $tags}) {
bucket { id name sweepName historyLineCount } inserted } }"""
FILES = """mutation F($entity: String!, $project: String!, $run: String!, $files: [String!]!) { createRunFiles(
input: {entityName: $entity, projectName: $project, runName: $run, files: $files}) { uploadHeaders
files { name uploadUrl } } }"""
SWEEP = """mutation S($id: ID, $config: String, $state: String, $project: String) { upsertSweep(input: {id: $id,
config: $config, state: $state, projectName: $project}) { sweep { id name state } } }"""


def row(step, **values):
    return json.dumps({"_step": step, "_runtime": 1.5 * step, "_timestamp": 1.8e9 + step, **values})


class Client:
    def __init__(self, fake, key=None, project="p", run="r1"):
        self.fake, self.project, self.run = fake, project, run
        self.authorization = "Basic " + base64.b64encode(f"api:{key or fake.key}".encode()).decode()
        self.connection = http.client.HTTPConnection(fake.host, fake.port, timeout=20)

    def send(self, method, path, body, **headers):
        """(status, answer); a header of None is left out."""
        given = {"Content-Type": "application/json", "User-Agent": "test", "Authorization": self.authorization,
                 **{name.replace("_", "-"): value for name, value in headers.items()}}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self.connection.request(method, path, data, {n: v for n, v in given.items() if v is not None})
            answer = self.connection.getresponse()
            text = answer.read()
        except Exception:
            self.connection.close()  # the next request opens it again
            raise
        self.headers = answer.headers
        return answer.status, json.loads(text) if text else None

    def graphql(self, query, **variables):
        return self.send("POST", "/graphql", {"query": query, "variables": variables})

    def upsert(self, **variables):
        return self.graphql(UPSERT, **{"name": self.run, "project": self.project, **variables})

    def stream(self, body, **headers):
        return self.send("POST", f"/files/tester/{self.project}/{self.run}/file_stream", body, **headers)

    def history(self, offset, *lines):
        return self.stream({"files": {"wandb-history.jsonl": {"offset": offset, "content": list(lines)}}})

    def create_files(self, *names):
        status, answer = self.graphql(FILES, entity="tester", project=self.project, run=self.run, files=list(names))
        assert status == 200, answer
        return {file["name"]: file["uploadUrl"] for file in answer["data"]["createRunFiles"]["files"]}

    def put(self, url, data, **headers):
        path = "/" + url.split("/", 3)[3]
        kind = {"x_ms_blob_type": "BlockBlob", "Authorization": None}
        return self.send("PUT", path, data, **{**kind, **headers})

    def complete(self, code=0, **more):
        return self.stream({**more, "complete": True, "exitcode": code})

    def run_state(self):
        return self.fake.state()["runs"][f"tester/{self.project}/{self.run}"]
