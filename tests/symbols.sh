#!/bin/sh
# symbols.sh ARCHIVE...: the parts of the worker define no global name twice.  An archive hides that: which of two functions
# of one name a program gets depends on the order of the linker's arguments.  Prints each name and who has it.
twice=$(for archive in "$@"; do
	nm -g --defined-only "$archive" 2>/dev/null | awk -v archive="${archive##*/}" '
		/:$/ {object = $1}
		NF == 3 && $2 ~ /^[A-Z]$/ && $2 !~ /^[WVU]$/ {print $3, archive "(" object ")"}'
done | sort | awk '$1 == name && $2 != where {print name ": " where " " $2} {name = $1; where = $2}')
[ -z "$twice" ] && echo "no global name twice in $# archives" && exit 0
echo "not ok: defined twice:"
echo "$twice"
exit 1
