#!/usr/bin/env bash
# Builds omnigate and runs its demo: a broker, a virtual dongle and three virtual meters, all inside the one program. Ctrl-C ends it.
# Arguments go to `omnigate demo`, for example: deploy/demo.sh --seconds 10
set -euo pipefail
. "$(dirname "$0")/prepare.sh" gcc=cc make=make cmake=cmake pkg-config=pkg-config libssl-dev=/usr/include/openssl/ssl.h
cargo build --locked --bin omnigate
exec "${CARGO_TARGET_DIR:-target}/debug/omnigate" demo "$@"
