#!/bin/sh
# Who may include what.  Run from the source root; prints each breach.
bad=0
allow() { # HEADER PATTERN-OF-FILES-THAT-MAY
	found=$(grep -rlE "^#include [<\"]$1" common daemon worker ctl forward --include='*.c' --include='*.h' | grep -vE "^($2)")
	[ -z "$found" ] || { echo "not ok: $1 is included by" $found; bad=1; }
}
allow 'uv\.h' 'daemon/|forward/'
allow 'sqlite3\.h' 'common/db\.c$'
allow '(oneapi/)?dnnl' 'worker/cpu/'
allow 'curl/' 'forward/'
allow 'cu(da|dnn)[a-z_]*\.h' 'worker/cuda/'
allow 'daemon/' 'daemon/'
allow 'forward/' 'forward/'
allow 'worker/' 'worker/'
allow 'ctl/' 'ctl/'
allow 'common/db\.h' 'common/|daemon/|ctl/|forward/'
[ $bad -eq 0 ] && echo "layering holds"
exit $bad
