/* All kernels, as one unit: nvcc makes the module of it, the tests' host build includes it. */
#include "vocab.h"

#include "loss_row.h"
#include "source.h"
#include "tile.h"

#include "step.cu"
#include "transform.cu"

#define CELL bf16
#include "cells.h"
#undef CELL
#define CELL f16
#include "cells.h"
#undef CELL
#define CELL f32
#include "cells.h"
#undef CELL
