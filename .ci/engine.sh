#!/usr/bin/env bash
# A Docker engine that answers: the one that runs already, else one started here in the background.
set -euo pipefail
cd "$(dirname "$0")"
log=${GE_ENGINE_LOG:-/tmp/guided-evolution-dockerd.log}
if [ -S /var/run/docker.sock ] && timeout 10 docker version >/dev/null 2>&1; then exit 0; fi
./packages.sh docker.io iptables
# Left by an engine that was killed; a number that another process has by now would keep the new one from starting.
rm -f /var/run/docker.pid
setsid nohup dockerd >"$log" 2>&1 </dev/null &
for _ in $(seq 90); do
    timeout 10 docker version >/dev/null 2>&1 && exit 0
    sleep 1
done
tail -20 "$log" >&2
echo "the Docker engine didn't start within 90 s; its log is $log" >&2
exit 1
