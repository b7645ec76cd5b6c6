#!/bin/sh
# Install the packages Whet is built from, if any is missing. Called by make; silent when all are there.
#
#   tools/deps.sh [ARCH]     ARCH: x86_64 or aarch64 (default: this machine's); another than this
#                            machine's brings the cross compiler, the libraries for it and qemu-user
#   tools/deps.sh --lint     what `make lint` needs
#   tools/deps.sh --fuzz     what `make fuzz` needs
#   tools/deps.sh --pull     what `whet pull` needs where only a package index can be reached
set -eu

packages="gcc make pkg-config python3 libpcre2-dev libjansson-dev libzstd-dev libopenblas-dev libssl-dev libcurl4-openssl-dev libcmocka-dev"
host=$(uname -m)
want=${1:-$host}
foreign=
case $want in
--lint) packages="cppcheck clang-tidy" ;;
--pull) packages="python3 python3-pip" ;;
--fuzz) packages="clang llvm libclang-rt-14-dev libomp-14-dev" ;;
"$host") ;;
aarch64) foreign=arm64 ;;
x86_64) foreign=amd64 ;;
*) echo "deps.sh: unknown architecture '$want' (x86_64 or aarch64)" >&2; exit 1 ;;
esac

if [ -n "$foreign" ]; then
    cross=$(echo "$want" | tr _ -)
    packages="make pkg-config gcc-$cross-linux-gnu libc6-dev-$foreign-cross qemu-user
        libc6:$foreign libgomp1:$foreign libpcre2-dev:$foreign libjansson-dev:$foreign libzstd-dev:$foreign
        libopenblas-dev:$foreign libssl-dev:$foreign libcurl4-openssl-dev:$foreign libcmocka-dev:$foreign"
fi

# Fast path. Elsewhere than on Debian: the libraries are there if pkg-config finds them.
if command -v dpkg-query >/dev/null 2>&1; then
    missing=
    for p in $packages; do
        dpkg-query -W -f='${Status}\n' "$p" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $p"
    done
    [ -z "$missing" ] && exit 0
else
    case $want in --*) exit 0 ;; esac
    if pkg-config --exists libpcre2-8 jansson libzstd openblas libcrypto libcurl cmocka 2>/dev/null; then exit 0; fi
    cat >&2 <<MSG
Whet needs a C compiler, make, pkg-config and the development files of: PCRE2 (8 bit), jansson, zstd,
OpenBLAS, OpenSSL, libcurl and cmocka. Install them with your system's package manager:
  Fedora   dnf install gcc make pkgconf-pkg-config pcre2-devel jansson-devel libzstd-devel openblas-devel openssl-devel libcurl-devel libcmocka-devel
  Arch     pacman -S gcc make pkgconf pcre2 jansson zstd openblas openssl curl cmocka
  Alpine   apk add gcc make pkgconf musl-dev pcre2-dev jansson-dev zstd-dev openblas-dev openssl-dev curl-dev cmocka-dev
MSG
    exit 1
fi

sudo=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "missing packages:$missing" >&2
        echo "Install them as root: apt-get install$missing" >&2
        exit 1
    fi
    sudo=sudo
fi
echo "deps.sh: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
[ -n "$foreign" ] && $sudo dpkg --add-architecture "$foreign"
$sudo apt-get update -qq >&2
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
