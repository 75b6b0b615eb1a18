#!/bin/bash
# Whether the packages are what they should be. For Debian 12 and 13 each:
#
#   contrib/release.sh builds the packages, from the files as they stand;
#   built again, in another folder and without the unit tests, they have the same bytes;
#   lintian has no error and no warning, and the autopkgtest passes;
#   in a bare root the package is installed, mounts and is read, by root and by a user, is upgraded
#   while it is mounted, removed and purged: nothing is left.
#
# Also: cmake --install installs the packages' files, and the recipes for other systems are read by
# their own tools. Needs root, since the roots can be made by root only (tests/debian.sh).

set -u
cd "$(dirname "$0")/.." || exit 1
. contrib/packages.sh
suites=(bookworm trixie)
results=build/packages
demonstration=contrib/debian/tests/demonstration

as_nobody() {
    setpriv --reuid nobody --regid nogroup --clear-groups env HOME=/tmp "$@"
}

# -- In the release's own root, where the packages were built -------------------------------------

check_same_bytes() {
    local again=/tmp/elsewhere/again file
    echo "-- built again"
    DEB_BUILD_OPTIONS=nocheck TZ=Asia/Kolkata contrib/package.sh "$again" >/tmp/again.log 2>&1 ||
        { tail -n 40 /tmp/again.log && return 1; }
    for file in "$again"/*.{tar.gz,tar.xz,dsc,deb}; do
        cmp "$file" "/ghlogfs/out/${file##*/}" || return 1
        echo "the same bytes: ${file##*/}"
    done
}

check_lintian() {
    echo "-- lintian"
    lintian --version
    lintian --fail-on error,warning --display-info /ghlogfs/out/*.changes
}

# The restriction is for the machines of others: here are root, /dev/fuse and namespaces.
check_autopkgtest() {
    echo "-- autopkgtest"
    autopkgtest --ignore-restrictions=isolation-machine --no-built-binaries \
        /ghlogfs/out/ghlogfs_*.deb /ghlogfs/out/ghlogfs_*.dsc -- null >/tmp/autopkgtest.log 2>&1
    local status=$?
    dpkg --purge ghlogfs >/dev/null 2>&1
    grep -E '^demonstration +PASS' /tmp/autopkgtest.log && [ "$status" -eq 0 ] && return 0
    cat /tmp/autopkgtest.log
    return 1
}

# Warnings are errors; ghlogfs.rpmlintrc tells which do not count, and why.
check_recipes() {
    echo "-- recipes"
    rpmlint --strict --rpmlintrc contrib/rpm/ghlogfs.rpmlintrc contrib/rpm/ghlogfs.spec &&
        rpmspec --query contrib/rpm/ghlogfs.spec || return 1
    cp contrib/arch/PKGBUILD /tmp/ &&
        (cd /tmp && as_nobody PACMAN=true makepkg --printsrcinfo)
}

# The package as it is, with a lower version.
make_older() {
    rm -rf /tmp/older
    dpkg-deb -R /ghlogfs/out/ghlogfs_*.deb /tmp/older &&
        sed -i 's/^Version: .*/Version: 0.0.1-1/' /tmp/older/DEBIAN/control &&
        dpkg-deb -b /tmp/older /ghlogfs/out/older.deb >/dev/null
}

check() {
    packages_need "${packages_package_check[@]}" >/tmp/need.log 2>&1 ||
        { cat /tmp/need.log && return 1; }
    dpkg --purge ghlogfs >/dev/null 2>&1
    check_same_bytes && check_lintian && check_autopkgtest && check_recipes && make_older
}

# -- In a bare root -------------------------------------------------------------------------------

# All files, and what is in those of /etc; without what apt and dpkg write for themselves.
list_files() {
    local own='^(/var/(lib/(dpkg|apt)|cache/(apt|debconf|ldconfig)|log)/|/etc/ld\.so\.cache\s)'
    find / -xdev -path /ghlogfs -prune -o -printf '%p\t%y %m %u:%g %l\n' | grep -vP "$own" | sort
    find /etc -xdev -type f -exec md5sum {} + | awk '{ print $2, $1 }' | grep -vP "$own" | sort
}

