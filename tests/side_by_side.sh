#!/bin/sh
# The CPU tests in two processes: what needs Ray, and beside it all the rest, whose report follows when both have ended.
# Usage: sh tests/side_by_side.sh PYTHON
set -u
export PERSE_TEST_PROCESSES=2
report=$(mktemp)
"$1" -m pytest -m "not heavy and not ray" >"$report" 2>&1 &
beside=$!
trap 'kill "$beside" 2>/dev/null; rm -f "$report"' EXIT
trap 'exit 130' INT TERM
"$1" -m pytest -m "not heavy and ray"
on_ray=$?
wait "$beside"
rest=$?
cat "$report"
[ "$on_ray" -eq 0 ] && [ "$rest" -eq 0 ]
