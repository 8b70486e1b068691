#!/bin/bash
# SPDX-License-Identifier: MIT
# <mmapfs.h> stands alone as C11 and as C++11, and is a program's only need.
set -eu
cd "$(dirname "$0")/../.."
build=${MMAPFS_BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/use.c" <<'EOT'
#include <mmapfs.h>
#include <mmapfs.h>

int main(void)
{
	struct mmapfs_residency found = MMAPFS_INIT(struct mmapfs_residency);
	struct mmapfs_probe probe = MMAPFS_INIT(struct mmapfs_probe);

	return mmapfs_probe(&probe) < 0 || !mmapfs_version() || found.size != sizeof(found);
}
EOT
cp "$work/use.c" "$work/use.cc"
warnings="-Wall -Wextra -Werror -pedantic -Wundef -Wno-missing-field-initializers"
for cc in gcc clang; do
	command -v $cc >/dev/null || continue
	# shellcheck disable=SC2086
	$cc -std=c11 $warnings -Icore/include -c "$work/use.c" -o "$work/use-$cc.o"
done
for cxx in g++ clang++; do
	command -v $cxx >/dev/null || continue
	# shellcheck disable=SC2086
	$cxx -std=c++11 $warnings -Icore/include -c "$work/use.cc" -o "$work/use-$cxx.o"
done
# Against the shared and against the static library.
gcc "$work/use-gcc.o" -o "$work/shared" "$build"/core/libmmapfs.so -Wl,-rpath,"$build/core"
gcc "$work/use-gcc.o" -o "$work/static" "$build"/core/libmmapfs.a -pthread
"$work/shared"
"$work/static"
