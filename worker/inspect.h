/* sweep-worker --weights FILE: what a file of weights holds and which networks it fits, on stdout.  sweepctl asks it, so
 * that one program reads such files.
 *
 *   {"file": "/...", "format": "pth (zip)", "bytes": 46830571, "sha256": "f37072fd...", "elements": 11689512,
 *    "tensors": [{"name": "conv1.weight", "dtype": "F32", "shape": [64, 3, 7, 7]}, ...],     in the file's order
 *    "models": [{"model": "resnet18", "stem": "imagenet", "classes": 1000}]}                 see weights_models()
 *
 * elements: of all tensors but the integer ones (num_batches_tracked). */
#pragma once

#include "common/base.h"

/* json: one line of JSON, else for people.  An exit code; what is wrong is said on stderr. */
int inspect_weights(const char *path, bool json);
