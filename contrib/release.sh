#!/bin/bash
# Makes what a release consists of, from the last commit: the tarball, the source packages and the
# packages for Debian 12 and 13, the recipes for other systems, and the sums of all of them.
#
#   contrib/release.sh [FOLDER]                  FOLDER, new or empty, or build/release-VERSION
#   contrib/release.sh --uncommitted [FOLDER]    from the files as they stand, for the tests
#
# The same commit gives the same bytes, as long as Debian's compilers stay the same. Each package is
# built in a root of its release (tests/debian.sh), so it needs root; others use contrib/package.sh,
# which builds for the release that it runs on.

set -u
clean=yes
[ "${1:-}" = --uncommitted ] && clean= && shift
folder=${1:+$(realpath -m "$1")}
cd "$(dirname "$0")/.." || exit 1
. contrib/packages.sh
suites=(bookworm trixie)

die() {
    echo "contrib/release.sh: $*" >&2
    exit 1
}

# Collects from build/debian what contrib/package.sh made; the two tarballs must be one.
collect() {
    local suite file
    for suite in "${suites[@]}"; do
        for file in build/debian/"$suite"/ghlogfs[-_]*.{tar.gz,tar.xz,dsc,deb}; do
            if [ -e "$folder/${file##*/}" ]; then
                cmp "$file" "$folder/${file##*/}" || return 1
            fi
            cp -P "$file" "$folder/" || return 1
        done
    done
    cp contrib/rpm/ghlogfs.spec contrib/arch/PKGBUILD "$folder/"
}

[ "$(id -u)" -eq 0 ] || die "the roots of Debian's releases can be made by root only"
packages_need git debootstrap util-linux || exit 1 # before two need them at the same time
[ -z "$clean" ] || [ -z "$(git status --porcelain)" ] || die "there are uncommitted changes"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) || exit 1
export SOURCE_DATE_EPOCH
version=$(sed -n 's/^project(ghlogfs VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
[ -n "$folder" ] || { folder=$PWD/build/release-$version && rm -rf "$folder"; }
mkdir -p "$folder" || exit 1
[ -z "$(ls -A "$folder")" ] || die "$folder is not empty"

# Each release on its own, so that one waits for its packages while the other one compiles.
declare -A running=()
for suite in "${suites[@]}"; do
    echo "Building for $suite."
    rm -rf "build/debian/$suite"
    tests/debian.sh "$suite" contrib/package.sh /ghlogfs/out >"$folder/$suite.log" 2>&1 &
    running[$suite]=$!
done
failed=
for suite in "${suites[@]}"; do
    wait "${running[$suite]}" || { failed=yes && tail -n 40 "$folder/$suite.log"; }
done
[ -z "$failed" ] || die "a build failed; the logs are $folder/*.log"
collect || die "the packages could not be collected"
(cd "$folder" && sha256sum -- *.tar.gz *.tar.xz *.dsc *.deb ghlogfs.spec PKGBUILD >SHA256SUMS) ||
    exit 1
echo "The release is in $folder:"
cat "$folder/SHA256SUMS"
