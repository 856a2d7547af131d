#!/usr/bin/env bash
# The programs that Quorate uses if they are there. As root on Debian or Ubuntu the missing ones are
# installed; elsewhere each is named with what does not work without it. Never fails for their sake.
set -euo pipefail

declare -A needed=(  # program: Debian package, what it is for
    [bwrap]="bubblewrap|commands of tasks run in a sandbox (without it such tasks are refused)"
    [chromium]="chromium|tests of the dashboard in a real browser (without it they are skipped by name)"
)

missing() {
    local program
    for program in "${!needed[@]}"; do
        command -v "$program" >/dev/null 2>&1 || echo "$program"
    done
}

venv_works() {
    python3 -c 'import ensurepip' >/dev/null 2>&1
}

programs=$(missing)
packages=()
for program in $programs; do
    packages+=("${needed[$program]%%|*}")
done
if command -v python3 >/dev/null 2>&1 && ! venv_works; then
    packages+=(python3-venv)
fi
if [ "${#packages[@]}" -eq 0 ]; then
    exit 0
fi

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    {
        apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}"
    } >/dev/null </dev/null || echo "apt-get could not install ${packages[*]}" >&2
fi

for program in $(missing); do
    echo "NOT HERE: $program (Debian package ${needed[$program]%%|*}): ${needed[$program]#*|}" >&2
done
