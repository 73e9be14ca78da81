#!/usr/bin/env bash
# Builds the Debian package and prints where it is. `--quick` takes the profile of the tests instead of the release's: for trying the
# package, not for using it.
set -euo pipefail
. "$(dirname "$0")/prepare.sh" gcc=cc make=make cmake=cmake pkg-config=pkg-config libssl-dev=/usr/include/openssl/ssl.h dpkg-dev=dpkg-shlibdeps
profile=release
[ "${1:-}" != --quick ] || profile=dev
target=${CARGO_TARGET_DIR:-target}
tools=$target/tools
[ -x "$tools/bin/cargo-deb" ] || cargo install --quiet --locked --root "$tools" --target-dir "$tools/build" cargo-deb@3.8.0

built=$target/$([ "$profile" = dev ] && echo debug || echo release)
cargo build --quiet --locked --workspace --bins --example manual --profile "$profile"
mkdir -p target/package
"$built/examples/manual" target/package
gzip --best --no-name --force target/package/*.1
# The package's program is where a package puts it.
sed 's,/usr/local/bin,/usr/bin,' deploy/omnigate.service >target/package/omnigate.service
PATH=$tools/bin:$PATH cargo deb --quiet --locked --no-build --no-strip --profile "$profile" --output target/package/