apt_quietly() {
    apt_get "$@" >/tmp/apt.log 2>&1 || { cat /tmp/apt.log && return 1; }
}

# udev lets all users open it; where there is no udev, this does, in these namespaces.
open_fuse() {
    mknod -m 666 /run/fuse c 10 229 && mount --bind /run/fuse /dev/fuse
}

# Notes what maintainer scripts would tell systemd.
pretend_systemd() {
    mkdir -p /run/systemd/system
    printf '#!/bin/sh\necho "$@" >>/tmp/systemctl.log\n' >/usr/bin/systemctl
    chmod +x /usr/bin/systemctl
}

systemd_was_told() {
    local told
    told=$(cat /tmp/systemctl.log)
    rm /tmp/systemctl.log
    [ "$told" = "$1" ] || { echo "systemd should have been told '$1', not '$told'" && return 1; }
}

# What an administrator and the system unit leave outside the package.
use_unit() {
    mkdir -p /etc/ghlogfs /var/cache/ghlogfs/logs /etc/systemd/system/multi-user.target.wants
    touch /etc/ghlogfs/github.com.token /etc/ghlogfs/github.com.conf /var/cache/ghlogfs/logs/1
    ln -s /lib/systemd/system/ghlogfs@.service \
        /etc/systemd/system/multi-user.target.wants/ghlogfs@github.com.service
    mkdir -p /var/cache/ghlogfs-fill/github.com /etc/systemd/system/timers.target.wants
    touch /etc/ghlogfs/github.com.fill /etc/ghlogfs/writer.key
    ln -s /lib/systemd/system/ghlogfs-fill@.timer \
        /etc/systemd/system/timers.target.wants/ghlogfs-fill@github.com.timer
}

install_fresh() {
    echo "-- installed"
    apt-get -s install ./ghlogfs_*.deb >/tmp/simulated && grep -q '^Inst gh ' /tmp/simulated ||
        { echo "apt would not install gh, which is recommended" && return 1; }
    apt_quietly install --no-install-recommends ./ghlogfs_*.deb || return 1
    dpkg-query -W ghlogfs
    "$checkout/$demonstration" && as_nobody "$checkout/$demonstration"
}

purge_at_once() {
    echo "-- purged"
    apt_quietly purge ghlogfs || return 1
    local left
    left=$(find / -xdev -path /ghlogfs -prune -o -path '*ghlogfs*' -print)
    [ -z "$left" ] || { echo "left: $left" && return 1; }
}

upgrade_mounted() {
    echo "-- upgraded while it is mounted"
    apt_quietly install --no-install-recommends ./older.deb || return 1
    pretend_systemd
    "$checkout/$demonstration" env DEBIAN_FRONTEND=noninteractive apt-get -y -q install \
        "$PWD"/ghlogfs_*.deb >/tmp/upgrade.log 2>&1 || { cat /tmp/upgrade.log && return 1; }
    systemd_was_told '--system daemon-reload' || return 1
    [ "$(dpkg-query -W -f '${Version}' ghlogfs)" = "$(dpkg-deb -f ./ghlogfs_*.deb Version)" ]
}

remove_and_purge() {
    echo "-- removed, then purged"
    use_unit
    apt_quietly remove ghlogfs || return 1
    systemd_was_told 'stop ghlogfs-fill@*.timer ghlogfs-fill@*.service ghlogfs@*.service' ||
        return 1
    [ -e /etc/ghlogfs/github.com.token ] && [ -e /var/cache/ghlogfs/logs/1 ] &&
        ! [ -e /usr/bin/ghlogfs ] || { echo "remove took too much or too little" && return 1; }
    rm /usr/bin/systemctl
    apt_quietly purge ghlogfs
}

