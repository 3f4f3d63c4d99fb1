#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the Debian packages of this tree, and runs lintian on them: scripts/deb.sh BASE_VERSION [DIRECTORY]
# DIRECTORY: for the packages, build/deb. BASE_VERSION: of the release that this tree becomes.
# The same commit gives the same packages, bit by bit, in every directory.
set -eu
cd "$(dirname "$0")/.."
base=$1
out=$(realpath -m "${2:-build/deb}")

# Versions of commits sort by their date, and before the release. An export has no commit, nor has a clone of
# another user, which git does not read: the newest file has the date.
if [ -e .git ] && date=$(git log -1 --format=%ct 2>/dev/null); then
	version=$(GIT_OPTIONAL_LOCKS=0 git describe --tags --exact-match --dirty 2>/dev/null | sed 's/^v//')
	if [ -z "$version" ]; then
		version=$(date -u -d "@$date" "+$base~git%Y%m%d%H%M%S").
		version+=$(GIT_OPTIONAL_LOCKS=0 git describe --always --abbrev=12 --dirty --exclude '*')
	fi
else
	version=$base
	date=${SOURCE_DATE_EPOCH:-$(find . -path ./build -prune -o -type f -printf '%T@\n' | sort -n |
		tail -n 1)}
fi
version=${version/-dirty/+changed}

# What a caller of make has set is not meant for the package.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES PROFILE CC CXX EXTRA_CFLAGS EXTRA_LDFLAGS DESTDIR
# A compilers' cache may have objects of another directory, with its path in them.
export CCACHE_DISABLE=1
umask 022
mkdir -p "$out"
rm -rf "$out"/headgate*
source=$out/headgate
mkdir "$source"
tar -c --exclude=./build --exclude=./.git --exclude=__pycache__ . | tar -x -C "$source"
mv "$source/scripts/packaging/debian" "$source/debian"
sed -i "s/@build-depends@/$(scripts/deps.sh --build-depends)/" "$source/debian/control"
cat >"$source/debian/changelog" <<TEXT
headgate ($version) bookworm; urgency=medium

  * docs/changelog.md lists the changes.

 -- The headgate authors <headgate@example.org>  $(LC_ALL=C date -u -R -d "@${date%.*}")
TEXT

(
	cd "$source"
	dpkg-buildpackage --build=binary --no-sign --jobs="$(nproc)" --no-pre-clean
) >"$out/headgate.log" 2>&1 || {
	tail -n 40 "$out/headgate.log" >&2
	echo "deb.sh: the build failed; $out/headgate.log has all of it" >&2
	exit 1
}
rm -rf "$source"
lintian --tag-display-limit 0 --display-info --fail-on error,warning "$out"/headgate_*.changes
ls "$out"/*.deb
