#!/bin/sh
# fetch.sh PACKAGE CACHE: prints the folder of the unpacked Debian source package, fetching it first
# when the cache has none.  Needs no root: apt gets a private state folder and a private copy of the
# machine's own package sources with their type changed to deb-src.  apt checks the signatures.
set -eu
package=$1
cache=$2

present=$(ls -d "$cache/$package"_*/ 2>/dev/null | tail -n 1 || true)
if [ -n "$present" ]; then
    echo "${present%/}"
    exit 0
fi

mkdir -p "$cache"
work=$(mktemp -d "$cache/.fetch-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/sources" "$work/lists/partial" "$work/cache/archives/partial" "$work/dl"

for file in /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] || continue
    sed 's/^Types:.*/Types: deb-src/' "$file" >"$work/sources/$(basename "$file")"
done
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$file" ] || continue
    sed -n 's/^[[:space:]]*deb[[:space:]]/deb-src /p' "$file" >"$work/sources/$(basename "$file" .list).list"
done

private_apt() {
    apt-get -qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/sources" \
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" \
        -o APT::Sandbox::User="$(id -un)" "$@"
}

echo "fetching the source package $package" >&2
private_apt update >&2
(cd "$work/dl" && private_apt source --download-only "$package" >&2)
dsc=$(ls "$work/dl/$package"_*.dsc | tail -n 1)
version=$(sed -n 's/^Version: *//p' "$dsc" | head -n 1 | tr ':' '_')
# The .dsc's own signature is of a maintainer; apt has checked the archive's over all of it.
dpkg-source --no-check -x "$dsc" "$work/tree" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
target="$cache/${package}_$version"
mv -T "$work/tree" "$target" 2>/dev/null || [ -d "$target" ] # another build was quicker
echo "$target"
