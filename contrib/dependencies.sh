# SPDX-License-Identifier: Apache-2.0
# Sourced by quickstart and tests/run: finds what this machine lacks, says why it is needed, and
# installs it from Debian's packages. A thing is looked for itself (a command, a header), not by its
# package's name, so that whatever brought it will do.

# kind name package | why
# shellcheck disable=SC2034 # used by whoever sources this
tw_needs_build='command cc gcc|compiles the programs
command c++ g++|compiles the two shims over C++ libraries
command make make|runs the build
command autoreconf autoconf|makes the configure script
command automake automake|makes the Makefile
command pkg-config pkg-config|finds the libraries
header lmdb.h liblmdb-dev|the store
header microhttpd.h libmicrohttpd-dev|the HTTP server
header snappy-c.h libsnappy-dev|compression of remote_write
header zstd.h libzstd-dev|compression of remote_write and of stored strings
header jansson.h libjansson-dev|JSON
header yaml.h libyaml-dev|configuration and rule files
header curl/curl.h libcurl4-gnutls-dev|the HTTP client
header gnutls/gnutls.h libgnutls28-dev|signatures of webhooks
header re2/re2.h libre2-dev|regular expressions in linear time
header xxhash.h libxxhash-dev|hashing
header lpsolve/lp_lib.h liblpsolve55-dev|the cheapest mix of instance types
header zlib.h zlib1g-dev|compressed answers
header pcap/pcap.h libpcap-dev|passive network latency in the agent
command node nodejs|builds the web pages
command npm npm|fetches what the web pages are built with
command curl curl|the first query'

tw_needs_test='header check.h check|the unit tests
command python3 python3|the end-to-end tests
command chromium chromium|the tests of the web pages'

tw_have() { # kind name
    case $1 in
    command) command -v "$2" >/dev/null 2>&1 ;;
    header)
        for headers in /usr/include /usr/local/include "/usr/include/$(uname -m)-linux-gnu"; do
            [ -f "$headers/$2" ] && return 0
        done
        return 1
        ;;
    esac
}

# tw_install LIST: after it everything in LIST is there, or the program ends with what is missing.
tw_install() {
    packages=
    while IFS='|' read -r what why; do
        # shellcheck disable=SC2086 # three words: kind, name, package
        set -- $what
        tw_have "$1" "$2" && continue
        [ -n "$packages" ] || echo "Missing on this machine:" >&2
        printf '  %-22s %s (package %s)\n' "$2" "$why" "$3" >&2
        packages="$packages $3"
    done <<END
$1
END
    [ -n "$packages" ] || return 0
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "No apt-get here: install the above by your own means, then start again." >&2
        exit 1
    fi
    if [ -n "$sudo" ] && ! command -v sudo >/dev/null 2>&1; then
        echo "Not root, and no sudo: run 'apt-get install$packages' as root, then start again." >&2
        exit 1
    fi
    if [ -t 0 ] && [ -t 2 ]; then
        printf 'Install them now with apt-get? [Y/n] ' >&2
        read -r answer
        case $answer in
        [nN]*) exit 1 ;;
        esac
    fi
    echo "Installing:$packages" >&2
    log=$(mktemp)
    # shellcheck disable=SC2086 # a list of words
    if ! { $sudo apt-get -q update && $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y --no-install-recommends install $packages; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "apt-get failed; all of what it said is in $log" >&2
        exit 1
    fi
    rm -f "$log"
}

# tw_build FOLDER JOBS [configure's switches]: configures out of tree when needed, then makes.
tw_build() {
    build_folder=$1 build_jobs=$2
    shift 2
    if [ ! -x configure ] || [ -n "$(find configure.ac -newer configure)" ]; then
        echo "Making configure" >&2
        ./autogen.sh >/dev/null 2>"configure.log" || { cat configure.log >&2; exit 1; }
        rm -f configure.log
    fi
    mkdir -p "$build_folder"
    (
        cd "$build_folder" || exit 1
        wanted="../configure -q $*"
        if [ ! -f Makefile ] || [ "$(cat .configured 2>/dev/null)" != "$wanted" ]; then
            echo "Configuring $build_folder" >&2
            ../configure -q "$@"
            echo "$wanted" >.configured
        fi
        echo "Building in $build_folder" >&2
        make -s -j"$build_jobs"
    )
}
