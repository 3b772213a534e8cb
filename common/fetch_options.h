/* The keys of fetch_options.def. */
#pragma once

enum fetch_option {
	FETCH_OPTION_BASE = 512, /* above every printable key and sweepctl's common ones */
#define FETCH_OPTION(id, name, arg, help) FETCH_OPTION_##id,
#include "fetch_options.def"
#undef FETCH_OPTION
};
