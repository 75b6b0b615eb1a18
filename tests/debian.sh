#!/bin/bash
# Runs a command in a bare Debian of another release, on a copy of this checkout.
#
#   tests/debian.sh SUITE COMMAND [ARGUMENT]...      tests/debian.sh trixie tests/run.sh --fast
#   tests/debian.sh --bare SUITE COMMAND [ARGUMENT]...
#
# The root is made by debootstrap from this machine's own package source. It is kept under
# GHLOGFS_ROOTS (/var/tmp/ghlogfs-roots) with the packages that the command installed, so that the
# next run is quick; deleting it is always in order. With --bare the command finds the root as
# debootstrap made it, and what it changes is thrown away. What it writes to /ghlogfs/out is in
# build/debian/SUITE. The command runs as root in namespaces of its own: its mounts and processes
# end with it. Needs root, and a kernel with FUSE for the mounts.

set -u
cd "$(dirname "$0")/.." || exit 1
. contrib/packages.sh

roots=${GHLOGFS_ROOTS:-/var/tmp/ghlogfs-roots}

die() {
    echo "tests/debian.sh: $*" >&2
    exit 1
}

# Where this machine gets its packages from. Debian's images for clouds name a file of mirrors.
package_source() {
    local uri
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' |
        head -n 1)
    case $uri in
    mirror+file:*) uri=${uri#mirror+file:} && awk '/^[^#]/ { print $1; exit }' "${uri%/}" ;;
    *) echo "$uri" ;;
    esac
}

# An interrupted debootstrap leaves no root that counts.
make_bare() {
    local suite=$1 bare=$2 source
    # Without lists (a fresh container) apt names none.
    source=$(package_source)
    [ -n "$source" ] || { apt_get update && source=$(package_source); }
    [ -n "$source" ] || die "apt-get has no package source"
    echo "Making a bare Debian ($suite) in $bare."
    rm -rf "$bare.part"
    mkdir -p "$bare.part" || return 1
    debootstrap --variant=minbase "$suite" "$bare.part" "$source" >"$bare.log" 2>&1 ||
        { tail -n 5 "$bare.log" >&2 && return 1; }
    mv "$bare.part" "$bare"
}

# Copies a bare root, which is made first where there is none yet.
copy_bare() {
    local suite=$1 root=$2
    (
        flock 9 && { [ -d "$roots/$suite.bare" ] || make_bare "$suite" "$roots/$suite.bare"; }
    ) 9>"$roots/$suite.bare.lock" || return 1
    rm -rf "$root.part"
    cp -a --reflink=auto "$roots/$suite.bare" "$root.part" && mv "$root.part" "$root"
}

# In the namespaces: mounts what a system has, and goes in.
enter() {
    local root=$1 out=$2
    shift 2
    # Copies of this machine's mounts would keep them from ending while the command runs.
    umount -alnic -t fuse.ghlogfs 2>/dev/null
    mkdir -p "$root/ghlogfs/out" &&
        mount --bind "$root" "$root" && mount -t proc proc "$root/proc" &&
        mount --rbind /sys "$root/sys" && mount --rbind /dev "$root/dev" &&
        mount -t tmpfs tmpfs "$root/tmp" && mount -t tmpfs tmpfs "$root/run" &&
        mount --bind "$out" "$root/ghlogfs/out" || return 1
    cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null
    [ -e "$root/etc/hosts" ] || echo "127.0.0.1 localhost" >"$root/etc/hosts"
    [ -L "$root/etc/mtab" ] || ln -s ../proc/self/mounts "$root/etc/mtab"
    cp /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/" 2>/dev/null
    exec env -i CI="${CI:-}" LC_ALL=C.UTF-8 HOME=/root TERM="${TERM:-dumb}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        ${SOURCE_DATE_EPOCH:+"SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH"} \
        chroot "$root" /bin/bash -c 'cd /ghlogfs/checkout && exec "$@"' bash "$@"
}

# What git knows of, as it stands here; files built in the last run stay.
copy_checkout() {
    local root=$1
    mkdir -p "$root/ghlogfs/checkout"
    find "$root/ghlogfs/checkout" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
    git ls-files -z --cached --others --exclude-standard | tar --null -T - -c |
        tar -C "$root/ghlogfs/checkout" -x || return 1
    rm -rf "$root/ghlogfs/shared"
    [ -d ../shared ] && cp -rL ../shared "$root/ghlogfs/shared"
    return 0
}

if [ "${1:-}" = --inside ]; then
    shift
    enter "$@"
    exit
fi

bare=
[ "${1:-}" = --bare ] && bare=yes && shift
[ $# -ge 2 ] || { sed -n '2,/^$/s/^# \{0,1\}//p' tests/debian.sh >&2 && exit 2; }
[ "$(id -u)" -eq 0 ] || die "a root for another release can be made by root only"
packages_need debootstrap util-linux git || exit 1
suite=$1
shift
root=$roots/$suite${bare:+.copy}
out=$PWD/build/debian/$suite
mkdir -p "$roots" "$out" || exit 1
exec {lock}>"$root.lock"
flock "$lock" || exit 1
# A copy that was not thrown away is that of a run that was killed.
[ -z "$bare" ] || rm -rf "$root"
[ -d "$root" ] || copy_bare "$suite" "$root" || exit 1
copy_checkout "$root" || exit 1

unshare --mount --pid --fork --kill-child --propagation slave \
    bash tests/debian.sh --inside "$root" "$out" "$@"
status=$?
[ -z "$bare" ] || rm -rf "$root"
exit "$status"
