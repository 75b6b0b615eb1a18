# The Debian packages (12 and later) that ghlogfs needs, and functions to install missing ones.
# Sourced by contrib/run.sh, tests/run.sh and .ci/run; needs bash. a|b names alternatives: either
# satisfies the need, a is installed if both are missing.

packages_build=(
    gcc libc6-dev cmake ninja-build pkg-config libfuse3-dev
    "libcurl4-openssl-dev|libcurl4-gnutls-dev|libcurl4-nss-dev" libcjson-dev libxxhash-dev
    libarchive-dev
)
packages_mount=(fuse3 ca-certificates python3)
packages_test=(
    libcmocka-dev python3 python3-pytest python3-pytest-xdist universal-ctags binutils
    attr autofs diffutils file fio gh git hashdeep iproute2 less mtree-netbsd openssl
    python3-prometheus-client ripgrep rsync systemd tar tmux tree xz-utils
)
# What docs/COOKBOOK.md uses, for its test.
packages_cookbook=(bubblewrap curl fzf jq lnav rsyslog vim zstd)
# The servers that a shared store is tested with, started and ended by the tests themselves
# (tests/engines), and what docs/SHARED-STORE.md sets them up with; 380 MB.
packages_store=(curl radosgw ceph-mon ceph-osd nginx awscli jq)
# What draws the pictures in the documents (tests/pictures, tests/bench/growth.py, dashboard.py).
packages_pictures=(gnuplot-nox python3-rich)
# All that end-to-end tests use besides.
packages_e2e=("${packages_cookbook[@]}" "${packages_store[@]}" "${packages_pictures[@]}")
# Of these, those that Debian would start and enable. The tests start their own, on loopback.
packages_servers=(autofs nginx rsyslog)
# Prometheus' programs, for the tests of metrics and of the dashboard; 23 MB. They are unpacked into
# build/tools and not installed: as packages they would start servers on all interfaces.
packages_unpacked=(prometheus promtool prometheus-node-exporter)
# The one version that lays out the code as it stands; Debian 12 has it.
package_format=clang-format-14
packages_ci=(ccache clang libclang-rt-14-dev llvm-14 valgrind)

# What builds the Debian packages, besides what contrib/debian/control names, and what checks them
# and the recipes for other systems.
packages_package=(dpkg-dev debhelper)
packages_package_check=(lintian autopkgtest rpm rpmlint makepkg)

package_is_here() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Whether this release has a package of that name. Without lists (a fresh container) none is known.
package_exists() {
    apt-cache show "$1" >/dev/null 2>&1 && return 0
    [ -n "$(apt-get indextargets 'Created-By: Packages' 2>/dev/null)" ] && return 1
    apt_get update >/dev/null && apt-cache show "$1" >/dev/null 2>&1
}

# Prints those of the named packages that are missing, one a line.
packages_missing() {
    local offer name
    for offer in "$@"; do
        for name in ${offer//|/ }; do
            package_is_here "$name" && continue 2
        done
        echo "${offer%%|*}"
    done
}

# Fills the caller's array with what makes the words behind it run as root.
become_root() {
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo)
        # Without a terminal sudo cannot ask for a password.
        [ -t 0 ] || as_root+=(-n)
    fi
}

apt_get() {
    local -a as_root
    become_root
    # A changed file of /etc stays as it is: nobody can be asked. A machine that has just begun may
    # be about to upgrade itself.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q \
        -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=600 \
        "$@" </dev/null
}

# A policy for installations (policy-rc.d): these services are not started, all others are.
print_policy() {
    local name
    echo '#!/bin/sh'
    echo 'case " $* " in'
    for name in "$@"; do
        echo "*' $name '* | *' $name.service '*) exit 101 ;;"
    done
    echo 'esac'
    echo 'exit 0'
}

