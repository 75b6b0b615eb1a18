#!/bin/bash
# Installs missing packages, builds ghlogfs, and mounts GitHub. Running it again is safe: it reports
# a mount that exists already.
#
#   contrib/run.sh [MOUNTPOINT] [GHLOGFS OPTIONS]...
#   contrib/run.sh --stop [MOUNTPOINT]
#
# With a token (GH_TOKEN, GITHUB_TOKEN, or that of `gh auth login`) github.com is mounted at
# MOUNTPOINT, or ~/gh. Without one it starts a demonstration, a loopback GitHub with made-up logs,
# and mounts that at MOUNTPOINT, or build/demo/gh.

set -u
here=$(cd "$(dirname "$0")/.." && pwd) || exit 1
. "$here/contrib/packages.sh"

demo=$here/build/demo
binary=$here/build/program/ghlogfs

usage() {
    sed -n '2,/^$/s/^# \{0,1\}//p' "$here/contrib/run.sh"
}

die() {
    echo "contrib/run.sh: $*" >&2
    exit 1
}

has_token() {
    [ -n "${GH_TOKEN:-}" ] || [ -n "${GITHUB_TOKEN:-}" ] ||
        { command -v gh >/dev/null && gh auth token >/dev/null 2>&1 </dev/null; }
}

# Prints the type of the file system mounted there, nothing if there is none.
mounted_as() {
    dir=${1// /\\040} \
        awk '$2 == ENVIRON["dir"] { type = $3 } END { if (type) print type }' /proc/mounts
}

# True if the running demonstration is mounted there: the mount's source is its server.
demo_is_at() {
    local source
    source=$(dir=${1// /\\040} \
        awk '$2 == ENVIRON["dir"] { from = $1 } END { print from }' /proc/mounts)
    demo_is_up && [ "$source" = "$(sed 's|^[a-z]*://||; s|/.*||' "$demo/url")" ]
}

unmount() {
    fusermount3 -u "$1" 2>/dev/null || fusermount3 -u -z "$1"
}

build() {
    packages_need "${packages_build[@]}" "${packages_mount[@]}" || return 1
    [ -x "$binary" ] || echo "Building ghlogfs, which takes a minute."
    # The tests' own packages are not needed to build the program.
    (cd "$here" && cmake --preset release -B build/program -DGHLOGFS_TESTS=OFF &&
        cmake --build build/program) \
        >"$here/build/run.log" 2>&1 && return 0
    cat "$here/build/run.log"
    return 1
}

demo_is_up() {
    [ -s "$demo/pid" ] && kill -0 "$(cat "$demo/pid")" 2>/dev/null && [ -s "$demo/url" ]
}

# Starts the loopback GitHub and waits for its address.
demo_start() {
    demo_is_up && return 0
    mkdir -p "$demo" && rm -f "$demo/url"
    PYTHONDONTWRITEBYTECODE=1 setsid /usr/bin/python3 "$here/contrib/demo.py" "$demo" \
        </dev/null >"$demo/log" 2>&1 &
    echo $! >"$demo/pid"
    for _ in $(seq 100); do
        [ -s "$demo/url" ] && return 0
        kill -0 "$(cat "$demo/pid")" 2>/dev/null || break
        sleep 0.1
    done
    cat "$demo/log" >&2
    return 1
}

demo_stop() {
    if demo_is_up; then
        kill "$(cat "$demo/pid")"
    fi
    rm -f "$demo/pid" "$demo/url"
}

stop() {
    local mountpoint=${1:-}
    if [ -z "$mountpoint" ]; then
        mountpoint=${HOME:-$demo}/gh
        [ "$(mounted_as "$demo/gh")" = fuse.ghlogfs ] && mountpoint=$demo/gh
    fi
    mountpoint=$(realpath -m "$mountpoint")
    if [ "$(mounted_as "$mountpoint")" = fuse.ghlogfs ]; then
        unmount "$mountpoint" && echo "$mountpoint is unmounted."
    else
        echo "ghlogfs is not mounted at $mountpoint."
    fi
    [ "$(cat "$demo/mountpoint" 2>/dev/null)" = "$mountpoint" ] && demo_stop
    return 0
}

# Returns 0 if the mountpoint can be mounted on, 2 if ghlogfs is mounted there and works.
prepare_mountpoint() {
    case $(mounted_as "$1") in
    '') ;;
    fuse.ghlogfs)
        stat "$1/." >/dev/null 2>&1 && return 2
        echo "The mount at $1 is dead; unmounting it first."
        unmount "$1" || return 1
        ;;
    *) echo "Another file system is mounted at $1; name another directory." >&2 && return 1 ;;
    esac
    mkdir -p "$1" || return 1
    [ -z "$(ls -A "$1")" ] || { echo "$1 is not empty; name another directory." >&2 && return 1; }
}

# Commands that work as they stand, for the demonstration and for GitHub.
print_commands() {
    local at examples
    printf -v at %q "$1"
    echo
    echo "Try:"
    if [ "$2" = demo ]; then
        examples=$(cat "$demo/commands")
        echo "${examples//@/"$at"}"
    else
        cat <<COMMANDS
  # the owners of your repositories
  ls $at
  # the newest runs of any repository you can see
  ls -lt $at/cli/cli/runs | head
  # the jobs of its newest run
  ls $at/cli/cli/latest/
  # what failed in its recent runs, and why
  cat $at/cli/cli/reports/*
  # errors in the failed steps of its recent runs
  grep -rn -i error: $at/cli/cli/failed/
COMMANDS
    fi
    echo "  # unmount"
    echo "  $(printf %q "$here/contrib/run.sh") --stop $at"
}

main() {
    local kind=github mountpoint="" status
    case ${1:-} in
    -h | --help) usage && exit 0 ;;
    --stop) stop "${2:-}" && exit ;;
    '' | -*) ;;
    *) mountpoint=$1 && shift ;;
    esac
    has_token || kind=demo
    if [ -z "$mountpoint" ]; then
        mountpoint=${HOME:-$demo}/gh
        [ "$kind" = demo ] && mountpoint=$demo/gh
    fi
    mountpoint=$(realpath -m "$mountpoint")

    mkdir -p "$here/build" || exit 1
    build || die "the build failed"
    fuse_is_here || exit 1
    prepare_mountpoint "$mountpoint"
    status=$?
    [ "$status" -eq 1 ] && exit 1
    if [ "$status" -eq 2 ]; then
        echo "ghlogfs is already mounted at $mountpoint."
        [ $# -eq 0 ] || echo "Its options stay as they are; --stop unmounts it."
        kind=github
        demo_is_at "$mountpoint" && kind=demo
    elif [ "$kind" = demo ]; then
        echo "No token found (GH_TOKEN, GITHUB_TOKEN, gh auth login): this is a demonstration with"
        echo "made-up logs, from a GitHub on this machine's loopback address."
        demo_start || die "the loopback GitHub did not start"
        echo "$mountpoint" >"$demo/mountpoint"
        GH_ENTERPRISE_TOKEN=demonstration "$binary" "$mountpoint" \
            -o "api_url=$(cat "$demo/url"),cache_dir=$demo/cache" "$@" || die "the mount failed"
        echo "Mounted at $mountpoint."
    else
        "$binary" github.com "$mountpoint" "$@" || die "the mount failed"
        echo "github.com is mounted at $mountpoint."
    fi
    print_commands "$mountpoint" "$kind"
}

main "$@"
