/* Files of weights that a person has: sweepctl weights inspect and import.  What is in them says sweep-worker, which alone
 * reads them (worker/inspect.h). */
#pragma once

#include "ctl/stock.h"

int weights_inspect(struct ctl *ctl, const struct stock_input *input);
int weights_import(struct ctl *ctl, const struct stock_input *input);
