#!/bin/bash
# Installs what is missing, builds, and runs every test. May be run again and again, as root or not.
#
#   tests/run.sh [--release|--debug|--clang|--asan|--tsan] [--only PART]... [--fast]
#                [--unit REGEX] [-- PYTEST ARGUMENTS]
#
#   --only PART   style, unit, fake (tests of the servers that the tests use: the loopback GitHub,
#                 engines) or e2e; may be given more than once (all of them otherwise)
#   --fast        leaves out the end-to-end tests marked slow
#   --unit REGEX  only the unit tests whose name matches
#
# The end-to-end tests run four at a time on each processor, and then, one after another, those
# marked alone.
# Without FUSE they are skipped, saying so; with CI=true that is a failure, and so is every skip
# for want of something that could be had.

set -u
cd "$(dirname "$0")/.." || exit 1
. contrib/packages.sh

usage() {
    sed -n '2,/^$/s/^# \{0,1\}//p' tests/run.sh
}

preset=release
parts=()
unit=unit/
pytest_args=()
while [ $# -gt 0 ]; do
    case $1 in
    --release | --debug | --clang | --asan | --tsan) preset=${1#--} ;;
    --only)
        case ${2:-} in
        style | unit | fake | e2e) parts+=("$2") && shift ;;
        *) echo "tests/run.sh: --only needs style, unit, fake or e2e, not '${2:-}'" >&2 && exit 2 ;;
        esac
        ;;
    --fast) pytest_args+=(-m "not slow") ;;
    --unit) unit=${2:?--unit needs a regular expression} && shift ;;
    -h | --help) usage && exit 0 ;;
    --) shift && pytest_args+=("$@") && break ;;
    *) echo "tests/run.sh: what is $1?" >&2 && usage >&2 && exit 2 ;;
    esac
    shift
done
case $preset in
asan | tsan)
    if [[ " ${parts[*]} " == *" style "* ]]; then
        echo "tests/run.sh: the lints read the objects of a plain build, not those of $preset" >&2
        exit 2
    fi
    [ "${#parts[@]}" -eq 0 ] && parts=(unit fake e2e)
    ;;
esac
[ "${#parts[@]}" -eq 0 ] && parts=(style unit fake e2e)

build=build/$preset
closing=$build/closing
failed=0

wants() {
    [[ " ${parts[*]} " == *" $1 "* ]]
}

