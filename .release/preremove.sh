#!/bin/sh
# Before a package's files are removed, the machine's unit is stopped and disabled. dpkg calls this with "remove", rpm with
# how many versions remain: with an upgrade nothing happens.
case "$1" in
remove | 0)
	if command -v systemctl >/dev/null 2>&1; then
		if [ -d /run/systemd/system ]; then set -- --now; else set --; fi
		systemctl disable --quiet "$@" km.service || :
	fi
	;;
esac
