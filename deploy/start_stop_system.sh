#!/usr/bin/env bash
# Starts and stops the system by hand, without a service manager: the driver as a daemon, the gateway visibly in this terminal.
#
# usage: start_stop_system.sh start|stop [SETTINGS]
#
# start   starts the driver daemon, unless it runs; its FIFO is driver/IM871A_pipe below the state directory. Then runs the gateway, which
#         reads that FIFO, until Ctrl-C, `stop`, or STOP over MQTT. The driver daemon goes on and waits for the next gateway.
# stop    stops both, cleanly.
#
# SETTINGS is the file that omnigate.toml here shows; without it the one in OMNIGATE_CONFIG, or /etc/omnigate/omnigate.toml. Any user will do
# who may read it, may write to the state_dir that it names, and may open the dongle's port.
# The program is the one in OMNIGATE, otherwise `omnigate` on the PATH, otherwise the one that was built in this checkout.
set -euo pipefail

fail() {
    echo "$(basename "$0"): $1" >&2
    exit "${2:-1}"
}

# The process that holds the lock of this file, if there is one: a process writes its number there and keeps the file locked while it lives.
holder_of() {
    local process
    [ -e "$1" ] && ! flock --nonblock --shared "$1" true || return 0
    process=$(cat "$1")
    # For a moment the number may still be that of an earlier one.
    if [ -n "$(find "/proc/$process/fd" -lname "$1" -print -quit 2>/dev/null)" ]; then
        echo "$process"
    fi
}

start() {
    local process
    mkdir -p "$state/driver" 2>/dev/null || fail "$state cannot be written: name a folder of yours as state_dir in $OMNIGATE_CONFIG"

    exec 9>>"$state/driver/pid"
    if flock --nonblock 9; then
        setsid "$omnigate" driver --fifo "$fifo" </dev/null >>"$state/driver/log" 2>&1 &
        process=$!
        echo "$process" >"$state/driver/pid"
        until [ -p "$fifo" ]; do
            kill -0 "$process" 2>/dev/null || fail "the driver ended at once, see $state/driver/log"
            sleep 0.1
        done
        echo "The driver daemon is started (process $process)."
    else
        echo "The driver daemon runs (process $(holder_of "$state/driver/pid"))."
    fi

    # The driver has a copy of its own lock, and this becomes the gateway's.
    exec 9>>"$state/gateway.pid"
    flock --nonblock 9 || fail "the gateway runs already (process $(holder_of "$state/gateway.pid"))"
    echo $$ >"$state/gateway.pid"
    exec "$omnigate" run --fifo "$fifo"
}

# The lock of this file's holder is free when the process has ended.
stop() {
    local name=$1 file=$2 process
    process=$(holder_of "$file")
    if [ -z "$process" ]; then
        echo "The $name does not run."
        return
    fi
    kill -TERM "$process" || fail "the $name (process $process) cannot be stopped"
    flock --timeout 30 "$file" true || fail "the $name (process $process) has not ended within 30 seconds"
    echo "The $name is stopped."
}

[ $# -ge 1 ] && [ $# -le 2 ] || fail "usage: start_stop_system.sh start|stop [SETTINGS]" 2
export OMNIGATE_CONFIG=${2:-${OMNIGATE_CONFIG:-/etc/omnigate/omnigate.toml}}
checkout=$(cd "$(dirname "$0")/.." && pwd)
for omnigate in "${OMNIGATE:-}" "$(command -v omnigate || true)" "$checkout"/target/{release,debug}/omnigate; do
    [ -x "$omnigate" ] && break
done
[ -x "$omnigate" ] || fail "there is no omnigate: build it with 'cargo build --release --locked'"
state=$("$omnigate" check-config --state-dir) || exit 78
state=$(realpath --canonicalize-missing "$state")
fifo=$state/driver/IM871A_pipe

case $1 in
    start) start ;;
    stop)
        stop gateway "$state/gateway.pid"
        stop "driver daemon" "$state/driver/pid"
        ;;
    *) fail "usage: start_stop_system.sh start|stop [SETTINGS]" 2 ;;
esac
