#!/bin/sh
# Installs km for the user who runs it: the binary of a release, whose checksum is compared, in a folder of theirs. It
# needs no root, and changes nothing else.
#
#   curl -fsSL https://github.com/seed-200a7251/km/releases/latest/download/install.sh | sh
#
# KM_VERSION   the release, such as v1.2.3 (default: the newest)
# KM_DIR       the folder (default: ~/.local/bin)
# KM_RELEASES  where releases are, in the way of GitHub (default: https://github.com/seed-200a7251/km/releases)
set -eu

fail() {
	echo "install.sh: $*" >&2
	exit 1
}

# fetch URL FILE
fetch() {
	if command -v curl >/dev/null 2>&1; then
		curl -fsSL --retry 3 -o "$2" "$1"
	elif command -v wget >/dev/null 2>&1; then
		wget -q -O "$2" "$1"
	else
		fail "there is neither curl nor wget: install one of them"
	fi || fail "cannot download $1: is there such a release for this machine? ($releases)"
}

# sum FILE
sum() {
	if command -v sha256sum >/dev/null 2>&1; then
		sha256sum "$1"
	elif command -v shasum >/dev/null 2>&1; then
		shasum -a 256 "$1"
	else
		fail "there is neither sha256sum nor shasum, to compare the checksum with: install one of them"
	fi | cut -d ' ' -f 1
}

# All of it is read before anything is done: a download that was cut off does nothing.
main() {
	releases=${KM_RELEASES:-https://github.com/seed-200a7251/km/releases}
	dir=${KM_DIR:-${HOME:?HOME is not set: name a folder with KM_DIR}/.local/bin}
	case $(uname -s) in
	Linux) os=linux ;;
	Darwin) os=darwin ;;
	*) fail "there is no release for $(uname -s) that this script can install: see $releases" ;;
	esac
	case $(uname -m) in
	x86_64 | amd64) arch=amd64 ;;
	aarch64 | arm64) arch=arm64 ;;
	*) fail "there is no release for $(uname -m): build km, as its README says" ;;
	esac
	archive=km_${os}_$arch.tar.gz
	if [ -n "${KM_VERSION:-}" ]; then
		from=$releases/download/$KM_VERSION
	else
		from=$releases/latest/download
	fi

	mkdir -p "$dir" || fail "cannot make $dir: name another folder with KM_DIR"
	if [ -d "$dir/km" ]; then fail "$dir/km is a folder: name another one with KM_DIR"; fi
	# Beside its place, so that the binary gets there at once, also where an older one runs.
	work=$(mktemp -d "$dir/.km.XXXXXX") || fail "cannot write to $dir: name another folder with KM_DIR"
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	fetch "$from/checksums.txt" "$work/checksums.txt"
	fetch "$from/$archive" "$work/$archive"
	want=$(sed -n "s/^\([0-9a-f]\{64\}\)  $archive\$/\1/p" "$work/checksums.txt")
	[ -n "$want" ] || fail "$from/checksums.txt says nothing of $archive"
	got=$(sum "$work/$archive")
	[ "$got" = "$want" ] || fail "$from/$archive has the checksum $got, not $want: it is not installed"
	tar -xzf "$work/$archive" -C "$work" km || fail "cannot unpack $archive"
	version=$("$work/km" version) || fail "the binary does not run on this machine"
	mv -f "$work/km" "$dir/km"

	echo "installed $dir/km, with the checksum that $from/checksums.txt names:"
	echo "$version" | sed 's/^/  /'
	case :$PATH: in
	*:"$dir":*) echo "next: km run" ;;
	*)
		echo "next: export PATH=\"$dir:\$PATH\"        (in your shell's profile, too)"
		echo "      km run"
		;;
	esac
}

main "$@"
