#!/usr/bin/env bash
# Starts a fresh server, measures it beside the budgets, and then drives Redis with the same scripts but without Sluice
# around them, so that both are measured in one go. Arguments go to "sluice bench".
set -euo pipefail
data=$(mktemp -d)
server=
stop() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null && wait "$server" || true; fi
  rm -rf "$data"
}
trap stop EXIT
export SLUICE_DATA_DIR=$data
SLUICE_LISTEN=127.0.0.1:18080 SLUICE_METRICS_LISTEN=off SLUICE_EGRESS_ALLOW=127.0.0.0/8 SLUICE_EGRESS_ALLOW_HTTP=true ./bin/sluice serve 2>"$data/log" &
server=$!
for _ in $(seq 100); do
  [ -s "$data/default-key" ] && curl -sf http://127.0.0.1:18080/readyz >/dev/null && break
  sleep 0.1
done
operator=$(<"$data/operator-key")
curl -sfu "$operator:" -X PUT http://127.0.0.1:18080/v1/tenants/other -d '{}' >/dev/null
other=$(curl -sfu "$operator:" http://127.0.0.1:18080/v1/tenants/other/keys -d '{}' | sed 's/.*"key":"\([^"]*\)".*/\1/')
status=0
./bin/sluice bench --url http://127.0.0.1:18080 --server-pid "$server" --other-key "$other" "$@" || status=$?
stop
server=
echo
echo "The scripts alone, in pipelines, and the same work through the store (redis-ms/1000: CPU of Redis):"
go test ./queues -run '^$' -bench BareAndStore -benchtime 100000x
exit "$status"
