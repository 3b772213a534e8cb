"""Run with W&B's packages: logs a run as a person's script would, from $WITNESS, a JSON file of what to log."""
import json
import os

import wandb

with open(os.environ["WITNESS"], encoding="utf-8") as file:
    what = json.load(file)
run = wandb.init(**what["init"], settings=wandb.Settings(x_disable_stats=True, console="off", silent=True))
for name, options in what["metrics"]:
    run.define_metric(name, **options)
for row in what["rows"]:
    run.log({key: value for key, value in row.items() if key[0] != "_"}, step=row["_step"])
run.finish(exit_code=what["exitcode"])