prepare() {
    local -a needed=("${packages_build[@]}" "${packages_mount[@]}" "${packages_test[@]}")
    [ "$preset" = clang ] && needed+=(clang)
    { wants fake || wants e2e; } && needed+=("${packages_e2e[@]}")
    packages_need "${needed[@]}" || return 1
    if wants fake || wants e2e; then
        packages_unpack build/tools "${packages_unpacked[@]}" || return 1
    fi
    if wants style; then
        if package_exists "$package_format"; then
            packages_need "$package_format" || return 1
        else
            echo "The formatting is not checked: this release has no $package_format."
        fi
    fi
    cmake --preset "$preset" && build_targets && mkdir -p "$closing" && rm -f "$closing"/*.log
}

# Everything, or only the unit tests that were chosen by their names.
build_targets() {
    local -a targets=()
    if [ "${parts[*]}" = unit ] && [ "$unit" != unit/ ]; then
        mapfile -t targets < <(ctest --preset "$preset" -N -L '^unit$' -R "$unit" |
            sed -n 's|^ *Test *#[0-9]*: \(unit/.*\)$|\1_test|p' | tr / _)
        [ "${#targets[@]}" -gt 0 ] || { echo "No unit test matches '$unit'." >&2 && return 1; }
        targets=(--target "${targets[@]}")
    fi
    cmake --build --preset "$preset" "${targets[@]}"
}

run_ctest() {
    local label=$1
    shift
    # Some kernels spread addresses wider than these sanitizers can follow.
    local -a fixed=()
    case $preset in
    asan | tsan) setarch -R true 2>/dev/null && fixed=(setarch -R) ;;
    esac
    "${fixed[@]}" ctest --preset "$preset" -L "^$label\$" -j "$(nproc)" "$@" 2>&1 |
        tee "$closing/$label.log"
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
}

# Skips that are in order with CI=true: what cannot be had here, not what is missing.
skips_allowed='sanitizers|valgrind|counts by the clock|no real logs here|OpenAPI subset is not here'
skips_allowed+='|only with OpenSSL|the kernel gives no|this kernel has no'
[ "$(id -u)" -eq 0 ] || skips_allowed+='|no right to|needs root'

check_skips() {
    [ "${CI:-}" = true ] || return
    if grep '^SKIPPED' "$1" | grep -vE "$skips_allowed"; then
        echo "With CI=true no test may be skipped for these reasons."
        failed=1
    fi
}

# Of the caller's environment: programs would look for the servers on loopback behind a proxy.
proxies=(-u http_proxy -u https_proxy -u all_proxy -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY)

# run_pytest NAME FOLDER ARGUMENTS: returns pytest's status; 5 means that no test was chosen.
run_pytest() {
    local name=$1 folder=$2
    shift 2
    env "${proxies[@]}" PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1 \
        GHLOGFS_BIN="$PWD/$build/ghlogfs" \
        /usr/bin/python3 -m pytest -p no:cacheprovider -rs "tests/$folder" "$@" 2>&1 |
        tee "$closing/$name.log"
    local status=${PIPESTATUS[0]}
    check_skips "$closing/$name.log"
    return "$status"
}

run_fake() {
    run_pytest fake fake || failed=1
    run_pytest engines engines || failed=1
}

# How many tests pytest may run at the same time; a debugger needs the terminal for itself.
at_a_time() {
    if /usr/bin/python3 -c 'import xdist' 2>/dev/null &&
        ! [[ " ${pytest_args[*]-} " =~ \ (-s|--pdb|--trace|--capture=no)\  ]]; then
        echo "-n$1"
    fi
}

# Four on each processor, but not more than 16: the tests wait more than they compute.
together_at_a_time() {
    local count=$((4 * $(nproc)))
    echo $((count > 16 ? 16 : count))
}

run_e2e() {
    if ! fuse_is_here; then
        if [ "${CI:-}" = true ]; then
            echo "The end-to-end tests need FUSE, and with CI=true they must run." |
                tee "$closing/e2e.log"
            failed=1
        else
            echo "The end-to-end tests are skipped: they need FUSE." | tee "$closing/e2e.log"
        fi
        return
    fi
    local together alone=5
    local -a how
    mapfile -t how < <(at_a_time "$(together_at_a_time)")
    run_pytest e2e e2e "${how[@]}" "${pytest_args[@]}" --alone=without
    together=$?
    if [ "$together" -eq 0 ] || ! [[ " ${pytest_args[*]-} " =~ \ (-x|--exitfirst)\  ]]; then
        mapfile -t how < <(at_a_time 0)
        run_pytest e2e-alone e2e "${pytest_args[@]}" "${how[@]}" --alone=only
        alone=$?
    fi
    # One of the two may have had nothing to do, but not both.
    case $together,$alone in
    0,0 | 0,5 | 5,0) ;;
    *) failed=1 ;;
    esac
}

# Where the sanitizers write: a daemon in the background has no terminal, and nobody sees its exit.
prepare_sanitizers() {
    reports=$PWD/$build/reports
    rm -rf "$reports"
    mkdir -p "$reports"
    export ASAN_OPTIONS=log_path=$reports/asan:detect_leaks=1:strict_string_checks=1
    export UBSAN_OPTIONS=log_path=$reports/ubsan:print_stacktrace=1
    export TSAN_OPTIONS=log_path=$reports/tsan:second_deadlock_stack=1
}

check_sanitizers() {
    local -a found
    mapfile -t found < <(find "$reports" -type f -size +0)
    [ "${#found[@]}" -eq 0 ] && return
    cat "${found[@]}"
    echo "The sanitizers have ${#found[@]} reports, see above."
    failed=1
}

# What ctest and pytest print at their end.
closing_line='^[0-9]+% tests passed|^=+ .*(passed|failed|error).* in [0-9.]+s|^The end-to-end'

# The runners' own closing lines, once more and together.
close() {
    local log
    for log in "$closing"/{style,unit,fake,engines,e2e,e2e-alone}.log; do
        [ -f "$log" ] && grep -E "$closing_line" "$log" | tail -n 1
    done
}

prepare || exit 1
prepare_sanitizers
wants style && run_ctest style
wants unit && run_ctest unit -R "$unit"
wants fake && run_fake
wants e2e && run_e2e
check_sanitizers
[ "${#parts[@]}" -gt 1 ] && echo && close
exit "$failed"
