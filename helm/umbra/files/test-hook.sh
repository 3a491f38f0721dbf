# The preStop hook, where there is no hub: it must end in time, with exit code 0, say why in the termination log, and (where it is to
# tell a scale-down from a restart) get an answer of the API server.
set -eu
SECONDS=0
said=$(umbra drain --prestop)
echo "$said"
[ "$SECONDS" -le 15 ] || { echo "it took $SECONDS s" >&2; exit 1; }
case $said in *"does not tell"*) echo "the service account may not look at its StatefulSet" >&2; exit 1 ;; esac
grep -q "^preStop: " "${UMBRA_TERMINATION_LOG:-/dev/termination-log}"
