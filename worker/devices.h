/* sweep-worker --devices: what this machine could train on and, where it does not, why not.  sweepd and sweepctl doctor ask
 * it in a process of its own, so that no fault of a vendor's library is theirs.
 *
 *   {"backends": ["ref", "cpu"],
 *    "devices": [{"id": "cpu", "kind": "cpu", "name": "AMD EPYC ...", "trains": true, "reason": null,
 *                 "amp": "bf16", "library": "onednn", "version": "2.6.3"},
 *                {"id": "GPU-8a...", "kind": "cuda", "name": "NVIDIA H200", "trains": false, "reason": "this build ...",
 *                 "in_use": "by another worker (pid 7, sweep-worker)" or null (a worker waits until that one ends),
 *                 "index": 0, "instance": null, "sm": 90, "memory_bytes": 150754820096, "memory_used_bytes": 0}],
 *    "nvml": {"driver": "580.159.03", "problem": null},       problem: why GPUs were not looked for; no driver is none
 *    "cuda": {"built": true, "driver": {"cuda": "13.0", "problem": null},
 *             "cudnn": {"version": "9.19.0", "path": "...", "problem": null}},
 *    "libraries": [...]}                                         see cuda/libraries.h
 *
 * A GPU that is cut into MIG instances is listed, does not train, and its instances follow.  id is what --device takes;
 * "" where a GPU cannot even be asked for it. */
#pragma once

#include "common/json.h"

json_t *devices_find(void);
/* The same for people. */
void devices_print(const json_t *devices, FILE *out);
