/* Who asked for something, as reasons say it. */
#pragma once

#include "common/base.h"

#include <sys/types.h>

#define WANDB_UID ((uid_t)-2) /* no user's: somebody pressed a button in a page of Weights & Biases */

#define WHO_MAX 24
/* "uid 1000", "W&B".  Returns buf. */
static inline const char *who_text(uid_t uid, char *buf)
{
	if (uid == WANDB_UID)
		snprintf(buf, WHO_MAX, "W&B");
	else
		snprintf(buf, WHO_MAX, "uid %u", (unsigned)uid);
	return buf;
}
