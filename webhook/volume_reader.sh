#!/bin/sh
# Usage: volume_reader.sh measure | archive
#
# Runs in a throw-away container of the cell's tenant image (webhook/customer_volume.py). The customer's volume is at
# files/, the working folder is scratch space of its own. It needs what every MarkItUp image has: sh, du, tar, sqlite3
# and node (which compresses, for not every base has gzip); tar may be GNU's or busybox's.
#
# measure: prints two lines, KiB on disk and number of users.
# archive: writes a tar, compressed by gzip, to stdout: manifest.json (the variable MANIFEST), markitup.db (made by
#   SQLite's own backup; absent where there is no database), files/...; then one line to stderr, the number of users in
#   that database. What a customer names is below files/, so no name of theirs can be taken for one of ours.
#
# The exit status says what failed, and no word of tar, du or sqlite3 is passed on: they name a customer's files.
set -u
export LC_ALL=C

DATABASE=files/markitup.db
COMPRESS='const { pipeline } = require("node:stream");
pipeline(process.stdin, require("node:zlib").createGzip(), process.stdout, (error) => process.exit(error ? 1 : 0));'

# -readonly never writes into the database or empties its log, yet reads what is only there, also after a crash.
ask() {
	sqlite3 -readonly -batch -bail -cmd '.timeout 10000' "$@" 2>&1
}

# Leaves with the status for what SQLite said.
refuse() {
	case $1 in
	*full*) exit 42 ;;
	*) exit 41 ;;
	esac
}

# Whether there is a database; whoever put something else in its place is not followed.
has_database() {
	[ -e "$DATABASE" ] || [ -L "$DATABASE" ] || return 1
	[ -f "$DATABASE" ] && [ ! -L "$DATABASE" ] || exit 40
}

# Sets `users`; the app makes its tables at its first request.
count_users() {
	users=$(ask "$1" "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'users';") || refuse "$users"
	[ "$users" = 0 ] || users=$(ask "$1" "SELECT count(*) FROM users;") || refuse "$users"
}

measure() {
	for try in 1 2 3; do # a file that goes away meanwhile is an error of du's; one that can't be read stays one
		used=$(du -skx files 2>/dev/null) && break
		[ "$try" != 3 ] || exit 45
	done
	users=0
	if has_database; then count_users "$DATABASE"; fi
	echo "${used%%[!0-9]*}"
	echo "$users"
}

archive() {
	users=0
	printf '%s\n' "$MANIFEST" >manifest.json || exit 42
	set -- manifest.json
	if has_database; then
		said=$(ask "$DATABASE" '.backup markitup.db') || refuse "$said"
		[ -f markitup.db ] || exit 41
		count_users markitup.db
		set -- "$@" markitup.db
	fi
	for each in files/* files/.[!.]* files/..?*; do
		[ -e "$each" ] || [ -L "$each" ] || continue # the pattern itself, where nothing is like it
		case $each in
		"$DATABASE" | "$DATABASE"-wal | "$DATABASE"-shm | "$DATABASE"-journal) ;;
		*) set -- "$@" "$each" ;;
		esac
	done
	{
		tar -cf - "$@" 2>/dev/null
		echo $? >tar.status
	} | node --single-threaded -e "$COMPRESS" 2>/dev/null || exit 44 # V8's threads can hold up its end for good
	read -r status <tar.status
	case $status-$(tar --version 2>/dev/null) in
	0-*) ;;
	1-*GNU*) ;; # a note was written while it was read: as in a copy taken a moment earlier or later
	*) exit 43 ;;
	esac
	echo "$users" >&2
}

case ${1:-} in
measure) measure ;;
archive) archive ;;
*) exit 64 ;;
esac
