#!/bin/bash
# Builds the tarball and the Debian packages of this checkout, for the Debian that it runs on.
#
#   contrib/package.sh [FOLDER]
#
# FOLDER (build/package) gets ghlogfs-VERSION.tar.gz, the source package, ghlogfs_*.deb, the debug
# symbols, and what lintian reads. The same files give the same bytes on the same release, in any
# folder: all dates are SOURCE_DATE_EPOCH, or else that of the last commit, or where there is no
# git that of contrib/debian/changelog. Missing packages are installed.
# DEB_BUILD_OPTIONS=nocheck leaves out the unit tests.

set -u
folder=${1:+$(realpath -m "$1")}
cd "$(dirname "$0")/.." || exit 1
. contrib/packages.sh
export LC_ALL=C.UTF-8
umask 022

die() {
    echo "contrib/package.sh: $*" >&2
    exit 1
}

# What belongs to the sources: what git knows of, or all that is not built where there is no git.
source_files() {
    if [ -e .git ]; then
        git ls-files -z --cached --others --exclude-standard
    else
        find . \( -path ./build -o -name __pycache__ \) -prune -o -type f -printf '%P\0'
    fi | LC_ALL=C sort -z
}

date_of_sources() {
    if [ -e .git ]; then
        git log -1 --format=%ct
    else
        dpkg-parsechangelog -l contrib/debian/changelog -S Timestamp
    fi
}

# One .deb for each release, since they have different libraries: the suffix makes the later
# release's the higher version, and both lower than the version itself.
release_suffix() {
    (. /etc/os-release && [ -n "${VERSION_ID:-}" ] && echo "~$ID$VERSION_ID")
}

make_tarball() {
    source_files | tar --null --no-recursion -T - -c --format=gnu --mtime="@$SOURCE_DATE_EPOCH" \
        --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --transform="s,^,$name/,S" |
        gzip -9n >"$work/$name.tar.gz"
    [[ ${PIPESTATUS[*]} = "0 0 0" ]]
}

# The unpacked tarball, with debian/ where dpkg-buildpackage looks for it.
unpack() {
    ln -s "$name.tar.gz" "$work/ghlogfs_$version.orig.tar.gz" &&
        tar -C "$work" -xf "$work/$name.tar.gz" &&
        cp -r contrib/debian "$work/$name/debian" &&
        sed -i "1s/)/$(release_suffix))/" "$work/$name/debian/changelog"
}

packages_need git "${packages_package[@]}" || exit 1
version=$(sed -n 's/^project(ghlogfs VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
[ -n "$version" ] || die "CMakeLists.txt names no version"
name=ghlogfs-$version
folder=${folder:-$PWD/build/package}
mkdir -p "$folder" || exit 1
: "${SOURCE_DATE_EPOCH:=$(date_of_sources)}"
export SOURCE_DATE_EPOCH

work=$(mktemp -d "$folder/work.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
make_tarball || die "the tarball could not be made"
unpack || die "the tarball could not be unpacked"
packages_need_build "$work/$name" || die "packages to build with are missing"
(cd "$work/$name" && dpkg-buildpackage -us -uc) || die "the packages could not be built"
rm -rf "${work:?}/$name"
mv -f "$work"/* "$folder/"
