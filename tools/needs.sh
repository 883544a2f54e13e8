#!/usr/bin/env bash
# Installs programs that a make target calls, if they are missing and if it may: on Debian and its relatives, as root
# or by sudo without a password. Anywhere else it says what to install, and fails.
#
#   tools/needs.sh COMMAND[=PACKAGE,PACKAGE...] ...
#
# python3:MODULE stands for a module of Debian's Python.
set -euo pipefail

has() {
	case $1 in
	python3:*) /usr/bin/python3 -c "import ${1#*:}" ;;
	*) command -v "$1" ;;
	esac >/dev/null 2>&1
}

commands=() packages=()
for need in "$@"; do
	command=${need%%=*}
	if ! has "$command"; then
		commands+=("$command")
		IFS=, read -ra more <<<"${need#*=}"
		packages+=("${more[@]}")
	fi
done
if ((${#commands[@]} == 0)); then
	exit 0
fi

sudo=()
if ((EUID != 0)); then
	sudo=(sudo -n)
fi
if ! command -v apt-get >/dev/null 2>&1 || ! "${sudo[@]}" true >/dev/null 2>&1; then
	echo "Not on the PATH: ${commands[*]}." >&2
	echo "Install them and try again; on Debian or Ubuntu: sudo apt-get install ${packages[*]}" >&2
	exit 1
fi

# A test starts its own Redis; the package must not start another one as a service.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
	trap '"${sudo[@]}" rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
	"${sudo[@]}" chmod 755 "$policy"
fi

apt() {
	"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 "$@" </dev/null >&2
}
echo "Installing ${packages[*]}" >&2
apt update
apt install -y --no-install-recommends "${packages[@]}"
