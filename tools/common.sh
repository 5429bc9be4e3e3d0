# Sourced by this project's shell commands: messages, and the two folders that they write to.
# shellcheck shell=bash

# The project's root, and where builds go.
POSTERN_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
POSTERN_BUILD=${POSTERN_BUILD:-$POSTERN_ROOT/build}

# shellcheck disable=SC2034 # used by the commands
# What takes long to make and depends on nothing in a build folder: the kernel, source packages.
POSTERN_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/postern

# All output goes to stderr, so that a command can return a path on stdout.
say() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
	say "$@"
	exit 1
}

# Usage: is_newer TARGET SOURCE... : succeeds if TARGET exists and no SOURCE is newer.
is_newer() {
	local target=$1 source
	shift
	[[ -e $target ]] || return 1
	for source; do
		[[ ! $source -nt $target ]] || return 1
	done
}
