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
int main(int argc, char **argv)
{
    wh_err err = {0};
    wh_session *s;
    wh_solution solution = {0};
    if (argc < 2) return puts(wh_version()) < 0;
    if (wh_session_open(&s, argv[1], NULL, &err) != WH_OK || wh_session_solve(s, &solution, "What is 1 + 2?", NULL, &err) != WH_OK)
        return fprintf(stderr, "%s\n", err.msg), 1;
    puts(solution.answer);
    wh_solution_free(&solution);
    wh_session_close(s);
    return 0;
}
C
export PKG_CONFIG_PATH="$dir/usr/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$dir"
version=$(pkg-config --modversion whet)
cflags=$(pkg-config --cflags whet)
gcc $cflags -o "$dir/shared" "$dir/t.c" -L"$dir/usr/lib" -lwhet
export LD_LIBRARY_PATH="$dir/usr/lib"
[ "$("$dir/shared")" = "$version" ]
[ "$("$dir/shared" tests/golden/markov.gguf)" = 3 ]
unset PKG_CONFIG_SYSROOT_DIR
deps=$(sed -n 's/^Requires.private: //p' "$dir/usr/lib/pkgconfig/whet.pc")
gcc $cflags -o "$dir/static" "$dir/t.c" "$dir/usr/lib/libwhet.a" -fopenmp $(pkg-config --libs $deps) -lm
[ "$("$dir/static")" = "$version" ]
[ "$("$dir/static" tests/golden/markov.gguf)" = 3 ]
[ "$("$dir/usr/bin/whet" --version)" = "whet $version" ]
echo "1 passed, 0 failed"
