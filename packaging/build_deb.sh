#!/usr/bin/env bash
# Build a Debian package for this machine's Debian and architecture: build_deb.sh [FOLDER]
# All Python packages that it needs, as the lock file pins them, lie in /usr/lib/kernelsight. Needs python3-venv and dpkg-deb.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
out=$(readlink -f "${1:-$root/dist}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

python=/usr/bin/python3
minor=$("$python" -c 'import sys; print(sys.version_info.minor)')
package=$work/package
home=usr/lib/kernelsight
mkdir -p "$package/DEBIAN" "$package/usr/bin" "$package/usr/lib/systemd/system" "$package/etc/default"

"$python" -m venv "$package/$home"
pip=("$package/$home/bin/python" -m pip --quiet --disable-pip-version-check --no-cache-dir)
"${pip[@]}" install --require-hashes -r "$root/requirements-build.lock" -r "$root/requirements.lock"
"${pip[@]}" wheel --no-deps --no-build-isolation --wheel-dir "$work/wheel" "$root"
"${pip[@]}" install --no-deps "$work"/wheel/*.whl
# What only building needed, and what nobody runs, does not go in.
"${pip[@]}" uninstall --yes hatchling editables pathspec pluggy trove-classifiers
find "$package/$home/bin" -mindepth 1 ! -name 'python*' ! -name kernelsight -delete
rm -rf "${package:?}/$home/include" "${package:?}/$home/lib64"
find "$package/$home" -type d \( -name tests -o -name __pycache__ -o -name 'pip' -o -name 'pip-*' -o -name setuptools -o -name 'setuptools-*' \) \
  -prune -exec rm -rf {} +
# The environment was built elsewhere than it will lie.
grep -rlI --null "$package" "$package/$home/bin" "$package/$home/pyvenv.cfg" | xargs -0 sed -i "s#$package##g"
ln -sfn lib "$package/$home/lib64"
ln -s "/$home/bin/kernelsight" "$package/usr/bin/kernelsight"

cp "$root"/packaging/systemd/* "$package/usr/lib/systemd/system/"
cp "$root/packaging/debian/default" "$package/etc/default/kernelsight"
mkdir -p "$package/usr/share/doc/kernelsight"
cp "$root/LICENSE" "$package/usr/share/doc/kernelsight/copyright"
cp "$root"/packaging/debian/{postinst,prerm,postrm,conffiles} "$package/DEBIAN/"
chmod 0755 "$package/DEBIAN"/{postinst,prerm,postrm}
version=$("$python" -c 'import sys, tomllib; print(tomllib.load(open(sys.argv[1], "rb"))["project"]["version"])' "$root/pyproject.toml")
architecture=$(dpkg --print-architecture)
sed -e "s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/; s/@PYTHON@/3.$minor/; s/@PYTHON_NEXT@/3.$((minor + 1))/" \
  "$root/packaging/debian/control" >"$package/DEBIAN/control"
echo "Installed-Size: $(du -sk --exclude=DEBIAN "$package" | cut -f1)" >>"$package/DEBIAN/control"
dpkg-deb --root-owner-group -Zzstd --build "$package" "$out/kernelsight_${version}_$architecture.deb" >/dev/null
echo "$out/kernelsight_${version}_$architecture.deb"
