# Sourced by tools/debsource and tools/debpackage, after common.sh: apt with lists and downloads of our
# own in the cache folder, from the package sources of this machine. Needs no root and leaves apt's
# configuration alone.
# shellcheck shell=bash

# shellcheck source=/dev/null
VERSION_CODENAME=$(. /etc/os-release && echo "$VERSION_CODENAME")
release=$VERSION_CODENAME

# Usage: choose_archive deb|deb-src FOLDER : what the lists are of, and where they are kept.
choose_archive() {
	archive=$1 apt=$2
}

# Usage: apt_private TOOL ARGUMENT... : with every option that would otherwise make apt read or write
# outside of the cache.
apt_private() {
	local tool=$1
	shift
	"$tool" --quiet=2 \
		-o Dir::Etc::SourceList="$apt/etc/sources.list" \
		-o Dir::Etc::SourceParts="$apt/etc/sources.list.d" \
		-o Dir::State::Lists="$apt/lists" \
		-o Dir::Cache="$apt/cache" \
		-o APT::Sandbox::User="$(id -un)" \
		-o APT::Get::List-Cleanup=false \
		"$@"
}

# The machine's one-line sources, for the archive that is wanted. Only those for this release of Debian,
# so that another vendor's repository can't stop the build; the same holds for the other format.
convert_one_line() {
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
		sed -nE "s/^[[:space:]]*deb(-src)?[[:space:]]+/$archive /p" |
		grep -E "[[:space:]]$VERSION_CODENAME([[:space:]/-])" |
		sed -E "s/([[:space:]])$VERSION_CODENAME([[:space:]\/-])/\\1$release\\2/" | sort -u || true
}

# The machine's deb822 sources: the stanzas for this release, asking for that archive.
convert_deb822() {
	cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -E "s/^Types:.*/Types: $archive/" |
		awk -v release="$VERSION_CODENAME" 'BEGIN { RS = ""; ORS = "\n\n" }
			$0 ~ "(^|\n)Suites:([^\n]*[ \t])?" release "([ \t/-]|\n|$)"' |
		sed -E "/^Suites:/s/\b$VERSION_CODENAME\b/$release/g" || true
}

has_lists() {
	[[ -d $apt/lists/partial ]]
}

refresh_lists() {
	mkdir -p "$apt/etc/sources.list.d" "$apt/lists/partial" "$apt/cache/archives/partial"
	convert_one_line >"$apt/etc/sources.list"
	convert_deb822 >"$apt/etc/sources.list.d/debian.sources"
	[[ -s $apt/etc/sources.list || -s $apt/etc/sources.list.d/debian.sources ]] ||
		die "found no Debian package source in /etc/apt"
	apt_private apt-get update || die "could not read the lists of packages"
}
