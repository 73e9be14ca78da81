# Sourced by demo.sh and test.sh: goes to the checkout and installs what is missing. Needs Debian (or a descendant) and Rust.
# usage: . prepare.sh PACKAGE=COMMAND-OR-FILE ...

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

have() {
    case $1 in
        /*) [ -e "$1" ] ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

missing=()
for need in "$@"; do
    have "${need#*=}" || missing+=("${need%%=*}")
done
if [ ${#missing[@]} -gt 0 ]; then
    install="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    if ! command -v apt-get >/dev/null; then
        echo "Please install what these Debian packages hold, and run this again: ${missing[*]}" >&2
        exit 1
    elif [ "$(id -u)" = 0 ]; then
        echo "Installing what is missing: ${missing[*]}"
        export DEBIAN_FRONTEND=noninteractive
        sh -c "$install" || exit 1
    elif sudo -n true 2>/dev/null; then
        echo "Installing what is missing, with sudo: ${missing[*]}"
        sudo sh -c "DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND; $install" || exit 1
    else
        echo "sudo sh -c '$install'"
        echo "The line above installs what is missing; please run it, and then this again." >&2
        exit 1
    fi
fi
if ! command -v cargo >/dev/null; then
    echo "Rust is missing: install it with rustup, then run this again." >&2
    exit 1
fi