live() {
    checkout=$PWD
    chmod -R a+rX /ghlogfs && open_fuse || return 1
    # The demonstration's server needs it, the program does not.
    apt_quietly update && apt_quietly install --no-install-recommends python3 || return 1
    cd /ghlogfs/out || return 1
    install_fresh && purge_at_once || return 1
    # What the package depends on is installed by now, and stays.
    list_files >/tmp/before
    upgrade_mounted && remove_and_purge || return 1
    list_files >/tmp/after
    diff /tmp/before /tmp/after || { echo "Files were left, or are missing." && return 1; }
    echo "$(wc -l </tmp/before) files, directories and links as before."
}

# -- Out of the roots -----------------------------------------------------------------------------

# Modes and paths of a package's files, under the names that cmake --install gives them.
packaged_files() {
    dpkg-deb -c "$1" | awk '$1 !~ /^d/ { print $1, $6 }' | grep -v 'changelog\.Debian\.gz$' |
        sed 's|/changelog\.gz$|/CHANGELOG.md|; s|/copyright$|/LICENSE|; s|\.gz$||
            s| \./lib/| ./usr/lib/|' | sort
}

installed_files() {
    (cd "$1" && find . ! -type d -printf '%M %p\n' | sort)
}

# The recipe for RPM names each file or its folder, under the names of Fedora's macros.
check_spec() {
    local root=$1 name file
    local -a names
    mapfile -t names < <(sed -n '/^%files/,/^%changelog/s/^%{/%{/p' contrib/rpm/ghlogfs.spec |
        sed 's|%{_bindir}|/usr/bin|; s|%{_unitdir}|/usr/lib/systemd/system|; s|%{name}|ghlogfs|
            s|%{_userunitdir}|/usr/lib/systemd/user|; s|%{_datadir}|/usr/share|; s|\*$||
            s|%{_mandir}|/usr/share/man|; s|%{_docdir}|/usr/share/doc|')
    for name in "${names[@]}"; do
        [ -e "$root$name" ] || { echo "ghlogfs.spec names $name in vain" && return 1; }
    done
    while read -r file; do
        for name in "${names[@]}"; do
            [[ $file == "$name" || $file == "$name"/* ]] && continue 2
        done
        echo "ghlogfs.spec does not name $file" && return 1
    done < <(find "$root" ! -type d -printf '/%P\n')
}

check_install() {
    local root=$PWD/$results/root suite
    packages_need "${packages_build[@]}" >/dev/null &&
        cmake --preset release -B build/program -DGHLOGFS_TESTS=OFF >/dev/null &&
        cmake --build build/program >/dev/null &&
        DESTDIR=$root cmake --install build/program --prefix /usr >/dev/null || return 1
    for suite in "${suites[@]}"; do
        diff <(packaged_files build/debian/"$suite"/ghlogfs_*.deb) <(installed_files "$root") ||
            { echo "cmake --install has other files than the package of $suite." && return 1; }
    done
    check_spec "$root" || return 1
    echo "cmake --install and the packages have the same $(installed_files "$root" | wc -l) files."
}

# What git knows of, and nothing else.
check_tarball() {
    diff <(tar -tf "$results"/release/ghlogfs-*.tar.gz | grep -v '/$' | sed 's|^[^/]*/||' | sort) \
        <(git ls-files --cached --others --exclude-standard | sort) ||
        { echo "The tarball has other files than git." && return 1; }
}

run_suite() {
    tests/debian.sh "$1" tests/packages.sh --inside check &&
        tests/debian.sh --bare "$1" tests/packages.sh --inside live
}

if [ "${1:-}" = --inside ]; then
    "$2"
    exit
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "The packages are left out: only root can make the roots that they are built and tried in."
    exit 0
fi

rm -rf "$results"
mkdir -p "$results"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) || exit 1
export SOURCE_DATE_EPOCH
contrib/release.sh --uncommitted "$results/release" || exit 1
failed=0
check_tarball || failed=1
check_install || failed=1
declare -A running=()
for suite in "${suites[@]}"; do
    run_suite "$suite" >"$results/$suite.log" 2>&1 &
    running[$suite]=$!
done
for suite in "${suites[@]}"; do
    wait "${running[$suite]}" || { failed=1 && echo "FAILED: $suite"; }
    echo "== $suite"
    cat "$results/$suite.log"
done
exit "$failed"