# As `apt-get install`, in a shell of its own. Servers among the packages are left as if their user
# had stopped them for good. A policy that is there already stands.
install_packages() (
    policy=/usr/sbin/policy-rc.d
    servers=()
    for name in "${packages_servers[@]}"; do
        [[ " $* " == *" $name "* ]] && servers+=("$name")
    done
    become_root
    if [ "${#servers[@]}" -gt 0 ] && [ ! -e "$policy" ]; then
        trap '"${as_root[@]}" rm -f "$policy"' EXIT
        "${as_root[@]}" sh -c 'echo "$1" >"$2" && chmod 755 "$2"' sh \
            "$(print_policy "${servers[@]}")" "$policy"
    fi
    apt_get install --no-install-recommends "$@" || exit 1
    for name in "${servers[@]}"; do
        ! command -v systemctl >/dev/null ||
            "${as_root[@]}" systemctl --quiet disable --now "$name" 2>/dev/null
        ! command -v update-rc.d >/dev/null ||
            "${as_root[@]}" update-rc.d "$name" disable >/dev/null 2>&1
    done
    exit 0
)

# Installs the named packages that are missing. On failure prints the reason and returns 1.
packages_need() {
    local -a missing
    if ! command -v dpkg-query >/dev/null; then
        echo "This system is not Debian, so no packages were installed. Needed, by their names in" \
            "Debian: $*" >&2
        return 0
    fi
    mapfile -t missing < <(packages_missing "$@")
    [ "${#missing[@]}" -eq 0 ] && return 0

    echo "Installing missing packages: ${missing[*]}"
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        echo "Packages are missing, and there is neither root nor sudo. As root, run:" \
            "apt-get install ${missing[*]}" >&2
        return 1
    fi
    # The lists may be absent (a fresh container) or old: only then are they fetched.
    install_packages "${missing[@]}" && return 0
    apt_get update && install_packages "${missing[@]}" && return 0
    echo "Could not install ${missing[*]}. As root, run: apt-get install ${missing[*]}" >&2
    return 1
}

# Installs what the control file of the unpacked source package in this folder needs to build it.
packages_need_build() {
    (cd "$1" && dpkg-checkbuilddeps 2>/dev/null) && return 0
    apt_get build-dep --no-install-recommends "$1" && return 0
    apt_get update && apt_get build-dep --no-install-recommends "$1"
}

# packages_unpack FOLDER NAME...: puts what is in the packages below FOLDER, without installing them
# and so without services and dependencies. On failure prints the reason and returns 1.
packages_unpack() {
    local folder=$1 name
    local -a missing=()
    shift
    command -v dpkg-query >/dev/null || return 0 # packages_need has said so
    for name in "$@"; do
        # In Debian 12 it is in prometheus.
        [ "$name" = promtool ] && ! package_exists promtool && continue
        [ -d "$folder/usr/share/doc/$name" ] || missing+=("$name")
    done
    [ "${#missing[@]}" -eq 0 ] && return 0

    echo "Unpacking into $folder: ${missing[*]}"
    rm -rf "$folder/archives"
    mkdir -p "$folder/archives" || return 1
    if ! (cd "$folder/archives" && { apt-get -q download "${missing[@]}" 2>/dev/null ||
        { apt_get update && apt-get -q download "${missing[@]}"; }; }); then
        echo "Could not download ${missing[*]}." >&2
        return 1
    fi
    for name in "$folder"/archives/*.deb; do
        dpkg-deb -x "$name" "$folder" || return 1
    done
    rm -r "$folder/archives"
}

# Returns 0 if FUSE can be used here; else prints the reason.
fuse_is_here() {
    if [ ! -c /dev/fuse ]; then
        echo "/dev/fuse is missing: load the kernel module (modprobe fuse), or start the" \
             "container with --device /dev/fuse --cap-add SYS_ADMIN." >&2
        return 1
    fi
    if ! [ -r /dev/fuse ] || ! [ -w /dev/fuse ]; then
        echo "$(id -un) cannot open /dev/fuse. As root, run: chmod 0666 /dev/fuse" >&2
        return 1
    fi
}
