# Keeps the lease of an engine whose supervisor was killed: sh -s OWNER START KEEP, in the server's folder.
#
# The supervisor starts this in the engine's session and holds the other end of descriptor 9, through which it tells the
# engine's process. The descriptor ends with the supervisor, however that ends; from then on the lease is looked at here.
# What is left is ended once the process that launched the engine is gone (no process OWNER, or one with another start
# time), the engine itself is, or the server's record is: nobody finds the server then. KEEP=1, or a record that says so since: only the last two count.
# This is no Python, so that whoever ends every Python of a user does not end it too.

start_of() {  # of a process, with single blanks; nothing if it is gone
    if [ -r /proc/self/stat ]; then
        row=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
        set -- ${row##*)}  # the name in parentheses may hold blanks; the start is the 20th field behind it
        case ${1:-Z} in Z | X) return 0 ;; esac
        echo "${20}"
    else
        set -- $(LC_ALL=C TZ=UTC ps -p "$1" -o lstart= 2>/dev/null)
        echo "$*"
    fi
}

lives() {  # process $1 with start $2, or nobody knows: without /proc, `ps` may tell nothing of a process that is there
    found=$(start_of "$1")
    [ "$found" = "$2" ] && return 0
    [ -z "$found" ] && [ ! -r /proc/self/stat ] && kill -0 "$1" 2>/dev/null
}

is_kept_since() {  # somebody attached to it and asked for that; written by records.write_json
    grep -q '^ *"keep_running": true' record.json 2>/dev/null
}

single_blanks() {
    set -- $1
    echo "$*"
}

keep_lease() {
    owner=$1 owner_start=$(single_blanks "$2") keep=$3
    read -r engine engine_start <&9
    engine_start=$(single_blanks "$engine_start")
    read -r nothing <&9
    exec 9<&-
    while :; do
        reason=lost
        [ -n "$engine_start" ] && lives "$engine" "$engine_start" || break
        reason="record deleted"
        [ -e record.json ] || [ -e record.json.unreadable ] || break
        reason="lease ended"
        [ "$keep" = 1 ] || is_kept_since || lives "$owner" "$owner_start" || break
        sleep 2
    done
    exec "$SEATRIAL_LEASE_PYTHON" -I -S -B "$SEATRIAL_LEASE_PROGRAM" --end "$reason"
}

keep_lease "$@"
