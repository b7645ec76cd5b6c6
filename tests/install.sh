#!/bin/sh
# make install into a folder, then a program that uses nothing but what was installed, linked both ways.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
make -s install DESTDIR="$dir" PREFIX=/usr
cat >"$dir/t.c" <<'C'
#include <stdio.h>
#include <string.h>
#include <whet.h>
int main(void)
{
    printf("%s\n", wh_version());
    return strcmp(wh_code_name(WH_OK), "ok");
}
C
export PKG_CONFIG_PATH="$dir/usr/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$dir"
version=$(pkg-config --modversion whet)
cflags=$(pkg-config --cflags whet)
gcc $cflags -o "$dir/shared" "$dir/t.c" -L"$dir/usr/lib" -lwhet
[ "$(LD_LIBRARY_PATH="$dir/usr/lib" "$dir/shared")" = "$version" ]
unset PKG_CONFIG_SYSROOT_DIR
deps=$(sed -n 's/^Requires.private: //p' "$dir/usr/lib/pkgconfig/whet.pc")
gcc $cflags -o "$dir/static" "$dir/t.c" "$dir/usr/lib/libwhet.a" -fopenmp $(pkg-config --libs $deps) -lm
[ "$("$dir/static")" = "$version" ]
[ "$("$dir/usr/bin/whet" --version)" = "whet $version" ]
echo "1 passed, 0 failed"
