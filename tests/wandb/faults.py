"""Faults a test asks the fake W&B server for: a list of rules; the first that matches a request is used."""
import dataclasses
import random

CHANNELS = ("graphql", "file_stream", "upload")
# Each is what can befall any request; what a client must outlive without losing or doubling a line.
TRANSIENT = ({"status": 429, "retry_after": 0.05}, {"status": 500}, {"status": 502}, {"status": 503},
             {"reset": "before"}, {"reset": "after"}, {"slow_s": 0.05}, {"truncated": True}, {"malformed": True})


@dataclasses.dataclass
class Fault:
    """status: answer with it instead of serving (retry_after: seconds in Retry-After; body: of the answer).
    reset: "before" or "after" the request was applied, the connection is reset.  slow_s: the answer waits.
    truncated: applied, but the answer ends before its Content-Length.  malformed: applied, 200, but no JSON.
    stopped: applied, and the answer says stopped.  headers: added to the answer, as in {"RateLimit-Remaining": 0}.
    Which requests: channel, operation (GraphQL field, as in upsertBucket), run (its id); None: any.
    times: how often, None for ever; chance: of being used for a request that matches."""
    channel: str = None
    operation: str = None
    run: str = None
    times: int = 1
    chance: float = 1.0
    status: int = None
    retry_after: float = None
    body: object = None
    reset: str = None
    slow_s: float = 0
    truncated: bool = False
    malformed: bool = False
    stopped: bool = False
    headers: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        assert self.channel in (None, *CHANNELS) and self.reset in (None, "before", "after"), self

    def matches(self, channel, operation, run):
        return (self.times != 0 and self.channel in (None, channel) and self.operation in (None, operation)
                and self.run in (None, run))


class Faults:
    def __init__(self, seed=1):
        self.rules, self.random, self.used = [], random.Random(seed), {}

    def add(self, **members):
        self.rules.append(Fault(**members))
        return self.rules[-1]

    def add_random(self, chance, kinds=TRANSIENT, **members):
        """Every request meets one of these with this chance."""
        for kind in kinds:
            self.add(times=None, chance=chance / len(kinds), **kind, **members)

    def clear(self):
        self.rules = []

    def take(self, channel, operation=None, run=None):
        for rule in self.rules:
            if rule.matches(channel, operation, run) and self.random.random() < rule.chance:
                if rule.times is not None:
                    rule.times -= 1
                kind = next((f"{name} {value}" for name, value in vars(rule).items()
                             if name in ("status", "reset", "slow_s", "truncated", "malformed", "stopped", "headers")
                             and value), "none")
                self.used[kind] = self.used.get(kind, 0) + 1
                return rule
        return None
