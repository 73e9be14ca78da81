# Sourced by check.sh and try.sh: installs Home Assistant into a Debian of its own, once. Sets `root`.
# usage: . install.sh FOLDER     FOLDER keeps the Debian for the next time; as root, with debootstrap and the network
version=2026.2.3
root=$1/debian

# It needs Python 3.13.2, newer than what stable systems have; Debian trixie has it. Its releases since 2026.3 need 3.14.
if [ ! -x "$root/ha/bin/python" ]; then
    debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates trixie "$root"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    chroot "$root" python3 -m venv /ha
fi
if [ ! -e "$root/ha/complete" ]; then
    chroot "$root" /ha/bin/pip install --quiet --no-deps "homeassistant==$version"
    # Its exact list of packages is for a whole installation and needs a compiler; these do, and it is not particular about them. It installs
    # what its integrations need when it starts, with uv; of that, here is what it cannot start without.
    chroot "$root" /ha/bin/python -c '
import json, pathlib
from importlib.metadata import requires
import homeassistant
for line in requires("homeassistant"):
    if "extra ==" not in line and not line.startswith("uv="):
        print(line.split("==")[0] if line.startswith(("lru-dict", "zeroconf")) else line)
components = pathlib.Path(homeassistant.__file__).parent / "components"
for name in ("mqtt", "frontend", "recorder", "backup"):
    print(*json.loads((components / name / "manifest.json").read_text())["requirements"], sep="\n")
print("uv")
' >"$root/packages"
    chroot "$root" /ha/bin/pip install --quiet --prefer-binary -r /packages
    touch "$root/ha/complete"
fi
