/* What systemd is told of a Type=notify service (sd_notify(3)); nothing where nobody listens. */
#pragma once

/* "READY=1", "STOPPING=1". */
void notify(const char *state);
