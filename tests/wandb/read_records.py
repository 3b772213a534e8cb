"""Run with W&B's packages: prints every record of a .wandb file as a line of JSON, read by W&B's own reader."""
import json
import sys

from google.protobuf.json_format import MessageToDict
from google.protobuf.unknown_fields import UnknownFieldSet
from wandb.proto import wandb_internal_pb2
from wandb.sdk.internal.datastore import DataStore


def unknown(message):
    """Numbers of fields that W&B's messages do not have, at any depth."""
    found = [field.field_number for field in UnknownFieldSet(message)]
    for field, value in message.ListFields():
        if field.message_type and not field.message_type.GetOptions().map_entry:
            for each in value if hasattr(value, "__len__") else [value]:
                found += unknown(each)
    return found


store = DataStore()
store.open_for_scan(sys.argv[1])
while (data := store.scan_data()) is not None:
    record = wandb_internal_pb2.Record()
    record.ParseFromString(bytes(data))
    print(json.dumps({"num": record.num, "type": record.WhichOneof("record_type"), "unknown": unknown(record),
                      "record": MessageToDict(record, preserving_proto_field_name=True)}))
