#!/usr/bin/env bash
# Has a real Home Assistant, without a window, find the meters of a gateway at a real broker, and reads back what it made of them: try.py.
# On demand: takes a minute, at the first time ten more and a gigabyte.
#
#   deploy/home_assistant/try.sh [FOLDER]     root, debootstrap, mosquitto and the network are needed; FOLDER keeps the Debian for the next
#                                             time. OMNIGATE=FILE takes that program instead of building one.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$(mktemp -d)}
. "$here/install.sh" "$folder"

cd "$here/../.."
if [ -z "${OMNIGATE:-}" ]; then
    cargo build --quiet --locked --bin omnigate
    OMNIGATE=${CARGO_TARGET_DIR:-target}/debug/omnigate
fi
work=$(mktemp -d "$root/tmp/try.XXXXXX")
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
broker=$(free_port)

printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$broker" >"$work/mosquitto.conf"
PATH=$PATH:/usr/sbin mosquitto -c "$work/mosquitto.conf" >"$work/mosquitto.log" 2>&1 &
"$OMNIGATE" simulate --meters 4 --interval 4 >"$work/simulate.log" 2>&1 &
until port=$(grep -o -m 1 '/dev/pts/[0-9]*' "$work/simulate.log"); do sleep 0.1; done
cat >"$work/omnigate.toml" <<END
[gateway]
id = "706462169"
state_dir = "$work/state"
[driver]
path = "$port"
[mqtt]
url = "mqtt://127.0.0.1:$broker"
[page]
enabled = false
[state]
enabled = true
[home_assistant]
enabled = true
[log]
syslog = false
END
"$OMNIGATE" run --config "$work/omnigate.toml" >"$work/omnigate.log" 2>&1 &
gateway=$!

# It is inside the Debian, but sees the same network and processes.
cp "$here/try.py" "$root/tmp/"
if chroot "$root" /ha/bin/python /tmp/try.py --folder "/tmp/${work##*/}" --broker "$broker" --port "$(free_port)" --gateway "$gateway"; then
    rm -rf "$work"
else
    echo "logs are in $work" >&2
    exit 1
fi
